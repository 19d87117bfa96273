import type { ArgumentsCamelCase, Argv, CommandModule } from "yargs";
import { differingQueries } from "../../lib/dataset/index.js";
import { datasets, spec } from "../../lib/experiments.js";
import { PAIR_TEMPLATES, POOLINGS, answerPairs } from "../../lib/extract/index.js";
import { assertWritable } from "../../lib/formats/index.js";
import { extract, loadDataset, SteeringError, type Dataset, type ExtractOptions, type ExtractPairsOptions, type HookSite, type Model, type PairMethod, type PairsOrigin, type Pooling, type SteeringVector } from "../../lib/index.js";
import { PAIR_METHODS, HOOK_SITES } from "../../lib/vector/index.js";
import { commandName, defined, interruptible, modelOptions, note, print, wholeNumber, type ModelOptions } from "../common.js";
import { openModel } from "../open-model.js";
import { showProgress, tokenCount } from "../progress.js";

interface ExtractArguments extends ModelOptions {
  positive: string;
  negative: string;
  method: "icl" | PairMethod;
  iclExamples: number | undefined;
  support: number | undefined;
  template: PairsOrigin["template"] | undefined;
  pooling: Pooling | undefined;
  pairs: number | undefined;
  bestLayers: number | undefined;
  maxNewTokens: number | undefined;
  seed: number;
  site: HookSite | undefined;
  layers: string | undefined;
  out: string | undefined;
}

/** What belongs to one way of extraction only. */
const ICL_OPTIONS = ["icl-examples", "support"] as const;
const PAIR_OPTIONS = ["template", "pooling", "pairs", "best-layers"] as const;

/** `llama-steer extract MODEL --positive ITA --negative ENG` */
export const extractCommand: CommandModule<object, ExtractArguments> = {
  command: "extract <model>",
  describe: "Extract a steering vector by contrasting two datasets",
  builder: (yargs) => modelOptions(yargs as Argv<object>)
    .option("positive", { type: "string", demandOption: true, describe: "Dataset that shows the wanted behaviour: a name, or a JSON file of {input, output} rows" })
    .option("negative", { type: "string", demandOption: true, describe: "Dataset that it is contrasted with: the same queries, other answers" })
    .option("method", { choices: ["icl", ...PAIR_METHODS] as const, default: "icl" as const, describe: "icl: prompts with demonstrations, as published; else the answers themselves are read: their mean difference, its principal component, or a probe's weights" })
    .option("icl-examples", { type: "number", defaultDescription: "4", coerce: wholeNumber("icl-examples", 0), describe: "icl: demonstrations per prompt" })
    .option("support", { type: "number", defaultDescription: "30", coerce: wholeNumber("support", 1), describe: "icl: prompts per side, drawn with replacement" })
    .option("template", { choices: PAIR_TEMPLATES, defaultDescription: "question", describe: "mean, pca, probe: how the question is put before an answer: as Q:…A:, by the model's chat template, or not at all" })
    .option("pooling", { choices: POOLINGS, defaultDescription: "mean", describe: "mean, pca, probe: rows of an answer that are read: their mean, the last, or one per token step" })
    .option("pairs", { type: "number", coerce: wholeNumber("pairs", 1), describe: "mean, pca, probe: pairs to draw; all by default" })
    .option("best-layers", { type: "number", coerce: wholeNumber("best-layers", 1), describe: "mean, pca, probe: so many layers, those that tell held-out answers apart best" })
    .option("max-new-tokens", { type: "number", defaultDescription: "30", coerce: wholeNumber("max-new-tokens", 1), describe: "Token steps, with icl or --pooling step" })
    .option("seed", { type: "number", default: 32, coerce: wholeNumber("seed", 0), describe: "Seed of the draw, and of what is held out" })
    .option("site", { choices: HOOK_SITES, defaultDescription: "icl: head_out, as published; else resid_post", describe: "Where in a block" })
    .option("layers", { type: "string", nargs: 1, defaultDescription: "all", describe: "Layers from 0, e.g. 4-9+12" })
    .option("out", { type: "string", describe: "Vector file to write; POSITIVE-NEGATIVE.safetensors by default" })
    .example("$0 extract gemma3-270m --positive ITA --negative ENG --out italian.safetensors", "")
    .example("$0 extract gemma3-270m --positive ITA --negative ENG --method mean", "from the answers themselves")
    .example("$0 extract model.gguf --positive polite.json --negative rude.json", "your own property") as unknown as Argv<ExtractArguments>,
  handler: (options) => interruptible((signal) => run(options, signal)),
};

