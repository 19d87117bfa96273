import { existsSync } from "node:fs";
import { join } from "node:path";
import { SteeringError } from "../../errors.js";
import { datasetReference, loadDataset, type Dataset } from "../../dataset/index.js";
import type { Engine } from "../../engine/index.js";
import { evaluateRun } from "../../evaluate/index.js";
import { extract } from "../../extract/index.js";
import { withLock } from "../../formats/index.js";
import type { Probe } from "../../probe/index.js";
import { promptTokens, promptTokensUnder, QUESTION_STOP, resolveFormat, type EvaluationPrompt } from "../../prompt/index.js";
import { LOCK_DOES, LOCK_NAME, RUN_FILE, type RunResults, type RunSetting } from "../../results/index.js";
import { assertMadeFor, loadVector, saveVector, type VectorData } from "../../vector/index.js";
import { carryOut, describeRun, type RunOptions } from "../run.js";
import { answerByMethods } from "./answer.js";
import { largestOf, settingOf, strengthsOf, workOf, type GatePart, type Parts } from "./candidates.js";
import type { MethodProperty, MethodsConfig } from "./config.js";
import { chosenJudge, judgesFor, probeFor, type JudgeSource, type Judges } from "./judges.js";
import { rowsPerSecond } from "./speed.js";
import { chosenStrength, StrengthsStore, type Strengths } from "./strengths.js";

/** Options of `runMethods`. */
export interface MethodsRunOptions extends RunOptions, JudgeSource {}

/**
 * Compare ways of steering towards a property, or several, on held-out questions: each at the strength that suits it best on other
 * questions, beside the unsteered model and a system message that asks (docs/method.md §10). Extracts the vectors, chooses the strengths,
 * answers the questions, and judges the answers; each part is kept in the folder, so that an interrupted comparison is resumed.
 *
 * @throws SteeringError E_BAD_ARGUMENT (every judge is the steered model), E_BAD_DATASET, E_BAD_RUN, E_BUSY, E_CONTEXT_FULL,
 *   E_MODEL_MISMATCH, E_NOT_FOUND, E_WRITE, E_ABORTED
 */
export async function runMethods(model: Engine, config: MethodsConfig, options: MethodsRunOptions): Promise<RunResults> {
  const { out, datasets, signal, onNotice } = options;
  const { judge, judgeName } = await chosenJudge(model, config, options);
  const questions = await loadDataset(config.questions, datasets);
  const { heldOut, validation } = await questionPrompts(model, questions, config);
  await tellTime(model, config, options);
  const ready = await withLock(join(out, LOCK_NAME), async () => {
    const store = await StrengthsStore.open(out, config, model);
    const kit = { judge, judgeName, datasets, out, signal, onNotice };
    const vectors: VectorData[] = [];
    for (const property of config.properties) vectors.push(await vectorOf(model, property, config, options));
    const { gate, probes } = await gateOf(model, config, options);
    const judges = await judgesFor(config, kit);
    const parts = { vectors, gate };
    await chooseAll(model, config, { store, parts, probes, judges, prompts: validation }, options);
    return { parts, probes, judges, strengths: store.methods };
  }, LOCK_DOES);
  const { parts, probes, judges, strengths } = ready;
  const [only, ...others] = config.properties;
  const references = others.length > 0 || only!.positive === undefined ? {} : {
    positive: datasetReference(await loadDataset(only!.positive, datasets)),
    negative: datasetReference(await loadDataset(only!.negative!, datasets)),
  };
  const run = await describeRun(model, {
    kind: others.length > 0 ? "compose" : "single",
    config: { ...config, cost: "perplexity", prompted: config.message, strengths, judge: judgeName, format: resolveFormat(model) },
    settings: settingsOf(config, parts, strengths), nPrompts: heldOut.length,
    datasets: { ...references, evaluation: datasetReference(questions) },
    vectors: config.properties.map(({ name }) => ({ property: name, file: vectorFile(name), hash: null })),
  }, options);
  await carryOut(model, {
    run, prompts: heldOut, maxNewTokens: config.maxNewTokens, vectors: async () => parts.vectors.map((vector) => ({ vector })),
    answer: (engine, index, prompt, asked) => answerByMethods(engine, index, prompt, { ...asked, probes }),
  }, options);
  return evaluateRun(out, judges.all, { ...(signal && { signal }) });
}

/** The unsteered question, the system message, each vector alone if there are several, and each method at its strength. */
function settingsOf({ methods, properties }: MethodsConfig, parts: Parts, strengths: Strengths): RunSetting[] {
  const alone = properties.length === 1 ? [] : properties.map(({ name }, vector): RunSetting => {
    const { label: _, ...setting } = settingOf("fixed", 1, { vectors: [parts.vectors[vector]!], gate: undefined });
    return { ...setting, label: `${name} alone`, steer: setting.steer.map((each) => ({ ...each, vector })) };
  });
  return [
    { label: "no-icl", prompt: "no-icl", steer: [] }, { label: "prompted", prompt: "prompted", steer: [] }, ...alone,
    ...methods.map((method) => settingOf(method, strengths[method]!.chosen, parts)),
  ];
}

/** The number of questions that a comparison asks. Throws E_BAD_DATASET if there are fewer. */
export function assertEnough({ questions, evaluationSize, validation }: MethodsConfig, nRows: number): number {
  const needed = evaluationSize + validation;
  if (nRows >= needed) return needed;
  throw new SteeringError("E_BAD_DATASET", `${questions} has ${nRows} rows; ${evaluationSize} held-out questions and ${validation} that `
    + `choose the strengths need ${needed}. Lower evaluationSize or validation`);
}

