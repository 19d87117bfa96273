import { isDeepStrictEqual } from "node:util";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { SteeringError } from "../errors.js";
import { baseName, datasetReference, differingQueries, loadDataset, type Dataset } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import { planExtraction, runExtraction, type ExtractionPlan } from "../extract/index.js";
import { regularFileSize, withLock } from "../formats/index.js";
import { sha256File } from "../models/index.js";
import { formattedPrompts, type FormatOptions } from "../prompt/index.js";
import { LOCK_DOES, LOCK_NAME, type RunResults, type RunStore } from "../results/index.js";
import { assertHeads, assertMadeFor, formatNotice, formatOf, loadVector, saveVector, type VectorData } from "../vector/index.js";
import { formatOfConfig, parseSingle, withFormat, withPrompted, type SingleConfig, type SingleOptions } from "./config.js";
import { carryOut, describeRun, type RunOptions } from "./run.js";
import { singleSettings } from "./setting-list.js";

/** Options of `runSingle`. */
export interface SingleRunOptions extends RunOptions {
  /** Path to an existing vector for this property and model; default: extract the vector and save it in the folder. */
  vector?: string;
  /** Stop after the extraction. */
  skipEval?: boolean;
}

/**
 * Steer towards one property, as the published `diff_main` does: extract its vector, answer the evaluation prompts in every setting,
 * measure ΔPPL (docs/method.md §3, §4, §6). If the folder holds the same run, the run is resumed.
 *
 * @returns the results; undefined with `skipEval`
 * @throws SteeringError E_BAD_ARGUMENT, E_BAD_DATASET, E_BAD_RUN, E_BUSY, E_CONTEXT_FULL, E_MODEL_MISMATCH, E_NOT_FOUND, E_WRITE,
 *   E_ABORTED
 */
export async function runSingle(
  model: Engine,
  options: SingleOptions,
  runOptions: SingleRunOptions,
): Promise<RunResults | undefined> {
  const asked = withFormat(model, parseSingle(options));
  const { positive, negative, evaluation } = await singleDatasets(asked, runOptions);
  const config = await withPrompted(asked, { shows: positive, lacks: negative }, runOptions);
  checkParts(model, config);
  const how = formatOfConfig(config);
  const plan = await planExtraction(model, extractionOf(config, positive, negative, how));
  const property = baseName(positive.name);
  const file = runOptions.vector ?? `${property}-${baseName(negative.name)}.safetensors`;
  const path = runOptions.vector ?? join(runOptions.out, file);
  if (runOptions.skipEval) {
    await withLock(join(runOptions.out, LOCK_NAME), () => vectorOf(model, plan, path, runOptions), LOCK_DOES);
    return undefined;
  }
  const prompts = await formattedPrompts(model, { questions: evaluation, icl: evaluation }, config, how);
  const run = await describeRun(model, {
    kind: "single", config, settings: singleSettings(config), nPrompts: prompts.length,
    datasets: { positive: datasetReference(positive), negative: datasetReference(negative), evaluation: datasetReference(evaluation) },
    vectors: [{ property, file, hash: runOptions.vector ? await hashOf(runOptions.vector) : null }],
  }, runOptions);
  if (prompts.length < config.evaluationSize) {
    runOptions.onNotice?.(`${evaluation.name} yields only ${prompts.length} prompts, not ${config.evaluationSize}`);
  }
  const { layers, heads, maxNewTokens } = config;
  const vectors = async (store: RunStore) => [{ vector: await vectorOf(model, plan, path, runOptions, store), layers, heads }];
  return carryOut(model, { run, prompts, maxNewTokens, vectors }, runOptions);
}

async function singleDatasets(
  config: SingleConfig,
  { datasets: folder, onNotice }: RunOptions,
): Promise<{ positive: Dataset; negative: Dataset; evaluation: Dataset }> {
  const [positive, negative] = [await loadDataset(config.positive, folder), await loadDataset(config.negative, folder)];
  const { differing, compared } = differingQueries(positive, negative);
  if (differing > 0) {
    onNotice?.(`${positive.name} and ${negative.name} have different queries in ${differing} of ${compared} rows; `
      + "the vector will contain that difference, too");
  }
  return { positive, negative, evaluation: config.evalDataset === undefined ? positive : await loadDataset(config.evalDataset, folder) };
}

