import type { ArgumentsCamelCase, Argv, CommandModule } from "yargs";
import { testPart, differingQueries } from "../../lib/dataset/index.js";
import { datasets, probe as probeApi, spec, type TrainProbeOptions } from "../../lib/experiments.js";
import { assertWritable } from "../../lib/formats/index.js";
import { loadDataset, type HookSite, type Probe } from "../../lib/index.js";
import { HOOK_SITES } from "../../lib/vector/index.js";
import { commandName, defined, interruptible, modelOptions, note, print, wholeNumber, type ModelOptions, type OutputOptions } from "../common.js";
import { openModel } from "../open-model.js";
import { showProgress } from "../progress.js";
import { printColumns } from "../run-table.js";

interface TrainArguments extends ModelOptions {
  positive: string;
  negative: string;
  out: string;
  hookSite: HookSite;
  layers: string;
  folds: number;
  seed: number;
  datasets: string | undefined;
}

interface InspectArguments extends OutputOptions {
  file: string;
}

interface TextArguments extends ModelOptions {
  file: string;
  text: string;
  question: string | undefined;
  allowMismatch: boolean;
}

const trainCommand: CommandModule<OutputOptions, TrainArguments> = {
  command: "train <model>",
  describe: "Train a probe to tell the answers of two datasets apart",
  builder: (yargs) => modelOptions(yargs)
    .option("positive", { type: "string", nargs: 1, demandOption: true, describe: "Dataset of answers with the property: a name, or a file" })
    .option("negative", { type: "string", nargs: 1, demandOption: true, describe: "Dataset of answers without it: the same queries, other answers" })
    .option("out", { type: "string", nargs: 1, demandOption: true, describe: "Probe file to write" })
    .option("hook-site", { choices: HOOK_SITES, default: "resid_post" as HookSite, describe: "Where in a block activations are read" })
    .option("layers", { type: "string", nargs: 1, default: "all", describe: "Layers to choose from, from 0, e.g. 4-9; all that can be read by default" })
    .option("folds", { type: "number", default: 5, coerce: wholeNumber("folds", 2), describe: "Parts of the cross-validation, no query in two of them" })
    .option("seed", { type: "number", default: 32, coerce: wholeNumber("seed", 0), describe: "Seed of the folds" })
    .option("datasets", { type: "string", nargs: 1, describe: "Folder of datasets; default: LLAMA_STEER_DATASETS, or those that belong to the model" })
    .epilogue("Judged on the datasets' test parts where both have one, else on a fifth of the queries.")
    .example("$0 probe train gemma3-270m --positive ENi2f --negative ENf2i --out formal.safetensors", "") as unknown as Argv<TrainArguments>,
  handler: (options) => interruptible((signal) => train(options, signal)),
};

const inspectCommand: CommandModule<OutputOptions, InspectArguments> = {
  command: "inspect <file>",
  describe: "Show what a probe is and how good it is",
  builder: (yargs) => yargs.positional("file", { type: "string", demandOption: true, describe: "A probe file" }) as unknown as Argv<InspectArguments>,
  handler: async ({ file, json }) => showProbe(await probeApi.load(file), json),
};

const textCommand: CommandModule<OutputOptions, TextArguments> = {
  command: "text <model> <file> <text>",
  describe: "Judge a text",
  builder: (yargs) => modelOptions(yargs)
    .positional("file", { type: "string", demandOption: true, describe: "A probe file" })
    .positional("text", { type: "string", demandOption: true, describe: "The text" })
    .option("question", { type: "string", nargs: 1, describe: "The question that it answers" })
    .option("allow-mismatch", { type: "boolean", default: false, describe: "Use a probe of another model of the same shape" })
    .example("$0 probe text gemma3-270m formal.safetensors \"I would be most grateful.\"", "") as unknown as Argv<TextArguments>,
  handler: (options) => interruptible((signal) => judge(options, signal)),
};

