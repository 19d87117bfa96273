import { testPart, differingQueries } from "../../lib/dataset/index.js";
import { datasets, probe as probeApi, spec, type TrainProbeOptions } from "../../lib/experiments.js";
import { loadDataset, type Probe } from "../../lib/index.js";
import { command, group, options, type OutputOptions, type Values } from "../command.js";
import { askedAs, commandName, defined, interruptible, note, prepareOutput, print } from "../common.js";
import { openModel } from "../open-model.js";
import { count, DATASETS, file, formatGiven, formatOptions, MODEL, siteOption } from "../options.js";
import { showProgress } from "../progress.js";
import { printColumns } from "../run-table.js";

const TRAIN = options({
  ...MODEL,
  positive: { ...file, describe: "Dataset of answers with the property: a name, or a file" },
  negative: { ...file, describe: "Dataset of answers without it: the same queries with other answers" },
  out: { ...file, describe: "Probe file to write" },
  reads: {
    choices: ["answer", "prompt"], default: "answer",
    describe: "An answer's tokens, or a prompt's last one, for gates with per=prompt",
  },
  ...siteOption("resid_post"),
  layers: { type: "string", default: "all", describe: "Layers to choose from, counted from 0, e.g. 4-9" },
  folds: { ...count(2), default: 5, describe: "Folds of the cross-validation; each query is in one fold only" },
  seed: { ...count(0), default: 32, describe: "Seed of the folds" },
  ...DATASETS,
  ...formatOptions(),
});

const FILE = options({ file: { ...file, describe: "Probe file" } });

const TEXT = options({
  ...MODEL,
  ...FILE,
  text: { ...file, describe: "Text to judge" },
  question: { type: "string", describe: "Question that the text answers" },
  ...formatOptions("as in the probe's training"),
  "allow-mismatch": { type: "boolean", describe: "Accept a probe of another model of the same shape" },
});

type TrainArguments = Values<typeof TRAIN> & OutputOptions;
type TextArguments = Values<typeof TEXT> & OutputOptions;

export default group("probe", "Train, inspect and use probes of a property", [
  command({
    usage: "train <model>",
    describe: "Train a probe to tell two datasets apart",
    options: TRAIN,
    examples: [
      ["probe train gemma3-270m --positive ENi2f --negative ENf2i --out formal.safetensors"],
      ["probe train gemma3-270m --positive orders.json --negative questions.json --reads prompt --out order.safetensors"],
    ],
    epilogue: "The probe is tested on the datasets' _test parts if both have one, and on a fifth of the queries otherwise. "
      + "With --reads prompt, the answers are left out; the datasets must ask different queries.",
    run: (given) => interruptible((signal) => train(given, signal)),
  }),
  command({
    usage: "inspect <file>", describe: "Show a probe's training data and accuracy", options: FILE,
    run: async ({ file, json }) => showProbe(await probeApi.load(file), json),
  }),
  command({
    usage: "text <model> <file> <text>",
    describe: "Judge one text with a probe",
    options: TEXT,
    examples: [["probe text gemma3-270m formal.safetensors \"I would be most grateful.\""]],
    run: (given) => interruptible((signal) => judge(given, signal)),
  }),
]);

async function train(options: TrainArguments, signal: AbortSignal): Promise<void> {
  const { reads, site, folds, seed, out, quiet, json } = options;
  const how = formatGiven(options);
  const folder = options.datasets ?? datasets.folder(options.model);
  const layers = spec.parseIndices(options.layers);
  const [positive, negative] = [await loadDataset(options.positive, folder), await loadDataset(options.negative, folder)];
  const evalPositive = await testPart(options.positive, folder);
  const evalNegative = await testPart(options.negative, folder);
  const { differing, compared } = differingQueries(positive, negative);
  const which = `${differing} of ${compared} rows`;
  if (differing > 0 && reads === "answer") note(`note: the datasets ask different queries in ${which}; the probe may learn that difference instead`, quiet);
  await prepareOutput(out, [], quiet);
  await using model = await openModel(options, signal);
  const progress = showProgress(`${positive.name} vs ${negative.name}`, quiet, "texts");
  let probe: Probe;
  try {
    probe = await probeApi.train(model, {
      ...how, positive, negative, reads, site, folds, seed, signal, onProgress: progress.onProgress,
      ...defined({ layers: layers === "all" ? undefined : layers }), ...(evalPositive && evalNegative && { evalPositive, evalNegative }),
    } satisfies TrainProbeOptions);
  } finally {
    progress.stop();
  }
  await probeApi.save(out, probe);
  if (json) return print(JSON.stringify({ path: out, ...described(probe) }, null, 2));
  showProbe(probe, false);
  const use = reads === "prompt" ? `--steer VECTOR:fixed,0.5,when=${out},per=prompt` : `--monitor ${out}`;
  note(`${out}. Try: ${commandName()} generate ${options.model} "…" ${use}`, quiet);
}

async function judge(options: TextArguments, signal: AbortSignal): Promise<void> {
  const { text, question, allowMismatch, json } = options;
  const how = formatGiven(options);
  const probe = await probeApi.load(options.file);
  await using model = await openModel(options, signal);
  const [found] = await probeApi.read(model, probe, [{ text, ...defined({ question }) }], { ...how, allowMismatch, signal });
  const { property } = probe.provenance;
  if (json) return print(JSON.stringify({ property, probability: found?.probability ?? null, logit: found?.logit ?? null }, null, 2));
  if (found) print(`${found.probability.toFixed(4)}  ${property} (log odds ${found.logit.toFixed(2)})`);
  else print("undetermined: the text is empty, or longer than the model's context");
}

/** A probe without its weights. */
function described({ weights, ...rest }: Probe): object {
  return { ...rest, width: weights.length };
}

function showProbe(probe: Probe, json: boolean): void {
  if (json) return print(JSON.stringify(described(probe), null, 2));
  const { site, heldOut, provenance } = probe;
  printColumns([["layer", "accuracy", "AUC", "log loss", "λ", ""], ...probe.layers.map(({ layer, accuracy, auc, logLoss, lambda }) =>
    [String(layer), percent(accuracy), auc.toFixed(4), logLoss.toFixed(4), String(lambda), layer === probe.layer ? "chosen" : ""])]);
  const { model, positive, negative, lambda, trainedOn, folds, seed } = provenance;
  const testedOn = provenance.heldOut.kind === "datasets"
    ? `${provenance.heldOut.positive.name} and ${provenance.heldOut.negative.name}` : "the queries set aside";
  print(`\n${provenance.property} at ${site} of layer ${probe.layer}, λ ${lambda}, `
    + `trained on ${trainedOn} texts of ${positive.name} and ${negative.name}, ${folds} folds, seed ${seed}`);
  print(`reads: ${provenance.reads === "prompt" ? "the last token of a prompt" : "the mean over an answer"}`);
  print(`questions: ${askedAs({ ...provenance, format: provenance.format ?? "qa" })}`);
  print(`model: ${model.architecture}, ${model.nLayer} layers, ${model.quantisation}; made by ${provenance.madeBy}`);
  print(`held out, ${heldOut.n} texts of ${testedOn}: accuracy ${percent(heldOut.accuracy)}, AUC ${heldOut.auc.toFixed(4)}, `
    + `calibration error ${heldOut.ece.toFixed(4)}, Brier score ${heldOut.brier.toFixed(4)}`);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
