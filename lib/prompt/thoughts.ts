/**
 * Marks around a model's thoughts. Earlier answers keep these marks: the template may look for them, and they do not end a turn.
 */
export const THOUGHT_MARKS = /<\/?(?:\w+:)?think(?:ing)?>|\[\/?THINK\]|<\|(?:START|END)_THINKING\|>|<\|channel>|<channel\|>/g;

/** Marks of gpt-oss, whose answer is the text of the channel "final". */
const CHANNEL = "<|channel|>";
const FINAL = /<\|channel\|>final.*?<\|message\|>/gs;
const NEXT_MARK = /<\|(?:channel|message|start|end|return|call|constrain)\|>/;

/**
 * Returns an earlier answer in the form that its template accepts. Templates with channels refuse answers that contain channel marks:
 * they get the text of the last final channel, or an empty text if the answer has none. Other templates cut the thoughts themselves.
 */
export function answerOf(text: string, template: string): string {
  if (!template.includes(CHANNEL) || !text.includes(CHANNEL)) return text;
  const final = [...text.matchAll(FINAL)].at(-1);
  return final ? text.slice(final.index + final[0].length).split(NEXT_MARK)[0]! : "";
}
