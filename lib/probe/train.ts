import { requireInteger } from "../checks.js";
import { SteeringError } from "../errors.js";
import { captureTexts, readableLayers } from "../capture/index.js";
import { assertDifferent, datasetReference, questionPrompt, type Dataset } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import { throwIfAborted } from "../errors.js";
import { packageVersion } from "../formats/index.js";
import { judgementMetrics, sigmoid, shuffled } from "../maths/index.js";
import { assertMadeFor, type HookSite } from "../vector/index.js";
import { probeLogit, type Probe, type ProbeLayer, type ProbeProvenance } from "./probe.js";
import { crossValidate, fitted, groupedFolds, mostCautious, type LabelledRows } from "./cross-validation.js";

/** A text, and the question that it answers, if any. */
export interface ProbeText {
  question?: string;
  text: string;
}

/** What a probe says of a text. */
export interface ProbeReading {
  /** That the text has the probe's positive property. */
  probability: number;
  /** The same as log odds. */
  logit: number;
}

/** How texts are read by a probe. */
export interface ProbeTextsOptions {
  /** Use a probe that was trained on another model of the same shape. */
  allowMismatch?: boolean;
  signal?: AbortSignal;
  /** Tokens computed so far, of an upper bound. */
  onProgress?: (done: number, total: number) => void;
}

/** What a probe is trained on. */
export interface TrainProbeOptions {
  /** Answers with the property, and without it. The same queries in both make it the only thing that differs. */
  positive: Dataset;
  negative: Dataset;
  /** Where activations are read; default `resid_post`. */
  site?: HookSite;
  /** Layers to choose from, 0-based, ascending; default: all that can be read (`readableLayers`). */
  layers?: readonly number[];
  /** Parts of the cross-validation; default 5. */
  folds?: number;
  /** Penalties to choose from; default 10, 1, 0.1, 0.01, 0.001. */
  lambdas?: readonly number[];
  /** Held-out answers, both or neither; rows whose query is among those trained on are left out. Default: a fifth of the queries. */
  evalPositive?: Dataset;
  evalNegative?: Dataset;
  /** Seed of folds and split; default 32. */
  seed?: number;
  signal?: AbortSignal;
  /** Texts read so far, of all. */
  onProgress?: (done: number, total: number) => void;
}

interface LabelledText extends ProbeText {
  question: string;
  label: boolean;
}

/** Share of the queries that are held out where no other rows are given: one of so many. */
const HELD_OUT = 5;

/**
 * Train a probe: a logistic regression that tells from a text's mean activation, over its tokens behind `questionPrompt`,
 * which of two datasets it could be from. Layer and λ are those of the least log loss in a cross-validation whose folds
 * never share a query, but for stronger penalties that cost next to nothing (`mostCautious`); it is then fitted to all that it is trained on, and judged on what was held out.
 *
 * @throws SteeringError E_BAD_DATASET, E_BAD_ARGUMENT, E_NO_SITE, E_SHAPE, E_NOT_FINITE, E_ABORTED
 */
export async function trainProbe(model: Engine, options: TrainProbeOptions): Promise<Probe> {
  const { positive, negative, site = "resid_post", folds = 5, lambdas = [10, 1, 0.1, 0.01, 0.001], seed = 32, signal } = options;
  const layers = options.layers ?? readableLayers(model, site);
  requireInteger("folds", folds, { min: 2 });
  requireInteger("seed", seed);
  if (lambdas.length === 0) throw new SteeringError("E_BAD_ARGUMENT", "no λ was given");
  assertDifferent(positive, negative);
  const { training, heldOut, heldOutFrom } = partTexts(options, seed);
  const progress = joinedProgress(options.onProgress, [training, heldOut]);

  const read = await readRows(model, training, { site, layers, ...(signal && { signal }), onProgress: progress(0) });
  const groups = read.texts.map(({ question }) => question);
  if (new Set(groups).size < folds) throw new SteeringError("E_BAD_DATASET", `${new Set(groups).size} queries cannot make ${folds} folds`);
  const foldOf = groupedFolds(groups, folds, seed);
  checkFolds(read.texts, foldOf);
  const pause = async (): Promise<void> => {
    await new Promise(setImmediate);
    throwIfAborted(signal);
  };
  const tried: ProbeLayer[] = [];
  for (const [index, layer] of layers.entries()) for (const result of await crossValidate(read.ofLayer(index), foldOf, lambdas, pause)) tried.push({ layer, ...result });
  const { layer, lambda } = mostCautious(tried);
  const { weights, bias } = fitted(read.ofLayer(layers.indexOf(layer)), lambda);

  const judged = await readRows(model, heldOut, { site, layers: [layer], ...(signal && { signal }), onProgress: progress(1) });
  const { rows, labels } = judged.ofLayer(0);
  const provenance: ProbeProvenance = {
    property: `${positive.name} vs ${negative.name}`, positive: datasetReference(positive), negative: datasetReference(negative), heldOut: heldOutFrom,
    trainedOn: read.texts.length, lambda, folds, seed, model: await model.fingerprint(), madeBy: `llama-steer ${packageVersion()}`,
  };
  const model32 = { weights: Float32Array.from(weights), bias };
  return { site, layer, ...model32, heldOut: judgementMetrics(rows.map((row) => sigmoid(probeLogit(model32, row))), labels), layers: layers.map((each) => mostCautious(tried.filter((result) => result.layer === each))), provenance };
}

/**
 * What a probe says of texts, in their order: of each the mean activation over its tokens, as in training. White space
 * around a text is not looked at. Undefined, and no failure of the others: a text that is empty or white space, longer
 * than the model's context, or refused by its tokeniser.
 *
 * @throws SteeringError E_MODEL_MISMATCH, E_SHAPE, E_NOT_FINITE, E_ABORTED
 */
