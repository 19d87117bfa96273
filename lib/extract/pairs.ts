import { requireInteger, requireOneOf } from "../checks.js";
import { SteeringError } from "../errors.js";
import { captureTexts, readableLayers, type Pooling } from "../capture/index.js";
import { assertDifferent, datasetReference, type Dataset } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import { throwIfAborted } from "../errors.js";
import { packageVersion } from "../formats/index.js";
import { shuffled, type PairedRows } from "../maths/index.js";
import { resolveFormat, type FormatOptions } from "../prompt/index.js";
import {
  PAIR_METHODS, askedForm, type Format, type HookSite, type PairMethod, type PairsOrigin, type Provenance, SteeringVector,
} from "../vector/index.js";
import { HEALTH_PAIRS, meanOverSteps } from "./contrast.js";
import { healthOf, layerContrast, type LayerContrast } from "./health.js";
import { directionScore, layerDirections, type DirectionOptions, type PairActivations, type TextActivations } from "./pair-directions.js";
import { answerPairs, drawPairs, hashTexts, textPair, type TextPair } from "./text-pairs.js";

/** Which rows of an answer `extract` reads. */
export const POOLINGS = ["mean", "last", "step"] as const satisfies readonly Pooling[];

/** Options of an extraction from pairs of answers to the same query. */
export interface ExtractPairsOptions extends FormatOptions {
  /** Answers with and without the property. Rows with the same query in both datasets form pairs; other rows are left out. */
  positive: Dataset;
  negative: Dataset;
  /** How to compute a direction from the pairs' activations (`pairDirection`); default `mean`. */
  method?: PairMethod;
  /** How to put the question before the answer, as `prompts.tokens`; `raw` leaves the question out. Default `auto`. */
  format?: Format | "auto";
  /** Which rows of an answer to read: their mean (default), the last, or one per token step, which gives one direction per step. */
  pooling?: Pooling;
  /** Where activations are read and later steered; default `resid_post`. */
  site?: HookSite;
  /** Layers, 0-based, ascending, or the `best` N layers by held-out pairs; default: all readable layers (`readableLayers`). */
  layers?: readonly number[] | "all" | { best: number };
  /** Token steps, with pooling `step` only; default 30. */
  maxNewTokens?: number;
  /** Number of pairs, drawn without replacement; default: all. */
  nPairs?: number;
  /** Seed of the draw and of the held-out split; default 32. */
  seed?: number;
  signal?: AbortSignal;
  /** Reports the tokens computed so far and the total. */
  onProgress?: (done: number, total: number) => void;
}

type Score = ReturnType<typeof directionScore>;

interface Found {
  layer: number;
  /** `[nSteps, width]` */
  data: Float32Array;
  score?: Score;
}

/** One in this many questions is held out to choose layers. */
const HELD_OUT = 5;
/** Limit of activation values in memory at once; further layers are read in another pass. */
const MOST_VALUES = 2 ** 27;

/**
 * Extract a vector from pairs of texts: for each layer (with pooling `step`, for each layer and token step), a direction from the
 * activations of the negative answers to those of the positive ones. `layers: { best: n }` keeps the n layers that best separate the
 * answers to a held-out fifth of the questions: by AUC, then accuracy, then the lower layer. The final directions use all pairs.
 *
 * @returns one direction per layer; with pooling `step` also per step, the first being 0 because no answer token has been read there
 * @throws SteeringError E_BAD_DATASET, E_BAD_ARGUMENT, E_BAD_GGUF (no chat template), E_CONTEXT_FULL, E_NO_SITE, E_SHAPE, E_NOT_FINITE,
 *   E_ABORTED
 */
export async function extractPairs(model: Engine, options: ExtractPairsOptions): Promise<SteeringVector> {
  return extractWithin(model, options, MOST_VALUES);
}

/** As `extractPairs`, with another limit on the activation values in memory. */
export async function extractWithin(model: Engine, options: ExtractPairsOptions, mostValues: number): Promise<SteeringVector> {
  const { positive, negative, nPairs, seed = 32 } = options;
  const format = resolveFormat(model, options.format);
  const texts = async (): Promise<TextPair[]> => {
    if (nPairs !== undefined) requireInteger("nPairs", nPairs, { min: 1 });
    assertDifferent(positive, negative);
    const all = answerPairs(positive, negative);
    const drawn = nPairs === undefined ? all : drawPairs(all, nPairs, seed);
    return Promise.all(drawn.map((pair) => textPair(model, pair, { ...options, format })));
  };
  return vectorOfTexts(model, {
    property: `${positive.name} vs ${negative.name}`, asked: askedForm(format, options), texts,
    positive: datasetReference(positive), negative: datasetReference(negative),
  }, options, mostValues);
}

