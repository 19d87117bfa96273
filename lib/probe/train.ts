import { requireInteger } from "../checks.js";
import { SteeringError } from "../errors.js";
import { readableLayers } from "../capture/index.js";
import { assertDifferent, datasetReference, type Dataset } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import { throwIfAborted } from "../errors.js";
import { packageVersion } from "../formats/index.js";
import { judgementMetrics, sigmoid, shuffled } from "../maths/index.js";
import { resolveFormat, type FormatOptions } from "../prompt/index.js";
import { assertMadeFor, type Format, type HookSite } from "../vector/index.js";
import { probeLogit, type Probe, type ProbeLayer, type ProbeProvenance, type ProbeReads } from "./probe.js";
import { readTexts, type ProbeText, type ReadOptions } from "./read-texts.js";
import { crossValidate, fitted, groupedFolds, mostCautious, type LabelledRows } from "./cross-validation.js";

/** A probe's judgement of a text. */
export interface ProbeJudgement {
  /** Probability that the text has the probe's positive property. */
  probability: number;
  /** The same in log odds. */
  logit: number;
}

/** Options for judging texts with a probe. */
export interface ProbeTextsOptions extends FormatOptions {
  /** How to put the question before the text; default: as in the training. */
  format?: Format | "auto";
  /** Accept a probe that was trained on another model of the same shape. */
  allowMismatch?: boolean;
  signal?: AbortSignal;
  /** Called with the tokens computed so far and an upper bound of all. */
  onProgress?: (done: number, total: number) => void;
}

/** Options for training a probe. */
export interface TrainProbeOptions extends FormatOptions {
  /** Answers with and without the property. If both have the same queries, the property is the only difference. */
  positive: Dataset;
  negative: Dataset;
  /**
   * What the probe reads: `answer` (default), the mean over an answer's tokens; `prompt`, the last token of a query's prompt, as a gate
   * with `per: "prompt"` does. Answers are then left out, and so are queries that both datasets have.
   */
  reads?: ProbeReads;
  /** Site of the activations; default `resid_post`. */
  site?: HookSite;
  /** Layers to choose from, 0-based, ascending; default: all readable ones (`readableLayers`). */
  layers?: readonly number[];
  /** Number of cross-validation folds; default 5. */
  folds?: number;
  /** Penalties to choose from; default 10, 1, 0.1, 0.01, 0.001. */
  lambdas?: readonly number[];
  /** Held-out answers, both or neither; rows whose query is in the training data are skipped. Default: a fifth of the queries. */
  evalPositive?: Dataset;
  evalNegative?: Dataset;
  /** Seed of folds and split; default 32. */
  seed?: number;
  signal?: AbortSignal;
  /** Called with the number of texts read so far and of all texts. */
  onProgress?: (done: number, total: number) => void;
}

interface LabelledText extends ProbeText {
  question: string;
  label: boolean;
}

/** Without held-out datasets, one in this many queries is held out. */
const HELD_OUT = 5;

/**
 * Train a probe: a logistic regression that predicts which of two datasets a text comes from, given its mean activation over the
 * tokens after the question, or given that of a prompt's last token (`reads`). Layer and λ minimise the log loss of a
 * cross-validation whose folds never share a query, except that a stronger penalty of almost the same loss is preferred (`mostCautious`).
 * The probe is then fitted to all training texts and evaluated on the held-out ones.
 *
 * @throws SteeringError E_BAD_DATASET, E_BAD_ARGUMENT, E_NO_SITE, E_SHAPE, E_NOT_FINITE, E_ABORTED
 */
