import { SteeringError } from "../errors.js";
import { baseName, datasetReference, differingQueries, loadDataset } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import { formattedPrompts } from "../prompt/index.js";
import type { RunResults } from "../results/index.js";
import { loadVector, assertMadeFor, formatNotice, select, type VectorData } from "../vector/index.js";
import { formatOfConfig, parseCompose, withFormat, withPrompted, type ComposeOptions } from "./config.js";
import { carryOut, describeRun, type RunOptions } from "./run.js";
import { composeSettings } from "./setting-list.js";
import { hashOf } from "./single.js";

/**
 * Steer towards several properties at once, as the published `compositionality` does (docs/method.md §5). Answers the questions of the
 * source dataset with each vector alone, and with all of them by Dyn and on a grid of alphas. Measures ΔPPL against the answers after
 * demonstrations that show all properties. Works with any number of vectors.
 *
 * @throws SteeringError E_BAD_ARGUMENT, E_BAD_DATASET, E_BAD_RUN, E_BUSY, E_CONTEXT_FULL, E_MODEL_MISMATCH, E_NOT_FOUND, E_WRITE,
 *   E_ABORTED
 */
export async function runCompose(model: Engine, options: ComposeOptions, runOptions: RunOptions): Promise<RunResults> {
  const { vectors: paths, ...asked } = withFormat(model, parseCompose(options));
  const vectors = await Promise.all(paths.map(loadVector));
  for (const vector of vectors) assertMadeFor(vector, await model.fingerprint());
  const properties = propertyNames(vectors);
  const load = (name: string) => loadDataset(name, runOptions.datasets);
  const questions = await load(asked.source);
  const icl = await load(asked.composed);
  const config = await withPrompted(asked, { shows: icl, lacks: questions }, runOptions);
  const language = config.language === undefined ? undefined : await load(config.language);
  const { differing, compared } = differingQueries(questions, icl);
  if (differing > 0) {
    runOptions.onNotice?.(`${questions.name} and ${icl.name} have different queries in ${differing} of ${compared} rows; `
      + "for those rows, ΔPPL is measured on answers to other questions");
  }

  for (const vector of vectors) select(vector, config, model.info.nHead); // E_SHAPE before anything is written
  const maxNewTokens = Math.min(config.maxNewTokens, ...vectors.map(({ nSteps }) => nSteps));
  if (maxNewTokens < config.maxNewTokens) {
    runOptions.onNotice?.(`answers are limited to ${maxNewTokens} tokens, the number of steps of the shortest vector`);
  }
  const how = formatOfConfig(config);
  for (const [index, { provenance }] of vectors.entries()) {
    const notice = formatNotice(paths[index]!, provenance, how);
    if (notice !== undefined) runOptions.onNotice?.(notice);
  }
  const prompts = await formattedPrompts(model, { questions, icl, language }, { ...config, maxNewTokens }, how);
  if (prompts.length < config.evaluationSize) {
    runOptions.onNotice?.(`the datasets yield only ${prompts.length} prompts, not ${config.evaluationSize}`);
  }
  const run = await describeRun(model, {
    kind: "compose", config: { ...config, maxNewTokens }, nPrompts: prompts.length,
    settings: composeSettings({ ...config, vectors: paths }, properties, language && baseName(language.name)),
    datasets: {
      source: datasetReference(questions), composed: datasetReference(icl), ...(language && { language: datasetReference(language) }),
    },
    vectors: await Promise.all(paths.map(async (file, index) => ({ property: properties[index]!, file, hash: await hashOf(file) }))),
  }, runOptions);
  const parts = vectors.map((vector) => ({ vector, layers: config.layers, heads: config.heads }));
  return carryOut(model, { run, prompts, maxNewTokens, vectors: async () => parts }, runOptions);
}

/** Short names of the vectors' properties. Throws E_BAD_ARGUMENT if two are the same. */
function propertyNames(vectors: readonly VectorData[]): string[] {
  const names = vectors.map(({ provenance: { origin, property } }) => ("positive" in origin ? baseName(origin.positive.name) : property));
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new SteeringError("E_BAD_ARGUMENT", `two vectors steer towards ${twice}; expected a different property for each`);
  }
  return names;
}