export async function probeTexts(model: Engine, probe: Probe, texts: readonly ProbeText[], options: ProbeTextsOptions = {}): Promise<Array<ProbeReading | undefined>> {
  const { allowMismatch, ...how } = options;
  assertMadeFor(probe, await model.fingerprint(), allowMismatch, "probe");
  const found = await readTexts(model, texts, { site: probe.site, layers: [probe.layer], ...how });
  return found.map((activation) => {
    if (!activation) return undefined;
    const logit = probeLogit(probe, activation);
    return { probability: sigmoid(logit), logit };
  });
}

/** The texts of both datasets, and those that are held out. */
function partTexts({ positive, negative, evalPositive, evalNegative }: TrainProbeOptions, seed: number): { training: LabelledText[]; heldOut: LabelledText[]; heldOutFrom: ProbeProvenance["heldOut"] } {
  const all = labelled(positive, negative);
  if (!evalPositive !== !evalNegative) throw new SteeringError("E_BAD_ARGUMENT", "held-out rows are needed of both datasets, or of neither");
  if (evalPositive && evalNegative) {
    const trainedOn = new Set(all.map(({ question }) => question));
    const heldOut = labelled(evalPositive, evalNegative).filter(({ question }) => !trainedOn.has(question));
    return { training: all, heldOut, heldOutFrom: { kind: "datasets", positive: datasetReference(evalPositive), negative: datasetReference(evalNegative) } };
  }
  const questions = shuffled([...new Set(all.map(({ question }) => question))], seed);
  const aside = new Set(questions.slice(0, Math.ceil(questions.length / HELD_OUT)));
  return { training: all.filter(({ question }) => !aside.has(question)), heldOut: all.filter(({ question }) => aside.has(question)), heldOutFrom: { kind: "split" } };
}

function labelled(positive: Dataset, negative: Dataset): LabelledText[] {
  return [{ dataset: positive, label: true }, { dataset: negative, label: false }]
    .flatMap(({ dataset, label }) => dataset.rows.map(({ input, output }) => ({ question: input, text: output, label })));
}

/** Texts that could be read, and their activations. Throws E_BAD_DATASET unless there are some of both labels. */
async function readRows(model: Engine, texts: readonly LabelledText[], options: ReadOptions): Promise<{ texts: LabelledText[]; ofLayer: (index: number) => LabelledRows }> {
  const found = await readTexts(model, texts, options);
  const read = texts.filter((_, i) => found[i]);
  const labels = read.map(({ label }) => label);
  if (!labels.includes(true) || !labels.includes(false)) throw new SteeringError("E_BAD_DATASET", "no text is left of one of the datasets: queries that are trained on are not judged, and texts that are too long are not read");
  const activations = found.filter((one) => one !== undefined);
  const width = activations[0]!.length / options.layers.length;
  return { texts: read, ofLayer: (index) => ({ rows: activations.map((one) => one.subarray(index * width, (index + 1) * width)), labels }) };
}

/** Every fold must leave both labels to train on. */
function checkFolds(texts: readonly LabelledText[], foldOf: readonly number[]): void {
  for (const fold of new Set(foldOf)) {
    const labels = new Set(texts.filter((_, i) => foldOf[i] !== fold).map(({ label }) => label));
    if (labels.size < 2) throw new SteeringError("E_BAD_DATASET", "a fold of the cross-validation leaves texts of one dataset only: more rows are needed, or fewer folds");
  }
}

interface ReadOptions {
  site: HookSite;
  layers: readonly number[];
  signal?: AbortSignal;
  onProgress?: (done: number, total: number) => void;
}

/** The mean activations of texts, `[layers, width]` each; undefined for those that cannot be read. */
async function readTexts(model: Engine, texts: readonly ProbeText[], options: ReadOptions): Promise<Array<Float32Array | undefined>> {
  const readable = texts.flatMap((text, index) => {
    const tokens = promptedText(model, text);
    return tokens ? [{ ...tokens, index, question: text.question ?? "" }] : [];
  });
  // Side by side, texts that answer one question share its prompt.
  const order = new Map<string, number>();
  for (const { question } of readable) if (!order.has(question)) order.set(question, order.size);
  readable.sort((a, b) => order.get(a.question)! - order.get(b.question)!);
  const found = new Array<Float32Array | undefined>(texts.length).fill(undefined);
  if (readable.length === 0) return found;
  for await (const { text, means } of captureTexts(model, readable, options)) found[readable[text]!.index] = Float32Array.from(means);
  return found;
}

/** The tokens of a text and its prompt; undefined where there is nothing to read, or more than the model can. */
function promptedText(model: Engine, { question = "", text }: ProbeText): { prompt: number[]; answer: number[] } | undefined {
  const trimmed = text.trim();
  if (trimmed === "") return undefined;
  try {
    const [prompt, answer] = [model.tokenise(questionPrompt(question)), model.tokenise(trimmed, { bos: false })];
    return answer.length === 0 || prompt.length + answer.length > model.maxContext ? undefined : { prompt, answer };
  } catch (error) {
    if (error instanceof SteeringError && error.code === "E_BAD_ARGUMENT") return undefined; // a word that llama.cpp's tokenisers cannot take
    throw error;
  }
}

/** One progress for works that follow each other; in texts, since tokens are not counted before their turn. */
function joinedProgress(onProgress: TrainProbeOptions["onProgress"], works: readonly (readonly LabelledText[])[]): (work: number) => (done: number, total: number) => void {
  const sizes = works.map((texts) => texts.length);
  const all = sizes.reduce((a, b) => a + b, 0);
  return (work) => (done, total) => onProgress?.(sizes.slice(0, work).reduce((a, b) => a + b, 0) + (done / total) * sizes[work]!, all);
}
