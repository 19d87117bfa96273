import { differingQueries } from "../../lib/dataset/index.js";
import { datasets, spec } from "../../lib/experiments.js";
import { POOLINGS, answerPairs } from "../../lib/extract/index.js";
import {
  extract, loadDataset, SteeringError, type Dataset, type ExtractOptions, type ExtractPairsOptions, type Model, type PairsOrigin,
  type SteeringVector,
} from "../../lib/index.js";
import { resolveFormat } from "../../lib/prompt/index.js";
import { PAIR_METHODS, HOOK_SITES } from "../../lib/vector/index.js";
import { camelCase, command, options, titled, type OutputOptions, type Values } from "../command.js";
import { commandName, defined, interruptible, note, prepareOutput, print } from "../common.js";
import { openModel } from "../open-model.js";
import { count, file, formatGiven, formatOptions, MODEL } from "../options.js";
import { showProgress } from "../progress.js";

const ICL = titled("Options of --method icl", {
  "icl-examples": { ...count(0), describe: "Demonstrations per prompt", defaultDescription: "4" },
  support: { ...count(), describe: "Prompts per side, drawn with replacement", defaultDescription: "30" },
});

const PAIRS = titled(`Options of --method ${PAIR_METHODS.join(", ")}`, {
  pooling: {
    choices: POOLINGS, defaultDescription: "mean",
    describe: "What to read of an answer: the mean over its tokens, the last one, each step",
  },
  pairs: { ...count(), describe: "Number of pairs to draw", defaultDescription: "all" },
  "best-layers": { ...count(), describe: "Keep only the N layers that best separate held-out answers" },
});

const OPTIONS = options({
  ...MODEL,
  positive: { ...file, describe: "Dataset with the wanted behaviour: a name, or a file of {input, output} rows" },
  negative: { ...file, describe: "Dataset without it: the same queries with other answers" },
  method: {
    choices: ["icl", ...PAIR_METHODS], default: "icl",
    describe: "icl: contrast prompts with demonstrations, as published; else see below",
  },
  ...formatOptions("auto: chat if the model has a template, else qa; icl: qa as published if there is an instruction"),
  ...ICL,
  ...PAIRS,
  "max-new-tokens": { ...count(), describe: "Token steps of the vector, with icl or --pooling step", defaultDescription: "30" },
  seed: { ...count(0), default: 32, describe: "Seed of the draw and of the held-out answers" },
  site: {
    choices: HOOK_SITES, describe: "Hook site: the place in a block where activations are read",
    defaultDescription: "head_out for icl, else resid_post",
  },
  layers: { type: "string", describe: "Layers to extract, counted from 0, e.g. 4-9+12", defaultDescription: "all" },
  out: { type: "string", describe: "Vector file to write", defaultDescription: "POSITIVE-NEGATIVE.safetensors" },
});

type ExtractArguments = Values<typeof OPTIONS> & OutputOptions;

export default command({
  usage: "extract <model>",
  describe: "Extract a steering vector by contrasting two datasets",
  options: OPTIONS,
  examples: [
    ["extract gemma3-270m --positive ITA --negative ENG --out italian.safetensors"],
    ["extract gemma3-270m --positive ITA --negative ENG --method mean", "reads the answers"],
    ["extract model.gguf --positive polite.json --negative rude.json", "your own property"],
  ],
  epilogue: "The methods mean, pca and probe read the answers themselves, and take the mean difference, the principal "
    + "component of the differences, or the weights of a logistic regression.",
  run: (given) => interruptible((signal) => run(given, signal)),
});

async function run(options: ExtractArguments, signal: AbortSignal): Promise<void> {
  checkOptions(options);
  const how = formatGiven(options);
  const folder = datasets.folder(options.model);
  const [positive, negative] = [await loadDataset(options.positive, folder), await loadDataset(options.negative, folder)];
  noteDifferences(positive, negative, options);
  const out = options.out ?? `${positive.name}-${negative.name}.safetensors`;
  const chosen = spec.parseIndices(options.layers ?? "all");
  await prepareOutput(out, [options.positive, options.negative], options.quiet);
  await using model = await openModel(options, signal);
  const { method, pairs: nPairs, bestLayers } = options;
  const layersOf = bestLayers === undefined ? chosen : { best: bestLayers };
  const vector = method === "icl"
    ? await extractWithProgress(model, { ...options, ...how, layers: chosen === "all" ? undefined : chosen, positive, negative, signal })
    : await extractPairsWithProgress(model, { ...options, ...how, method, nPairs, layers: layersOf, positive, negative, signal });
  await vector.save(out);
  const { site, nSteps, width, layers, provenance } = vector;
  if (options.json) return print(JSON.stringify({ path: out, site, layers, nLayers: layers.length, nSteps, width, provenance }, null, 2));
  print(out);
  if (provenance.origin.kind === "pairs") noteLayers(provenance.origin, layers, options.quiet);
  const format = provenance.format === resolveFormat(model) ? "" : ` --format ${provenance.format}`;
  note(`${provenance.property} at ${site}: ${layers.length} layers, ${nSteps} steps, width ${width}. `
    + `Try: ${commandName()} generate ${options.model} "…"${format} --steer ${out}:fixed,1`, options.quiet);
}

