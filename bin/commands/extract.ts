import type { ArgumentsCamelCase, Argv, CommandModule } from "yargs";
import { assertWritable, datasetsFolder, differingQueries, extract, HOOK_SITES, loadDataset, parseIndices, saveVector, type ExtractOptions, type HookSite, type Model } from "../../lib/index.js";
import { commandName, defined, interruptible, modelOptions, note, print, wholeNumber, type ModelOptions } from "../common.js";
import { openModel } from "../open-model.js";
import { showProgress, tokenCount } from "../progress.js";

interface ExtractArguments extends ModelOptions {
  positive: string;
  negative: string;
  iclExamples: number;
  support: number;
  maxNewTokens: number;
  seed: number;
  site: HookSite;
  layers: string;
  out: string | undefined;
}

/** `llama-steer extract MODEL --positive ITA --negative ENG` */
export const extractCommand: CommandModule<object, ExtractArguments> = {
  command: "extract <model>",
  describe: "Extract a steering vector by contrasting two datasets",
  builder: (yargs) => modelOptions(yargs as Argv<object>)
    .option("positive", { type: "string", demandOption: true, describe: "Dataset that shows the wanted behaviour: a name, or a JSON file of {input, output} rows" })
    .option("negative", { type: "string", demandOption: true, describe: "Dataset that it is contrasted with: the same queries, other answers" })
    .option("icl-examples", { type: "number", default: 4, coerce: wholeNumber("icl-examples", 0), describe: "Demonstrations per prompt" })
    .option("support", { type: "number", default: 30, coerce: wholeNumber("support", 1), describe: "Prompts per side, drawn with replacement" })
    .option("max-new-tokens", { type: "number", default: 30, coerce: wholeNumber("max-new-tokens", 1), describe: "Token steps" })
    .option("seed", { type: "number", default: 32, coerce: wholeNumber("seed", 0), describe: "Seed of the draw" })
    .option("site", { choices: HOOK_SITES, default: "head_out" as HookSite, describe: "Where in a block; head_out is the published one" })
    .option("layers", { type: "string", default: "all", describe: "Layers from 0, e.g. 4-9+12" })
    .option("out", { type: "string", describe: "Vector file to write; POSITIVE-NEGATIVE.safetensors by default" })
    .example("$0 extract gemma3-270m --positive ITA --negative ENG --out italian.safetensors", "")
    .example("$0 extract model.gguf --positive polite.json --negative rude.json", "your own property") as unknown as Argv<ExtractArguments>,
  handler: (options) => interruptible((signal) => run(options, signal)),
};

async function run(options: ArgumentsCamelCase<ExtractArguments>, signal: AbortSignal): Promise<void> {
  const folder = datasetsFolder(options.model);
  const [positive, negative] = [await loadDataset(options.positive, folder), await loadDataset(options.negative, folder)];
  const { differing, compared } = differingQueries(positive, negative);
  if (differing > 0) note(`note: the datasets ask different queries in ${differing} of ${compared} rows; the vector will carry that difference too`, options.quiet);
  const out = options.out ?? `${positive.name}-${negative.name}.safetensors`;
  await assertWritable(out);
  const chosen = parseIndices(options.layers);
  await using model = await openModel(options, signal);
  const vector = await extractWithProgress(model, { ...options, layers: chosen === "all" ? undefined : chosen, positive, negative, signal });
  await saveVector(out, vector);
  const { nSteps, width, layers, provenance } = vector;
  if (options.json) return print(JSON.stringify({ path: out, site: vector.site, nLayers: layers.length, nSteps, width, provenance }, null, 2));
  print(out);
  note(`${provenance.property} at ${vector.site}: ${layers.length} layers, ${nSteps} steps, width ${width}. Try: ${commandName()} generate ${options.model} "…" --steer ${out}:fixed,1.5`, options.quiet);
}

type ExtractionSettings = Omit<ExtractOptions, "layers"> & { layers?: readonly number[] | undefined; quiet: boolean };

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