/** `llama-steer probe train|inspect|text` */
export const probeCommand: CommandModule<object, OutputOptions> = {
  command: "probe",
  describe: "Train probes of a property, look at them, judge a text",
  builder: (yargs) => (yargs as Argv<OutputOptions>).command(trainCommand).command(inspectCommand).command(textCommand)
    .demandCommand(1, "expected one of: train, inspect, text"),
  handler: () => {},
};

async function train(options: ArgumentsCamelCase<TrainArguments>, signal: AbortSignal): Promise<void> {
  const { hookSite: site, folds, seed, out, quiet, json } = options;
  const folder = options.datasets ?? datasets.folder(options.model);
  const layers = spec.parseIndices(options.layers);
  const [positive, negative] = [await loadDataset(options.positive, folder), await loadDataset(options.negative, folder)];
  const [evalPositive, evalNegative] = [await testPart(options.positive, folder), await testPart(options.negative, folder)];
  const { differing, compared } = differingQueries(positive, negative);
  if (differing > 0) note(`note: the datasets ask different queries in ${differing} of ${compared} rows; the probe may tell those apart`, quiet);
  await assertWritable(out);
  await using model = await openModel(options, signal);
  const progress = showProgress(`${positive.name} vs ${negative.name}`, quiet, (texts) => `${Math.round(texts)} texts`);
  let probe: Probe;
  try {
    probe = await probeApi.train(model, {
      positive, negative, site, folds, seed, signal, onProgress: progress.onProgress,
      ...defined({ layers: layers === "all" ? undefined : layers }), ...(evalPositive && evalNegative && { evalPositive, evalNegative }),
    } satisfies TrainProbeOptions);
  } finally {
    progress.stop();
  }
  await probeApi.save(out, probe);
  if (json) return print(JSON.stringify({ path: out, ...described(probe) }, null, 2));
  showProbe(probe, false);
  note(`${out}. Try: ${commandName()} generate ${options.model} "…" --monitor ${out}`, quiet);
}

async function judge(options: ArgumentsCamelCase<TextArguments>, signal: AbortSignal): Promise<void> {
  const { text, question, allowMismatch, json } = options;
  const probe = await probeApi.load(options.file);
  await using model = await openModel(options, signal);
  const [found] = await probeApi.read(model, probe, [{ text, ...defined({ question }) }], { allowMismatch, signal });
  if (json) return print(JSON.stringify({ property: probe.provenance.property, probability: found?.probability ?? null, logit: found?.logit ?? null }, null, 2));
  print(found ? `${found.probability.toFixed(4)}  ${probe.provenance.property} (log odds ${found.logit.toFixed(2)})` : "undetermined: the text is empty, or longer than the model can read");
}

/** All of a probe but its weights. */
function described({ weights, ...rest }: Probe): object {
  return { ...rest, width: weights.length };
}

function showProbe(probe: Probe, json: boolean): void {
  if (json) return print(JSON.stringify(described(probe), null, 2));
  const { site, heldOut, provenance } = probe;
  printColumns([["layer", "accuracy", "AUC", "log loss", "λ", ""], ...probe.layers.map(({ layer, accuracy, auc, logLoss, lambda }) =>
    [String(layer), percent(accuracy), auc.toFixed(4), logLoss.toFixed(4), String(lambda), layer === probe.layer ? "chosen" : ""])]);
  const { model, positive, negative } = provenance;
  print(`\n${provenance.property} at ${site} of layer ${probe.layer}, λ ${provenance.lambda}, trained on ${provenance.trainedOn} texts of ${positive.name} and ${negative.name}, ${provenance.folds} folds, seed ${provenance.seed}`);
  print(`model: ${model.architecture}, ${model.nLayer} layers, ${model.quantisation}; made by ${provenance.madeBy}`);
  const from = provenance.heldOut.kind === "datasets" ? `${provenance.heldOut.positive.name} and ${provenance.heldOut.negative.name}` : "queries that were set aside";
  print(`held out, ${heldOut.n} texts of ${from}: accuracy ${percent(heldOut.accuracy)}, AUC ${heldOut.auc.toFixed(4)}, calibration error ${heldOut.ece.toFixed(4)}, Brier score ${heldOut.brier.toFixed(4)}`);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
