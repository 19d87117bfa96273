/** The prompt without demonstrations: only the question (docs/method.md §2). */
export function questionPrompt(question: string): string {
  return `Q:${question}\nA:`;
}
