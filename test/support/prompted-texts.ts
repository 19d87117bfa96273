import { captureTexts } from "../../lib/capture/index.js";
import type { PromptedText, TextMeans } from "../../lib/experiments.js";
import type { Model } from "../../lib/index.js";

/** Questions and answers whose prompts begin alike, and some that do not. */
export const SHARING = [
  ["a question", "yes"], ["a question", "no, not at all"], ["a question", "y"], ["another question", "it is so"], ["another", "it is"],
  ["b", "c"],
] as const;

export function promptedText(model: Model, prompt: string, answer: string): PromptedText {
  return { prompt: model.tokenise(prompt), answer: model.tokenise(answer, { bos: false }) };
}

/** What `captureTexts` finds, at `head_out` unless the options say otherwise. */
export async function collectTexts(
  model: Model, texts: readonly PromptedText[], options: Partial<Parameters<typeof captureTexts>[2]> = {},
): Promise<TextMeans[]> {
  const found: TextMeans[] = [];
  for await (const one of captureTexts(model, texts, { site: "head_out", ...options })) found.push(one);
  return found;
}
