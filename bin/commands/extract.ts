import { basename, extname } from "node:path";
import { differingQueries, loadQuestions } from "../../lib/dataset/index.js";
import { datasets, spec } from "../../lib/experiments.js";
import { HELD_OUT_QUESTIONS, POOLINGS, answerPairs, loadContrastTexts } from "../../lib/extract/index.js";
import {
  extract, loadDataset, SteeringError, type CacheOption, type Dataset, type ExtractOptions, type ExtractPairsOptions, type Model,
  type PairsOrigin, type SteeringVector,
} from "../../lib/index.js";
import { resolveFormat } from "../../lib/prompt/index.js";
import { scheduleText } from "../../lib/steering/index.js";
import { PAIR_METHODS, HOOK_SITES } from "../../lib/vector/index.js";
import { command, options, titled, type OutputOptions, type Values } from "../command.js";
import { onStderr } from "../colours.js";
import { commandName, defined, interruptible, note, prepareOutput, print } from "../common.js";
import { checkSource, sourceOf } from "../extract-source.js";
import { openModel } from "../open-model.js";
import { count, formatGiven, formatOptions, MODEL } from "../options.js";
import { showProgress } from "../progress.js";
import { sampleLines, sampleOf } from "../sample.js";
import { calibrationResult, healthLine } from "../show-vector.js";
import { noteToy } from "../toy-notice.js";
import { widthOf } from "../wrapped.js";

const WORDS = titled("From words", {
  towards: { type: "string", describe: 'Wanted behaviour; completes "You are someone who …"' },
  away: { type: "string", describe: "Behaviour to turn away from, in the same form", defaultDescription: "a neutral assistant" },
  questions: {
    type: "string", describe: "Questions to ask: a text file with one per line, or a dataset",
    defaultDescription: "16 everyday questions",
  },
});

const DATASETS = titled("From two datasets", {
  positive: { type: "string", describe: "Dataset with the wanted behaviour: a name, or a file of {input, output} rows" },
  negative: { type: "string", describe: "Dataset without it: the same queries with other answers" },
});

const TEXTS = titled("From texts", {
  pairs: { type: "string", describe: "JSON file of personas and openings, or of pairs of texts" },
});

const ICL = titled("Options of --method icl", {
  "icl-examples": { ...count(0), describe: "Demonstrations per prompt", defaultDescription: "4" },
  support: { ...count(), describe: "Prompts per side, drawn with replacement", defaultDescription: "30" },
});

const PAIRS = titled(`Options of --method ${PAIR_METHODS.join(", ")}`, {
  pooling: {
    choices: POOLINGS, defaultDescription: "mean; step for --towards",
    describe: "What to read of an answer: the mean over its tokens, the last one, each step",
  },
  "n-pairs": { ...count(), describe: "Number of pairs to draw", defaultDescription: "all" },
  "best-layers": { ...count(), describe: "Keep only the N layers that best separate held-out answers" },
});

const OPTIONS = options({
  ...MODEL,
  ...WORDS,
  ...DATASETS,
  ...TEXTS,
  method: {
    choices: ["icl", ...PAIR_METHODS], defaultDescription: "icl for datasets, mean for texts",
    describe: "icl: contrast prompts with demonstrations, as published; else see below",
  },
  ...formatOptions("auto: chat if the model has a template, else qa; icl: qa as published if there is an instruction"),
  ...ICL,
  ...PAIRS,
  "max-new-tokens": {
    ...count(), describe: "Token steps of the vector, with --towards, icl or --pooling step", defaultDescription: "30, 20 for --towards",
  },
  seed: { ...count(0), default: 32, describe: "Seed of the draw and of the held-out answers" },
  site: {
    choices: HOOK_SITES, describe: "Hook site: the place in a block where activations are read",
    defaultDescription: "head_out for words and icl, else resid_post",
  },
  layers: { type: "string", describe: "Layers to extract, counted from 0, e.g. 4-9+12", defaultDescription: "all" },
  strength: {
    type: "boolean", default: true, describe: "Measure how strongly to add the vector; --no-strength does not",
  },
  cache: {
    type: "boolean", default: true, describe: "Reuse the vector of an earlier, equal extraction; --no-cache extracts anew",
  },
  out: { type: "string", describe: "Vector file to write", defaultDescription: "from the names of what is contrasted" },
});