async function run(options: ArgumentsCamelCase<ExtractArguments>, signal: AbortSignal): Promise<void> {
  checkOptions(options);
  const folder = datasets.folder(options.model);
  const [positive, negative] = [await loadDataset(options.positive, folder), await loadDataset(options.negative, folder)];
  noteDifferences(positive, negative, options);
  const out = options.out ?? `${positive.name}-${negative.name}.safetensors`;
  const chosen = spec.parseIndices(options.layers ?? "all");
  await assertWritable(out, [options.positive, options.negative]);
  await using model = await openModel(options, signal);
  const { method } = options;
  const vector = method === "icl"
    ? await extractWithProgress(model, { ...options, layers: chosen === "all" ? undefined : chosen, positive, negative, signal })
    : await extractPairsWithProgress(model, { ...options, method, nPairs: options.pairs, layers: options.bestLayers === undefined ? chosen : { best: options.bestLayers }, positive, negative, signal });
  await vector.save(out);
  const { nSteps, width, layers, provenance } = vector;
  if (options.json) return print(JSON.stringify({ path: out, site: vector.site, layers, nLayers: layers.length, nSteps, width, provenance }, null, 2));
  print(out);
  if (provenance.origin.kind === "pairs") noteLayers(provenance.origin, layers, options.quiet);
  note(`${provenance.property} at ${vector.site}: ${layers.length} layers, ${nSteps} steps, width ${width}. Try: ${commandName()} generate ${options.model} "…" --steer ${out}:fixed,${method === "icl" ? 1.5 : 1}`, options.quiet);
}

/** Throws E_BAD_ARGUMENT for options of another way of extraction, which would have no effect. */
function checkOptions(options: ArgumentsCamelCase<ExtractArguments>): void {
  const { method, pooling, layers, bestLayers } = options;
  const given = (names: readonly string[]): string | undefined => names.find((name) => options[name] !== undefined);
  const misplaced = given(method === "icl" ? PAIR_OPTIONS : ICL_OPTIONS);
  if (misplaced) throw new SteeringError("E_BAD_ARGUMENT", `--${misplaced} belongs to --method ${method === "icl" ? PAIR_METHODS.join(", ") : "icl"}; with --method ${method} it has no effect`);
  if (method !== "icl" && pooling !== "step" && options.maxNewTokens !== undefined) throw new SteeringError("E_BAD_ARGUMENT", `--max-new-tokens belongs to --method icl and to --pooling step; with --pooling ${pooling ?? "mean"} there is one direction for all steps`);
  if (layers !== undefined && bestLayers !== undefined) throw new SteeringError("E_BAD_ARGUMENT", "--layers and --best-layers both choose layers: only one of them can");
}

function noteDifferences(positive: Dataset, negative: Dataset, { method, quiet }: ExtractArguments): void {
  if (method === "icl") {
    const { differing, compared } = differingQueries(positive, negative);
    if (differing > 0) note(`note: the datasets ask different queries in ${differing} of ${compared} rows; the vector will carry that difference too`, quiet);
    return;
  }
  const nPairs = answerPairs(positive, negative).length;
  const leftOut = [positive, negative].flatMap(({ name, rows }) => (rows.length > nPairs ? [`${rows.length - nPairs} rows of ${name}`] : []));
  if (leftOut.length > 0) note(`note: ${leftOut.join(" and ")} have no partner with the same query, and are left out`, quiet);
}

/** How well the layers that were tried tell held-out answers apart. */
function noteLayers({ layerScores }: PairsOrigin, layers: readonly number[], quiet: boolean): void {
  for (const { layer, accuracy, auc } of layerScores ?? []) note(`layer ${layer}: AUC ${auc.toFixed(4)}, accuracy ${(100 * accuracy).toFixed(1)} %${layers.includes(layer) ? ", chosen" : ""}`, quiet);
}

type PairSettings = { [K in keyof ExtractPairsOptions]: ExtractPairsOptions[K] | undefined } & Pick<ExtractPairsOptions, "positive" | "negative"> & { quiet: boolean };

async function extractPairsWithProgress(model: Model, { positive, negative, method, template, pooling, site, layers, maxNewTokens, nPairs, seed, signal, quiet }: PairSettings): Promise<SteeringVector> {
  const progress = showProgress(`${positive.name} vs ${negative.name}`, quiet, tokenCount);
  try {
    return await extract(model, { method: method ?? "mean", positive, negative, onProgress: progress.onProgress, ...defined({ template, pooling, site, layers, maxNewTokens, nPairs, seed, signal }) });
  } finally {
    progress.stop();
  }
}

type ExtractionSettings = { [K in keyof ExtractOptions]: ExtractOptions[K] | undefined } & Pick<ExtractOptions, "positive" | "negative"> & { quiet: boolean };

/** Extraction with a bar on stderr. */
export async function extractWithProgress(model: Model, options: ExtractionSettings): ReturnType<typeof extract> {
  const { positive, negative, iclExamples, support, maxNewTokens, seed, site, layers, signal, quiet } = options;
  const progress = showProgress(`${positive.name} vs ${negative.name}`, quiet, tokenCount);
  try {
    return await extract(model, {
      positive, negative, onProgress: progress.onProgress,
      ...defined({ iclExamples, support, maxNewTokens, seed, site, layers, signal }),
    });
  } finally {
    progress.stop();
  }
}