/** The held-out questions, and those after them. Throws E_BAD_DATASET. */
async function questionPrompts(
  model: Engine, { rows }: Dataset, config: MethodsConfig,
): Promise<Record<"heldOut" | "validation", EvaluationPrompt[]>> {
  const { evaluationSize, message, maxNewTokens } = config;
  const needed = assertEnough(config, rows.length);
  const format = resolveFormat(model);
  const prompts = await Promise.all(rows.slice(0, needed).map(async ({ input, output }): Promise<EvaluationPrompt> => {
    const noIcl = await promptTokens(model, input, { format });
    const prompted = await promptTokensUnder(model, message, input, { format });
    if (Math.max(noIcl.length, prompted.length) + maxNewTokens > model.maxContext) {
      throw new SteeringError("E_CONTEXT_FULL", `"${input}" and its answer do not fit into the model's context of ${model.maxContext} tokens`);
    }
    return {
      question: input, gold: output, stop: format === "qa" ? [QUESTION_STOP] : [], noIcl, icl: noIcl, iclLanguage: undefined, prompted,
    };
  }));
  return { heldOut: prompts.slice(0, evaluationSize), validation: prompts.slice(evaluationSize) };
}

const vectorFile = (name: string): string => `${name}.safetensors`;

async function vectorOf(
  model: Engine, { name, positive, negative, towards, away }: MethodProperty, config: MethodsConfig, options: MethodsRunOptions,
): Promise<VectorData> {
  const { out, datasets, signal, onExtraction } = options;
  const path = join(out, vectorFile(name));
  if (existsSync(path)) {
    const vector = await loadVector(path);
    assertMadeFor(vector, await model.fingerprint());
    return vector;
  }
  const common = { format: resolveFormat(model), ...(signal && { signal }), ...(onExtraction && { onProgress: onExtraction }) };
  const { support, seed, maxNewTokens } = config;
  const vector = await extract(model, towards !== undefined ? { towards, ...(away !== undefined && { away }), ...common } : {
    positive: await loadDataset(positive!, datasets), negative: await loadDataset(negative!, datasets),
    support, seed, maxNewTokens, ...common,
  });
  await saveVector(path, vector);
  return vector;
}

/** The gate of the method `gated`: a probe in the lower third of the layers, below those that it lets steer. */
async function gateOf(
  model: Engine, { methods, properties }: MethodsConfig, { out, datasets, signal, onNotice }: MethodsRunOptions,
): Promise<{ gate: GatePart | undefined; probes: Map<string, Probe> }> {
  const probes = new Map<string, Probe>();
  if (!methods.includes("gated")) return { gate: undefined, probes };
  const { nLayer } = model.info;
  const layers = Array.from({ length: Math.max(1, Math.floor(nLayer / 3)) }, (_, layer) => layer);
  const [property] = properties;
  const file = `gate-${property!.name}.safetensors`;
  const probe = await probeFor([[property!.positive!, property!.negative!]], model, { out, file, datasets, signal, onNotice, layers });
  probes.set(file, probe);
  const above = Array.from({ length: nLayer - probe.layer - 1 }, (_, index) => probe.layer + 1 + index);
  return { gate: { probe: file, layers: above }, probes };
}

async function chooseAll(
  model: Engine, config: MethodsConfig,
  { store, parts, probes, judges, prompts }: {
    store: StrengthsStore; parts: Parts; probes: ReadonlyMap<string, Probe>; judges: Judges; prompts: readonly EvaluationPrompt[];
  },
  { signal, onProgress, onNotice }: MethodsRunOptions,
): Promise<void> {
  const n = config.properties.length;
  const left = config.methods.filter((method) => !store.methods[method]);
  let total = left.reduce((sum, method) => sum + prompts.length * (1 + strengthsOf(method, n).length), 0);
  let done = 0;
  for (const method of left) {
    const range = {
      strengths: strengthsOf(method, n), largest: largestOf(method), settingOf: (strength: number) => settingOf(method, strength, parts),
    };
    const found = await chosenStrength(model, range, {
      prompts, probes, judges, maxNewTokens: config.maxNewTokens, signal, vectors: parts.vectors.map((vector) => ({ vector })),
      onAnswer: () => onProgress?.(Math.min(++done, total - 1), total), // the answers to the held-out questions follow
      onFurther: () => { total += prompts.length; },
    });
    await store.keep(method, found);
    const { label } = range.settingOf(found.chosen);
    const tried = found.tried.map(({ score }) => score.toFixed(2)).join(", ");
    onNotice?.(`${config.name}: ${label} has the best score on ${prompts.length} validation questions (${tried}, weakest first)`);
  }
}

/** Tells how long a comparison takes from its beginning, about, at the speed of this machine now. */
async function tellTime(model: Engine, config: MethodsConfig, { out, onNotice }: MethodsRunOptions): Promise<void> {
  if (onNotice === undefined || existsSync(join(out, RUN_FILE))) return;
  const { choosing, answering } = workOf(config);
  const rate = await rowsPerSecond(model);
  const minutes = (rows: number): string => (rows / rate / 60).toFixed(rows / rate < 600 ? 1 : 0);
  onNotice(`${config.name}: about ${minutes(choosing + answering)} minutes from its beginning, without vectors and probes: `
    + `${minutes(choosing)} to choose strengths, ${minutes(answering)} to answer (${Math.round(rate)} rows/s)`);
}