type ExtractArguments = Values<typeof OPTIONS> & OutputOptions;

export default command({
  usage: "extract <model>",
  describe: "Extract a steering vector from words, datasets or texts",
  options: OPTIONS,
  examples: [
    ['extract qwen2.5-coder-0.5b-instruct --towards "speaks like a cheerful friend" --away "is gloomy"'],
    ["extract gemma3-270m --positive ITA --negative ENG --out italian.safetensors"],
    ["extract gemma3-270m --positive ITA --negative ENG --method mean", "reads the answers"],
    ["extract model.gguf --positive polite.json --negative rude.json", "your own property"],
  ],
  epilogue: "The methods mean, pca and probe read the answers themselves, and take the mean difference, the principal "
    + "component of the differences, or the weights of a logistic regression.",
  run: (given) => interruptible((signal) => run(given, signal)),
});

async function run(options: ExtractArguments, signal: AbortSignal): Promise<void> {
  const source = sourceOf(options);
  checkSource(source, options);
  const how = formatGiven(options);
  const chosen = spec.parseIndices(options.layers ?? "all");
  const layers = chosen === "all" ? undefined : chosen;
  const { quiet, towards, away, pairs, nPairs, bestLayers, site, seed, maxNewTokens, pooling, strength } = options;
  const cache = options.cache ? undefined : false; // undefined: as the environment says
  const layersOf = bestLayers === undefined ? layers : { best: bestLayers };

  if (source.kind === "words") {
    const out = options.out ?? `${fileName(towards!)}.safetensors`;
    const given = options.questions;
    const questions = given === undefined ? undefined : await loadQuestions(given, datasets.folder(options.model), { signal });
    await prepareOutput(out, given === undefined ? [] : [given], quiet);
    noteToy(options.model, quiet);
    return finish(options, out, signal, (model) => withProgress(towards!, quiet, (shown) => extract(model, {
      towards: towards!, ...(pooling && { pooling: pooling as "step" | "mean" }), ...shown, ...how,
      ...defined({ away, questions, site, layers, maxNewTokens, strength, cache, signal }),
    })));
  }
  if (source.kind === "texts") {
    const name = basename(pairs!, extname(pairs!));
    const out = options.out ?? `${name}.safetensors`;
    const texts = await loadContrastTexts(pairs!);
    await prepareOutput(out, [pairs!], quiet);
    return finish(options, out, signal, (model) => withProgress(name, quiet, (shown) => extract(model, {
      texts, name, seed, ...shown, ...how, ...(source.method && { method: source.method }),
      ...defined({ site, layers: layersOf, strength, cache, signal }),
    })));
  }
  const folder = datasets.folder(options.model);
  const [positive, negative] = [await loadDataset(options.positive!, folder), await loadDataset(options.negative!, folder)];
  noteDifferences(positive, negative, options);
  const out = options.out ?? `${positive.name}-${negative.name}.safetensors`;
  await prepareOutput(out, [options.positive!, options.negative!], quiet);
  return finish(options, out, signal, (model) => (source.kind === "icl"
    ? extractWithProgress(model, { ...options, ...how, cache, layers, positive, negative, signal })
    : extractPairsWithProgress(
      model, { ...options, ...how, cache, method: source.method, nPairs, layers: layersOf, positive, negative, signal },
    )));
}