/** Throws E_BAD_ARGUMENT for options that have no effect with the chosen method. */
function checkOptions(options: ExtractArguments): void {
  const { method, pooling, layers, bestLayers, maxNewTokens } = options;
  const others = PAIR_METHODS.join(", ");
  const isGiven = (name: string): boolean => options[camelCase(name) as keyof ExtractArguments] !== undefined;
  const misplaced = Object.keys(method === "icl" ? PAIRS : ICL).find(isGiven);
  const wrong = [
    misplaced && `--${misplaced} has no effect with --method ${method}; it is for --method ${method === "icl" ? others : "icl"}`,
    method !== "icl" && pooling !== "step" && maxNewTokens !== undefined
      && `--max-new-tokens has no effect with --pooling ${pooling ?? "mean"}; it is for --method icl and --pooling step`,
    layers !== undefined && bestLayers !== undefined && "--layers and --best-layers both choose layers; give only one of them",
  ].find((message) => typeof message === "string");
  if (wrong) throw new SteeringError("E_BAD_ARGUMENT", wrong);
}

function noteDifferences(positive: Dataset, negative: Dataset, { method, quiet }: ExtractArguments): void {
  if (method === "icl") {
    const { differing, compared } = differingQueries(positive, negative);
    const which = `${differing} of ${compared} rows`;
    if (differing > 0) note(`note: the datasets ask different queries in ${which}; the vector will also carry that difference`, quiet);
    return;
  }
  const nPairs = answerPairs(positive, negative).length;
  const skipped = [positive, negative].filter(({ rows }) => rows.length > nPairs)
    .map(({ name, rows }) => `${rows.length - nPairs} rows of ${name}`);
  if (skipped.length > 0) note(`note: skipped ${skipped.join(" and ")}, whose query the other dataset does not ask`, quiet);
}

/** How well each layer that was tried separates held-out answers. */
function noteLayers({ layerScores }: PairsOrigin, layers: readonly number[], quiet: boolean): void {
  for (const { layer, accuracy, auc } of layerScores ?? []) {
    const chosen = layers.includes(layer) ? ", chosen" : "";
    note(`layer ${layer}: AUC ${auc.toFixed(4)}, accuracy ${(100 * accuracy).toFixed(1)} %${chosen}`, quiet);
  }
}

/** Options of the library, where the command line may leave out all but the datasets. */
type Settings<T extends { positive: Dataset; negative: Dataset }> =
  { [K in keyof T]: T[K] | undefined } & Pick<T, "positive" | "negative"> & { quiet: boolean };

async function extractPairsWithProgress(model: Model, options: Settings<ExtractPairsOptions>): Promise<SteeringVector> {
  const { positive, negative, method, pooling, site, layers, maxNewTokens, nPairs, seed, signal, quiet } = options;
  const { format, system, templateVariables } = options;
  const progress = showProgress(`${positive.name} vs ${negative.name}`, quiet, "tokens");
  try {
    return await extract(model, {
      method: method ?? "mean", positive, negative, onProgress: progress.onProgress,
      ...defined({ format, system, templateVariables, pooling, site, layers, maxNewTokens, nPairs, seed, signal }),
    });
  } finally {
    progress.stop();
  }
}

/** Extraction with a bar on stderr. */
export async function extractWithProgress(model: Model, options: Settings<ExtractOptions>): ReturnType<typeof extract> {
  const { positive, negative, iclExamples, support, maxNewTokens, seed, site, layers, signal, quiet } = options;
  const { format, system, templateVariables } = options;
  const progress = showProgress(`${positive.name} vs ${negative.name}`, quiet, "tokens");
  try {
    return await extract(model, {
      positive, negative, onProgress: progress.onProgress,
      ...defined({ format, system, templateVariables, iclExamples, support, maxNewTokens, seed, site, layers, signal }),
    });
  } finally {
    progress.stop();
  }
}
