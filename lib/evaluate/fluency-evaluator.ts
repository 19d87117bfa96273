import { engineVersion, type Engine } from "../engine/index.js";
import { packageVersion } from "../formats/index.js";
import { perplexity } from "../generate/index.js";
import { promptTokens, resolveFormat, type FormatOptions } from "../prompt/index.js";
import { isOfText } from "./judge-each.js";
import type { EvaluatedText, Evaluator } from "./evaluator.js";

const N_GRAM = 3;
const PIECES = /[^]{1,1000}(?=\s|$)|[^]{1,1000}/gu;
const segmenter = new Intl.Segmenter(undefined, { granularity: "word" });

/** Evaluator with the columns `words`, `characters` and `repetition` (see the function of that name). */
export function fluencyEvaluator(): Evaluator {
  return {
    name: "fluency", wanted: null, batchSize: 1000, config: {}, versions: { llamaSteer: packageVersion() },
    evaluate: async (texts) => texts.map(({ text }) =>
      ({ words: wordsOf(text).length, characters: [...text].length, repetition: repetition(text) })),
    [Symbol.dispose]: () => {},
  };
}

/**
 * Evaluator that measures the perplexity of each text after its question, under an unsteered model of your choice; null for a text that
 * is empty or too long. The caller keeps ownership of the model.
 *
 * @param options how the question is put to the model before the text
 */
export async function perplexityEvaluator(model: Engine, options: FormatOptions = {}): Promise<Evaluator> {
  const format = resolveFormat(model, options.format);
  const { system, templateVariables } = options;
  await promptTokens(model, "Why?", options); // fails if the template refuses every question, which no text is to blame for
  return {
    name: "perplexity", wanted: null, batchSize: 128,
    config: { // older evaluations, all in the format qa, name none
      model: { ...await model.fingerprint() }, ...(format !== "qa" && { format }), ...(system !== undefined && { system }),
      ...(templateVariables && { templateVariables }),
    },
    versions: { llamaSteer: packageVersion(), llamaCpp: engineVersion() },
    evaluate: (texts, signal) =>
      Promise.all(texts.map(async (text) => ({ "": await perplexityOf(model, text, { ...options, format }, signal) }))),
    [Symbol.dispose]: () => {},
  };
}

/** Share of a text's word trigrams that repeat an earlier one, from 0 to 1; null for fewer than two trigrams. */
export function repetition(text: string): number | null {
  const words = wordsOf(text);
  const trigrams = words.slice(N_GRAM - 1).map((_, index) => words.slice(index, index + N_GRAM).join(" "));
  return trigrams.length < 2 ? null : 1 - new Set(trigrams).size / trigrams.length;
}

/** The words of a text, in small letters. Segments it piece by piece, because every segment holds a copy of the segmented text. */
export function wordsOf(text: string): string[] {
  const words: string[] = [];
  for (const [piece] of text.matchAll(PIECES)) {
    for (const { segment, isWordLike } of segmenter.segment(piece)) if (isWordLike) words.push(segment.toLowerCase());
  }
  return words;
}

async function perplexityOf(
  model: Engine,
  { question, text }: EvaluatedText,
  options: FormatOptions,
  signal: AbortSignal | undefined,
): Promise<number | null> {
  if (text.trim() === "") return null;
  try {
    const prompt = await promptTokens(model, question, options);
    return await perplexity(model, prompt, model.tokenise(text, { bos: false }), { ...(signal && { signal }) });
  } catch (error) {
    if (isOfText(error)) return null;
    throw error;
  }
}
