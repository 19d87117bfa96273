/** The prompt of a question without demonstrations (docs/method.md §2). */
export function questionPrompt(question: string): string {
  return `Q:${question}\nA:`;
}
