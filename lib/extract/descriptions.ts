import type { Engine } from "../engine/index.js";
import { promptTokensUnder, type FormatOptions } from "../prompt/index.js";

/** System messages, with `{}` for the description: several, so that the vector does not depend on the wording. */
export const PARAPHRASES: readonly string[] = [
  "You are someone who {}.",
  "Answer every question like someone who {}.",
  "You play a person who {}. Stay in this role.",
];
const NEUTRAL = "You are a helpful assistant.";

/** The wanted behaviour and the one to turn away from; null for a neutral assistant. */
export interface Descriptions {
  towards: string;
  away: string | null;
}

/** Tokens of a question under both descriptions; `index` chooses the paraphrase. */
export async function promptsUnder(
  model: Engine, { towards, away }: Descriptions, index: number, question: string, options: Omit<FormatOptions, "system">,
): Promise<{ positive: number[]; negative: number[] }> {
  const paraphrase = PARAPHRASES[index % PARAPHRASES.length]!;
  const ask = (message: string): Promise<number[]> => promptTokensUnder(model, message, question, options);
  const negative = await ask(away === null ? NEUTRAL : paraphrase.replace("{}", () => away));
  return { positive: await ask(paraphrase.replace("{}", () => towards)), negative };
}
