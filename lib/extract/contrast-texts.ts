import { createHash } from "node:crypto";
import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError } from "../errors.js";
import type { Engine } from "../engine/index.js";
import { listOf, parseJson, readUtf8 } from "../formats/index.js";
import { promptTokens, resolveFormat, type FormatOptions } from "../prompt/index.js";
import { askedForm, type DatasetReference, type SteeringVector } from "../vector/index.js";
import { vectorOfTexts, type ExtractPairsOptions } from "./pairs.js";
import type { TextPair } from "./text-pairs.js";

/** Limit of pairs of texts, and of the personas and openings that make them. */
const MAX_TEXTS = 100_000;
const MAX_FILE_BYTES = 2 ** 28;
const PLACE = "{}";
const DEFAULT_TEMPLATE = "Answer like someone who is {}.";

const text = z.string().refine((value) => value.trim() !== "", "expected a text that is not empty");
const personasSchema = z.strictObject({
  positive: listOf(text, MAX_TEXTS, 1),
  negative: listOf(text, MAX_TEXTS, 1),
  openings: listOf(text, MAX_TEXTS, 1),
  template: text.refine((value) => value.includes(PLACE), `expected a text with ${PLACE}, the place of the persona`).optional(),
});
const textsSchema = listOf(z.strictObject({ positive: text, negative: text }), MAX_TEXTS, 1);
/** Personas and openings in the style of repeng. */
export interface PersonaTexts {
  /** Personas with the property, e.g. "extremely happy"; each is contrasted with the one at the same place in `negative`. */
  positive: readonly string[];
  negative: readonly string[];
  /** Beginnings of an answer, e.g. "I woke up and"; each follows every persona. */
  openings: readonly string[];
  /** The user's message, with `{}` for the persona; default "Answer like someone who is {}." */
  template?: string | undefined;
}

/** Two whole texts that differ in the property. */
export interface TextContrast {
  positive: string;
  negative: string;
}

/** Personas and openings, or pairs of whole texts. */
export type ContrastTexts = PersonaTexts | readonly TextContrast[];

/** Options of an extraction from the last tokens of given texts. */
export interface ExtractTextsOptions
  extends Pick<ExtractPairsOptions, "method" | "site" | "layers" | "seed" | "signal" | "onProgress">, FormatOptions {
  texts: ContrastTexts;
  /** What the texts are about, for the vector's name; default "texts". */
  name?: string;
}

/** Read a JSON file of personas and openings, or of pairs of texts. Throws E_NOT_FOUND, E_BAD_DATASET. */
export async function loadContrastTexts(path: string): Promise<ContrastTexts> {
  return parsed(parseJson(await readUtf8(path, "E_BAD_DATASET", MAX_FILE_BYTES), path, "E_BAD_DATASET"), path);
}

/**
 * Extract a vector from the activations of the last token of each text, by default at `resid_post`: from the negative texts to the
 * positive ones. Openings follow the question in the prompt's format, as the beginning of the answer; whole texts are read as they are.
 *
 * @throws SteeringError E_BAD_DATASET, and what an extraction from pairs throws
 */
export async function extractTexts(model: Engine, { name = "texts", ...options }: ExtractTextsOptions): Promise<SteeringVector> {
  const given = parsed(options.texts, "texts");
  const format = "openings" in given ? resolveFormat(model, options.format) : "raw";
  const side = (which: "positive" | "negative"): DatasetReference => ({ name: `${name} ${which}`, hash: hashOf(given, which) });
  const [positive, negative] = [side("positive"), side("negative")];
  if (positive.hash === negative.hash) {
    throw new SteeringError("E_BAD_DATASET", `${name}: the positive and the negative texts are the same, so their difference is zero`);
  }
  const property = "openings" in given ? `${given.positive[0]} vs ${given.negative[0]}` : name;
  const texts = (): Promise<TextPair[]> =>
    ("openings" in given ? personaPairs(model, given, { ...options, format }) : wholePairs(model, given));
  const asked = askedForm(format, "openings" in given ? options : {});
  return vectorOfTexts(model, { property, positive, negative, asked, texts }, { ...options, pooling: "last" });
}

function parsed(value: unknown, place: string): ContrastTexts {
  const isList = Array.isArray(value);
  const refusal = (problem: string): SteeringError => new SteeringError("E_BAD_DATASET", `${place}: ${problem}; expected `
    + (isList ? "a list of { positive, negative } texts" : "{ positive, negative, openings, template? }, the first three lists of texts"));
  if (isList) return parsedBy(textsSchema, value, refusal);
  const personas = parsedBy(personasSchema, value, refusal, "the file");
  if (personas.positive.length === personas.negative.length) return personas;
  throw new SteeringError("E_BAD_DATASET", `${place}: ${personas.positive.length} positive and ${personas.negative.length} negative `
    + "personas; expected as many of each, because the first is contrasted with the first, and so on");
}

async function personaPairs(
  model: Engine, { positive, negative, openings, template = DEFAULT_TEMPLATE }: PersonaTexts, format: FormatOptions,
): Promise<TextPair[]> {
  const prompts = (personas: readonly string[]): Promise<number[][]> =>
    Promise.all(personas.map((persona) => promptTokens(model, template.replaceAll(PLACE, () => persona), format)));
  const [above, below] = [await prompts(positive), await prompts(negative)];
  return openings.flatMap((opening) => {
    const answer = answerTokens(model, opening);
    return positive.map((_, i) => ({
      question: opening, positive: { prompt: above[i]!, answer }, negative: { prompt: below[i]!, answer },
    }));
  });
}

async function wholePairs(model: Engine, pairs: readonly TextContrast[]): Promise<TextPair[]> {
  const prompt = model.tokenise("");
  return pairs.map(({ positive, negative }) => ({
    question: positive,
    positive: { prompt, answer: answerTokens(model, positive) }, negative: { prompt, answer: answerTokens(model, negative) },
  }));
}

function answerTokens(model: Engine, answer: string): number[] {
  const tokens = model.tokenise(answer.trim(), { bos: false });
  if (tokens.length > 0) return tokens;
  throw new SteeringError("E_BAD_DATASET", `the text "${answer}" has no tokens`);
}

function hashOf(given: ContrastTexts, side: "positive" | "negative"): string {
  const own = "openings" in given ? [given[side], given.openings, given.template ?? DEFAULT_TEMPLATE] : given.map((pair) => pair[side]);
  return `sha256:${createHash("sha256").update(JSON.stringify(own)).digest("hex")}`;
}
