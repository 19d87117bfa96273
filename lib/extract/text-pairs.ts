import { createHash } from "node:crypto";
import { SteeringError } from "../errors.js";
import type { PromptedText } from "../capture/index.js";
import type { Dataset } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import { shuffled } from "../maths/index.js";
import { promptTokens, type FormatOptions } from "../prompt/index.js";
import type { Format } from "../vector/index.js";

/** Two answers to one question. */
export interface AnswerPair {
  question: string;
  positive: string;
  negative: string;
}

/** An answer pair as tokens. Both texts have the same prompt. */
export interface TextPair {
  question: string;
  positive: PromptedText;
  negative: PromptedText;
}

/**
 * Pair the rows of both datasets that have the same query, in the order of the positive dataset. Repeated queries are paired in order:
 * the first with the first, the second with the second. Throws E_BAD_DATASET if there are no pairs.
 */
export function answerPairs(positive: Dataset, negative: Dataset): AnswerPair[] {
  const byQuestion = new Map<string, string[]>();
  for (const { input, output } of negative.rows) byQuestion.set(input, [...(byQuestion.get(input) ?? []), output]);
  const pairs = positive.rows.flatMap(({ input, output }) => {
    const other = byQuestion.get(input)?.shift();
    return other === undefined ? [] : [{ question: input, positive: output, negative: other }];
  });
  if (pairs.length > 0) return pairs;
  throw new SteeringError("E_BAD_DATASET",
    `${positive.name} and ${negative.name} have no query in common; pairs are rows with the same "input"`);
}

/** Draw `nPairs` pairs without replacement, keeping their order. Throws E_BAD_DATASET if there are fewer. */
export function drawPairs(pairs: readonly AnswerPair[], nPairs: number, seed: number): AnswerPair[] {
  if (nPairs > pairs.length) {
    throw new SteeringError("E_BAD_DATASET", `cannot draw ${nPairs} pairs: the datasets have only ${pairs.length} pairs`);
  }
  return shuffled(pairs.map((_, index) => index), seed).slice(0, nPairs).sort((a, b) => a - b).map((index) => pairs[index]!);
}

/**
 * Tokenise a pair. White space around an answer is ignored. The format `raw` leaves the question out: its prompt is BOS, if the model uses
 * one, and the opening paragraph.
 *
 * @throws SteeringError E_BAD_DATASET (an empty answer), E_BAD_GGUF (no chat template), E_BAD_ARGUMENT
 */
export async function textPair(
  model: Engine, { question, positive, negative }: AnswerPair, options: FormatOptions & { format: Format },
): Promise<TextPair> {
  const prompt = await promptTokens(model, options.format === "raw" ? "" : question, options);
  const [a, b] = [positive, negative].map((text) => {
    const answer = model.tokenise(text.trim(), { bos: false });
    if (answer.length === 0) throw new SteeringError("E_BAD_DATASET", `an answer to "${question}" is empty`);
    return { prompt, answer };
  });
  return { question, positive: a!, negative: b! };
}

/** SHA-256 of the token ids of all texts. */
export function hashTexts(texts: readonly PromptedText[]): string {
  const hash = createHash("sha256");
  for (const { prompt, answer } of texts) for (const tokens of [prompt, answer]) hash.update(Int32Array.from(tokens)).update("\n");
  return `sha256:${hash.digest("hex")}`;
}
