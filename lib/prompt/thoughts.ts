/**
 * Marks around a model's thoughts. Answers of the history keep them: their template may look for them, and they end no turn.
 */
export const THOUGHT_MARKS = /<\/?(?:\w+:)?think(?:ing)?>|\[\/?THINK\]|<\|(?:START|END)_THINKING\|>|<\|channel>|<channel\|>/g;

/** Marks of gpt-oss: an answer is what stands in the channel "final". */
const CHANNEL = "<|channel|>";
const FINAL = /<\|channel\|>final.*?<\|message\|>/gs;
const NEXT_MARK = /<\|(?:channel|message|start|end|return|call|constrain)\|>/;

/**
 * What a template takes as an answer of the history. Templates with channels refuse an answer that has them: it is the last
 * final channel's text, or empty where the answer ended before one. Others cut the thoughts themselves.
 */
export function answerOf(text: string, template: string): string {
  if (!template.includes(CHANNEL) || !text.includes(CHANNEL)) return text;
  const final = [...text.matchAll(FINAL)].at(-1);
  return final ? text.slice(final.index + final[0].length).split(NEXT_MARK)[0]! : "";
}