/** Where pairs of texts come from. */
export interface TextSource extends Pick<PairsOrigin, "positive" | "negative"> {
  property: string;
  asked: ReturnType<typeof askedForm>;
  /** Called once, after the options have been checked. */
  texts: () => Promise<TextPair[]>;
}

/** Options of `vectorOfTexts`. */
export type TextVectorOptions = Omit<ExtractPairsOptions, "positive" | "negative" | "nPairs">;

/** The vector of pairs of texts. Throws as `extractPairs`. */
export async function vectorOfTexts(
  model: Engine, source: TextSource, options: TextVectorOptions, mostValues = MOST_VALUES,
): Promise<SteeringVector> {
  const { property, positive, negative, asked, texts } = source;
  const { method = "mean", pooling = "mean", site = "resid_post", seed = 32, signal } = options;
  const { layers, best } = checked(model, options, site);
  const pairs = await texts();
  const isHeldOut = best === undefined ? undefined : heldOut(pairs, seed);
  const maxSteps = pooling === "step" ? options.maxNewTokens ?? 30 : undefined;
  const width = model.siteWidth(site);

  const perLayer = 2 * pairs.length * width * (maxSteps ?? 1);
  const groups = inGroups(layers, Math.max(1, Math.floor(mostValues / perLayer)));
  const found: Found[] = [];
  const contrasts: LayerContrast[] = [];
  const firstStep = pooling === "step" ? 1 : 0;
  for (const [index, group] of groups.entries()) {
    const read = await readPairs(model, pairs, {
      site, layers: group, pooling, ...(maxSteps && { maxSteps }), ...(signal && { signal }),
      onProgress: (done, total) => options.onProgress?.(index * total + done, groups.length * total),
    });
    for (const [place, layer] of group.entries()) {
      await new Promise(setImmediate);
      throwIfAborted(signal);
      found.push({ layer, ...ofLayer(read, place, { method, width, firstStep }, isHeldOut) });
      contrasts.push(layerContrast(layer, pooledRows(read, place, firstStep, width)));
    }
  }
  const kept = best === undefined ? found : bestLayers(found, best);
  const layerScores = best === undefined ? undefined : found.map(({ layer, score }) => ({ layer, ...score! }));
  const provenance: Provenance = {
    property,
    origin: {
      kind: "pairs", method, positive, negative, pooling, nPairs: pairs.length,
      ...(layerScores && { layerScores }), seed, promptsHash: hashTexts(pairs.flatMap((pair) => [pair.positive, pair.negative])),
    },
    ...asked,
    model: await model.fingerprint(),
    health: healthOf(contrasts.filter(({ layer }) => kept.some((one) => one.layer === layer))),
    madeBy: `llama-steer ${packageVersion()}`,
  };
  return joined(kept, { site, width, provenance });
}

/** Throws E_BAD_ARGUMENT, E_BAD_DATASET. */
function checked(model: Engine, options: TextVectorOptions, site: HookSite): { layers: readonly number[]; best: number | undefined } {
  const { method = "mean", pooling = "mean", layers = "all", maxNewTokens, seed = 0 } = options;
  requireOneOf("method", method, PAIR_METHODS);
  requireOneOf("pooling", pooling, POOLINGS);
  if (maxNewTokens !== undefined && pooling !== "step") {
    throw new SteeringError("E_BAD_ARGUMENT", `maxNewTokens needs pooling "step"; pooling "${pooling}" gives one direction for all steps`);
  }
  const readable = readableLayers(model, site);
  const best = Array.isArray(layers) || layers === "all" ? undefined : (layers as { best: number }).best;
  for (const [name, value] of Object.entries({ maxNewTokens, best })) {
    if (value !== undefined) requireInteger(name, value, { min: 1 });
  }
  requireInteger("seed", seed);
  if (best !== undefined && best > readable.length) {
    throw new SteeringError("E_BAD_ARGUMENT", `cannot choose the best ${best} layers: ${site} has ${readable.length} readable layers`);
  }
  if (Array.isArray(layers) && layers.length === 0) {
    throw new SteeringError("E_BAD_ARGUMENT", "layers is empty; expected at least one layer");
  }
  if (Array.isArray(layers) && !layers.every((layer: number, i) => i === 0 || layer > layers[i - 1])) {
    throw new SteeringError("E_BAD_ARGUMENT", "layers must be ascending");
  }
  return { layers: Array.isArray(layers) ? [...layers as readonly number[]] : readable, best };
}