function extractionOf(config: SingleConfig, positive: Dataset, negative: Dataset, how: FormatOptions) {
  const { iclExamples, support, seed, supportIndices, maxNewTokens, site, layers, promptFormat } = config;
  return {
    ...how, positive, negative, iclExamples, maxNewTokens, site, promptFormat,
    ...(supportIndices ? { supportIndices } : { support, seed }),
    ...(layers === "all" ? {} : { layers }),
  };
}

/** Load the vector of a plan from the path or, if there is no file, extract it and save it there. */
async function vectorOf(
  model: Engine,
  plan: ExtractionPlan,
  path: string,
  { vector: given, signal, onExtraction, onNotice }: SingleRunOptions,
  store?: RunStore,
): Promise<VectorData> {
  if (given !== undefined || existsSync(path)) {
    const vector = await loadVector(path);
    assertMadeFor(vector, await model.fingerprint());
    if (given === undefined && !isOfPlan(vector, plan)) {
      throw new SteeringError("E_BAD_RUN", `${path} already exists with other extraction settings; choose another folder (--out)`);
    }
    if (given !== undefined) {
      checkGiven(vector, plan, path);
      const notice = formatNotice(path, vector.provenance, { ...plan.provenance, format: plan.provenance.format ?? "qa" });
      if (notice !== undefined) onNotice?.(notice);
    }
    return vector;
  }
  const begun = performance.now();
  const vector = await runExtraction(model, plan, { ...(signal && { signal }), ...(onExtraction && { onProgress: onExtraction }) });
  await saveVector(path, vector);
  const seconds = (performance.now() - begun) / 1000;
  await store?.time({ what: "extraction", seconds, tokens: 2 * plan.pairs.length * vector.nSteps });
  return vector;
}

/** A given vector is used unchanged, but must have the experiment's datasets and hook site. Throws E_BAD_ARGUMENT. */
function checkGiven({ site, provenance }: VectorData, plan: ExtractionPlan, path: string): void {
  const { origin } = provenance;
  const isSame = (side: "positive" | "negative"): boolean =>
    "positive" in origin && origin[side].hash === plan.provenance.origin[side].hash;
  const differences = ([["positive", isSame("positive")], ["negative", isSame("negative")], ["hook site", site === plan.site]] as const)
    .filter(([, isAsAsked]) => !isAsAsked).map(([name]) => name);
  if (differences.length === 0) return;
  throw new SteeringError("E_BAD_ARGUMENT",
    `${path} is ${provenance.property} at ${site}, which differs from the experiment in: ${differences.join(", ")}`);
}

/** Throws E_SHAPE; called before anything is computed or written. */
function checkParts({ info }: Engine, { layers, heads, site }: SingleConfig): void {
  const layer = layers === "all" ? undefined : layers.find((each) => each >= info.nLayer);
  if (layer !== undefined) {
    throw new SteeringError("E_SHAPE", `layer ${layer} does not exist; the model has layers 0 to ${info.nLayer - 1}`);
  }
  if (heads !== "all") assertHeads(site, heads, info.nHead);
}

function isOfPlan(vector: VectorData, plan: ExtractionPlan): boolean {
  const described = ({ site, layers, provenance }: Pick<VectorData, "site" | "layers" | "provenance">): unknown => {
    const { madeBy: _madeBy, calibration: _calibration, health: _health, ...compared } = provenance;
    const asked = { format: formatOf(provenance), templateVariables: provenance.templateVariables ?? {} };
    return JSON.parse(JSON.stringify([site, layers, { ...compared, ...asked }]));
  };
  return isDeepStrictEqual(described(vector), described(plan));
}

/** SHA-256 of a vector file. Throws E_NOT_FOUND. */
export async function hashOf(path: string): Promise<string> {
  await regularFileSize(path, `vector file ${path}`);
  return `sha256:${await sha256File(path)}`;
}