export async function trainProbe(model: Engine, options: TrainProbeOptions): Promise<Probe> {
  const { positive, negative, site = "resid_post", folds = 5, lambdas = [10, 1, 0.1, 0.01, 0.001], seed = 32, signal } = options;
  const { reads = "answer", system, templateVariables } = options;
  const format = resolveFormat(model, options.format);
  const layers = options.layers ?? readableLayers(model, site);
  requireInteger("folds", folds, { min: 2 });
  requireInteger("seed", seed);
  if (lambdas.length === 0) throw new SteeringError("E_BAD_ARGUMENT", "lambdas is empty; expected at least one λ");
  assertDifferent(positive, negative);
  const { training, heldOut, heldOutFrom } = partTexts(options, seed);
  const progress = joinedProgress(options.onProgress, [training, heldOut]);

  const how = { ...options, reads, format, site };
  const read = await readRows(model, training, { ...how, layers, onProgress: progress(0) });
  const groups = read.texts.map(({ question }) => question);
  const nGroups = new Set(groups).size;
  if (nGroups < folds) throw new SteeringError("E_BAD_DATASET", `${nGroups} different queries are too few for ${folds} folds`);
  const foldOf = groupedFolds(groups, folds, seed);
  checkFolds(read.texts, foldOf);
  const pause = async (): Promise<void> => {
    await new Promise(setImmediate);
    throwIfAborted(signal);
  };
  const tried: ProbeLayer[] = [];
  for (const [index, layer] of layers.entries()) {
    for (const result of await crossValidate(read.ofLayer(index), foldOf, lambdas, pause)) tried.push({ layer, ...result });
  }
  const { layer, lambda } = mostCautious(tried);
  const { weights, bias } = fitted(read.ofLayer(layers.indexOf(layer)), lambda);

  const judged = await readRows(model, heldOut, { ...how, layers: [layer], onProgress: progress(1) });
  const { rows, labels } = judged.ofLayer(0);
  const provenance: ProbeProvenance = {
    property: `${positive.name} vs ${negative.name}`,
    positive: datasetReference(positive), negative: datasetReference(negative), heldOut: heldOutFrom,
    ...(reads === "prompt" && { reads }), format, ...(system !== undefined && { system }), ...(templateVariables && { templateVariables }),
    trainedOn: read.texts.length, lambda, folds, seed, model: await model.fingerprint(), madeBy: `llama-steer ${packageVersion()}`,
  };
  const model32 = { weights: Float32Array.from(weights), bias };
  return {
    site, layer, ...model32,
    heldOut: judgementMetrics(rows.map((row) => sigmoid(probeLogit(model32, row))), labels),
    layers: layers.map((each) => mostCautious(tried.filter((result) => result.layer === each))),
    provenance,
  };
}

/**
 * Judge texts with a probe, in order: it reads each text's mean activation over its tokens, as in training; a probe of prompts takes each
 * text as a question, and reads the last token of its prompt. White space around a text is ignored. The result
 * is undefined for a text that is empty, longer than the model's context, or refused by its tokeniser; the others are still judged.
 *
 * @throws SteeringError E_BAD_ARGUMENT (a question for a probe of prompts), E_MODEL_MISMATCH, E_SHAPE, E_NOT_FINITE, E_ABORTED
 */
export async function probeTexts(
  model: Engine, probe: Probe, texts: readonly ProbeText[], options: ProbeTextsOptions = {},
): Promise<Array<ProbeJudgement | undefined>> {
  const { allowMismatch, ...how } = options;
  assertMadeFor(probe, await model.fingerprint(), allowMismatch, "probe");
  const { reads = "answer", format = "qa", system, templateVariables } = probe.provenance;
  if (reads === "prompt" && texts.some(({ question }) => question !== undefined)) {
    throw new SteeringError("E_BAD_ARGUMENT", `the probe "${probe.provenance.property}" reads prompts; expected texts without questions`);
  }
  const trained = { reads, format, ...(system !== undefined && { system }), ...(templateVariables && { templateVariables }) };
  const found = await readTexts(model, texts, { site: probe.site, layers: [probe.layer], ...trained, ...how });
  return found.map((activation) => {
    if (!activation) return undefined;
    const logit = probeLogit(probe, activation);
    return { probability: sigmoid(logit), logit };
  });
}

interface PartedTexts {
  training: LabelledText[];
  heldOut: LabelledText[];
  heldOutFrom: ProbeProvenance["heldOut"];
}