/** Whether each pair is held out; all pairs of a question are treated alike. Throws E_BAD_DATASET. */
function heldOut(pairs: readonly TextPair[], seed: number): boolean[] {
  const questions = shuffled([...new Set(pairs.map(({ question }) => question))], seed);
  if (questions.length < 2) {
    throw new SteeringError("E_BAD_DATASET", "choosing layers by held-out questions needs at least two questions");
  }
  const aside = new Set(questions.slice(0, Math.ceil(questions.length / HELD_OUT)));
  return pairs.map(({ question }) => aside.has(question));
}

function inGroups<Item>(items: readonly Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) => items.slice(index * size, (index + 1) * size));
}

/** Read the activations of all pairs. The texts of a pair are adjacent, so that they share their prompt. */
async function readPairs(
  model: Engine,
  pairs: readonly TextPair[],
  options: Parameters<typeof captureTexts>[2],
): Promise<PairActivations[]> {
  const texts: PairActivations["positive"][] = [];
  const inputs = pairs.flatMap(({ positive, negative }) => [positive, negative]);
  for await (const { nSteps, means } of captureTexts(model, inputs, options)) texts.push({ nSteps, data: Float32Array.from(means) });
  return pairs.map((_, index) => ({ positive: texts[2 * index]!, negative: texts[2 * index + 1]! }));
}

function ofLayer(
  pairs: readonly PairActivations[],
  place: number,
  options: DirectionOptions,
  isHeldOut: readonly boolean[] | undefined,
): Omit<Found, "layer"> {
  const { directions } = layerDirections(pairs, place, options);
  const data = new Float32Array(directions.length * options.width);
  directions.forEach((direction, step) => data.set(direction, step * options.width));
  if (!isHeldOut) return { data };
  const training = layerDirections(pairs.filter((_, i) => !isHeldOut[i]), place, options);
  return { data, score: directionScore(pairs.filter((_, i) => isHeldOut[i]), place, training) };
}

/** Each text's mean over the steps that both texts of a pair reach, for the health of the vector. */
function pooledRows(pairs: readonly PairActivations[], place: number, firstStep: number, width: number): PairedRows {
  const reached = pairs.map((pair) => ({ ...pair, nSteps: Math.min(pair.positive.nSteps, pair.negative.nSteps) }))
    .filter(({ nSteps }) => nSteps > firstStep).slice(0, HEALTH_PAIRS);
  const row = ({ nSteps: all, data }: TextActivations, nSteps: number): Float32Array =>
    meanOverSteps({ nSteps: all, width, data }, place, nSteps, firstStep);
  return {
    positive: reached.map(({ positive, nSteps }) => row(positive, nSteps)),
    negative: reached.map(({ negative, nSteps }) => row(negative, nSteps)),
  };
}

function bestLayers(found: readonly Found[], n: number): Found[] {
  const order = [...found]
    .sort((a, b) => b.score!.auc - a.score!.auc || b.score!.accuracy - a.score!.accuracy || a.layer - b.layer);
  return order.slice(0, n).sort((a, b) => a.layer - b.layer);
}

function joined(
  found: readonly Found[],
  { site, width, provenance }: { site: HookSite; width: number; provenance: Provenance },
): SteeringVector {
  const size = found[0]!.data.length;
  const data = new Float32Array(found.length * size);
  found.forEach((one, index) => data.set(one.data, index * size));
  if (!data.some((value) => value !== 0)) {
    throw new SteeringError("E_BAD_DATASET", "the answers of both datasets have the same activations, so their difference is zero");
  }
  return new SteeringVector({ site, layers: found.map(({ layer }) => layer), nSteps: size / width, width, data, provenance });
}