/** Extracts with the model, saves the vector, and says what it is. */
async function finish(
  options: ExtractArguments, out: string, signal: AbortSignal, make: (model: Model) => Promise<SteeringVector>,
): Promise<void> {
  await using model = await openModel(options, signal);
  const vector = await make(model);
  await vector.save(out);
  const { site, nSteps, width, layers, provenance } = vector;
  if (options.json) return print(JSON.stringify({ path: out, site, layers, nLayers: layers.length, nSteps, width, provenance }, null, 2));
  print(out);
  if (provenance.origin.kind === "pairs") noteLayers(provenance.origin, layers, options.quiet);
  note(`${provenance.property} at ${site}: ${layers.length} layers, ${nSteps} steps, width ${width}`, options.quiet);
  if (provenance.health) note(`health: ${healthLine(provenance.health)}`, options.quiet);
  const format = provenance.format === resolveFormat(model) ? "" : ` --format ${provenance.format}`;
  await noteSample(model, vector, signal, options.quiet);
  noteStrength(vector, `${commandName()} generate ${options.model} "…"${format} --steer ${out}`, options);
}

/** One answer without and with the vector at its measured strength: figures alone do not show what a vector does. */
async function noteSample(model: Model, vector: SteeringVector, signal: AbortSignal, quiet: boolean): Promise<void> {
  const { calibration } = vector.provenance;
  if (!calibration || quiet) return;
  const asked = { question: HELD_OUT_QUESTIONS[0]!, maxNewTokens: 32, signal };
  try {
    const sample = await sampleOf(model, { vector, schedule: calibration.schedule }, asked);
    note(sampleLines(sample, onStderr, widthOf(process.stderr)), quiet);
  } catch (error) {
    if (!(error instanceof SteeringError) || error.code === "E_ABORTED") throw error;
    note(`No sample answer could be written, but the vector is saved: ${error.message}`, quiet);
  }
}

/** The measured strength, and how to use the vector. */
function noteStrength({ provenance: { calibration } }: SteeringVector, steer: string, { strength, quiet }: ExtractArguments): void {
  if (calibration) return note(`strength ${scheduleText(calibration.schedule)}: ${calibrationResult(calibration)}. Try: ${steer}`, quiet);
  if (!strength) return note(`Try: ${steer}:fixed,1, or measure the strength first with ${commandName()} calibrate`, quiet);
  note(`No strength was measured: no alpha spends the KL budget, or no question fits into the context. Try: ${steer}:fixed,1`, quiet);
}

/** The letters and digits of a text, shortened, as the name of a file. */
function fileName(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 40) || "vector";
}

function noteDifferences(positive: Dataset, negative: Dataset, { method = "icl", quiet }: ExtractArguments): void {
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
  { [K in keyof T]: T[K] | undefined } & Pick<T, "positive" | "negative">
  & { quiet: boolean; strength?: boolean; cache?: boolean | undefined };

async function extractPairsWithProgress(model: Model, options: Settings<ExtractPairsOptions>): Promise<SteeringVector> {
  const { positive, negative, method, pooling, site, layers, maxNewTokens, nPairs, seed, signal, quiet } = options;
  const { format, system, templateVariables, strength, cache } = options;
  return withProgress(`${positive.name} vs ${negative.name}`, quiet, (shown) => extract(model, {
    method: method ?? "mean", positive, negative, ...shown,
    ...defined({ format, system, templateVariables, pooling, site, layers, maxNewTokens, nPairs, seed, strength, cache, signal }),
  }));
}

async function extractWithProgress(model: Model, options: Settings<ExtractOptions>): Promise<SteeringVector> {
  const { positive, negative, iclExamples, support, maxNewTokens, seed, site, layers, signal, quiet } = options;
  const { format, system, templateVariables, strength, cache } = options;
  return withProgress(`${positive.name} vs ${negative.name}`, quiet, (shown) => extract(model, {
    positive, negative, ...shown,
    ...defined({ format, system, templateVariables, iclExamples, support, maxNewTokens, seed, site, layers, strength, cache, signal }),
  }));
}

/** What an extraction tells while it runs. */
type Shown = Required<Pick<ExtractOptions & CacheOption, "onProgress" | "onCached">>;

/** Work with a bar of tokens on stderr. */
export async function withProgress<Result>(
  name: string, quiet: boolean, work: (shown: Shown) => Promise<Result>,
): Promise<Result> {
  const progress = showProgress(name, quiet, "tokens");
  try {
    return await work({ onProgress: progress.onProgress, onCached: (path) => note(`from the cache (${path})`, quiet) });
  } finally {
    progress.stop();
  }
}