/** Split the texts of both datasets into training and held-out texts. */
function partTexts({ positive, negative, evalPositive, evalNegative, reads }: TrainProbeOptions, seed: number): PartedTexts {
  const labelled = reads === "prompt" ? labelledPrompts : labelledAnswers;
  const all = labelled(positive, negative);
  if (!evalPositive !== !evalNegative) {
    throw new SteeringError("E_BAD_ARGUMENT", "only one of evalPositive and evalNegative was given; expected both or neither");
  }
  if (evalPositive && evalNegative) {
    const trainedOn = new Set(all.map(({ question }) => question));
    const heldOut = labelled(evalPositive, evalNegative).filter(({ question }) => !trainedOn.has(question));
    const [fromPositive, fromNegative] = [datasetReference(evalPositive), datasetReference(evalNegative)];
    return { training: all, heldOut, heldOutFrom: { kind: "datasets", positive: fromPositive, negative: fromNegative } };
  }
  const questions = shuffled([...new Set(all.map(({ question }) => question))], seed);
  const aside = new Set(questions.slice(0, Math.ceil(questions.length / HELD_OUT)));
  return {
    training: all.filter(({ question }) => !aside.has(question)),
    heldOut: all.filter(({ question }) => aside.has(question)),
    heldOutFrom: { kind: "split" },
  };
}

function labelledAnswers(positive: Dataset, negative: Dataset): LabelledText[] {
  return [{ dataset: positive, label: true }, { dataset: negative, label: false }]
    .flatMap(({ dataset, label }) => dataset.rows.map(({ input, output }) => ({ question: input, text: output, label })));
}

/** Each query once, as a text. Throws E_BAD_DATASET unless both datasets have some that the other does not. */
function labelledPrompts(positive: Dataset, negative: Dataset): LabelledText[] {
  const [ofPositive, ofNegative] = [positive, negative].map(({ rows }) => new Set(rows.map(({ input }) => input.trim())));
  const own = (some: Set<string>, others: Set<string>, label: boolean): LabelledText[] =>
    [...some].filter((query) => !others.has(query)).map((query) => ({ question: query, text: query, label }));
  const [having, lacking] = [own(ofPositive!, ofNegative!, true), own(ofNegative!, ofPositive!, false)];
  if (having.length > 0 && lacking.length > 0) return [...having, ...lacking];
  throw new SteeringError("E_BAD_DATASET", `${positive.name} and ${negative.name} ask the same queries; expected different ones, since a probe `
    + "of prompts reads nothing else");
}

/** The readable texts and their activations. Throws E_BAD_DATASET unless both labels occur. */
async function readRows(
  model: Engine, texts: readonly LabelledText[], options: ReadOptions,
): Promise<{ texts: LabelledText[]; ofLayer: (index: number) => LabelledRows }> {
  const found = await readTexts(model, texts, options);
  const read = texts.filter((_, i) => found[i]);
  const labels = read.map(({ label }) => label);
  if (!labels.includes(true) || !labels.includes(false)) {
    throw new SteeringError("E_BAD_DATASET", "one of the datasets has no usable text; expected at least one: "
      + "texts that are too long, and held-out texts whose query is in the training data, are skipped");
  }
  const activations = found.filter((one) => one !== undefined);
  const width = activations[0]!.length / options.layers.length;
  const ofLayer = (index: number): LabelledRows =>
    ({ rows: activations.map((one) => one.subarray(index * width, (index + 1) * width)), labels });
  return { texts: read, ofLayer };
}

/** Throws E_BAD_DATASET unless both labels remain for training when any one fold is left out. */
function checkFolds(texts: readonly LabelledText[], foldOf: readonly number[]): void {
  for (const fold of new Set(foldOf)) {
    const labels = new Set(texts.filter((_, i) => foldOf[i] !== fold).map(({ label }) => label));
    if (labels.size < 2) {
      throw new SteeringError("E_BAD_DATASET",
        "a cross-validation fold trains on texts of only one dataset; expected texts of both: add rows, or use fewer folds");
    }
  }
}

/** Combined progress of consecutive tasks, in texts: their tokens are not counted in advance. */
function joinedProgress(
  onProgress: TrainProbeOptions["onProgress"], works: readonly (readonly LabelledText[])[],
): (work: number) => (done: number, total: number) => void {
  const sizes = works.map((texts) => texts.length);
  const all = sizes.reduce((a, b) => a + b, 0);
  return (work) => (done, total) => onProgress?.(sizes.slice(0, work).reduce((a, b) => a + b, 0) + (done / total) * sizes[work]!, all);
}
