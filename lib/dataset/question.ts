/** The prompt without demonstrations: only the question (REFERENCE §2). */
export function questionPrompt(question: string): string {
  return `Q:${question}\nA:`;
}
