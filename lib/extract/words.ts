import { createHash } from "node:crypto";
import { requireInteger, requireOneOf } from "../checks.js";
import { SteeringError } from "../errors.js";
import type { Engine } from "../engine/index.js";
import { packageVersion } from "../formats/index.js";
import { resolveFormat, type FormatOptions } from "../prompt/index.js";
import {
  askedForm, delta, SteeringVector, WORD_POOLINGS, type HookSite, type Provenance, type WordsOrigin,
} from "../vector/index.js";
import { captureContrast, hashPairs, type PromptPair } from "./contrast.js";
import { PARAPHRASES, promptsUnder } from "./descriptions.js";
import { EVERYDAY_QUESTIONS } from "./everyday-questions.js";
import { contrastHealth } from "./health.js";

/** Options of an extraction from descriptions in words. */
export interface ExtractWordsOptions extends Omit<FormatOptions, "system"> {
  /** The wanted behaviour, as the end of a sentence that begins "You are someone who": "speaks like a cheerful friend". */
  towards: string;
  /** The behaviour to turn away from, e.g. "is gloomy"; default: a neutral assistant. */
  away?: string;
  /** Questions for the model to answer, at least two; default: 16 everyday questions. */
  questions?: readonly string[];
  /** Tokens of each answer, and thus token steps; default 20. */
  maxNewTokens?: number;
  /** One direction per token step (`step`, default), or their mean. */
  pooling?: WordsOrigin["pooling"];
  /** Where activations are read and later steered; default `head_out`. */
  site?: HookSite;
  /** Layers to extract, 0-based, ascending; default: all. */
  layers?: readonly number[];
  signal?: AbortSignal;
  /** Reports the tokens computed so far and an upper bound of the total. */
  onProgress?: (done: number, total: number) => void;
}

/** Later steps are means over too few answers. */
const LEAST_SHARE = 0.25;

/**
 * Extract a steering vector from descriptions in words: the model answers the same questions under system messages that ask for the
 * wanted behaviour and for the other one, and for each token step the mean activations of both sides are subtracted (docs/method.md §3,
 * with system messages in place of demonstrations). Base models read the message as an opening paragraph, and models whose chat
 * template has no system messages as the beginning of the user's message.
 *
 * @throws SteeringError E_BAD_ARGUMENT, E_BAD_GGUF (the chat template fails), E_CONTEXT_FULL, E_NO_SITE, E_SHAPE, E_NOT_FINITE, E_ABORTED
 */
export async function extractWords(model: Engine, options: ExtractWordsOptions): Promise<SteeringVector> {
  const { questions = EVERYDAY_QUESTIONS, maxNewTokens = 20, pooling = "step", site = "head_out", signal, onProgress } = options;
  const [towards, away] = [description("towards", options.towards), options.away === undefined ? null : description("away", options.away)];
  if (towards === away) throw new SteeringError("E_BAD_ARGUMENT", "towards and away are the same, so their difference is zero");
  requireOneOf("pooling", pooling, WORD_POOLINGS);
  requireInteger("maxNewTokens", maxNewTokens, { min: 1 });
  if (questions.length < 2) throw new SteeringError("E_BAD_ARGUMENT", `expected at least two questions, not ${questions.length}`);
  const format = resolveFormat(model, options.format);
  const layers = options.layers ?? model.siteLayers(site);
  const pairs: PromptPair[] = [];
  for (const [index, question] of questions.entries()) {
    pairs.push({ ...await promptsUnder(model, { towards, away }, index, question, { ...options, format }), weight: 1 });
  }
  const contrast = await captureContrast(model, pairs, {
    site, layers, maxNewTokens, leastShare: LEAST_SHARE, ...(signal && { signal }), ...(onProgress && { onProgress }),
  });
  const { nSteps, width, data } = delta(contrast.positive, contrast.negative);
  const provenance: Provenance = {
    property: away === null ? towards : `${towards} vs ${away}`,
    origin: {
      kind: "words", towards, away, paraphrases: [...PARAPHRASES], nQuestions: questions.length, maxNewTokens, pooling,
      questionsHash: `sha256:${createHash("sha256").update(JSON.stringify(questions)).digest("hex")}`, promptsHash: hashPairs(pairs),
    },
    ...askedForm(format, { templateVariables: options.templateVariables }),
    model: await model.fingerprint(),
    health: contrastHealth(layers, contrast.rows),
    madeBy: `llama-steer ${packageVersion()}`,
  };
  const vector = new SteeringVector({ site, layers: [...layers], nSteps, width, data, provenance });
  return pooling === "step" ? vector : new SteeringVector({ ...vector.pooled(), provenance });
}

/** Trims a description and drops a final full stop. Throws E_BAD_ARGUMENT. */
function description(name: string, text: string): string {
  const trimmed = text.trim().replace(/\.$/, "").trim();
  if (trimmed !== "") return trimmed;
  throw new SteeringError("E_BAD_ARGUMENT", `${name} is empty; expected a description such as "speaks like a cheerful friend"`);
}
