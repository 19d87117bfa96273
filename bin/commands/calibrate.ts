import { CALIBRATION_CANDIDATES } from "../../lib/calibrate/index.js";
import { testPart, datasetReference } from "../../lib/dataset/index.js";
import { wantedOf } from "../../lib/evaluate/index.js";
import { STRATEGY_WORDS } from "../../lib/experiment/index.js";
import { datasets } from "../../lib/experiments.js";
import { calibrate, loadDataset, SteeringError, SteeringVector, type Candidate, type Dataset } from "../../lib/index.js";
import { command, options, type OutputOptions, type Values } from "../command.js";
import { commandName, defined, interruptible, note, prepareOutput, print } from "../common.js";
import { EvaluationKit, EVALUATORS, wantedBy } from "../evaluation-kit.js";
import { openModel } from "../open-model.js";
import { count, file, formatGiven, formatOptions, list, MODEL, number } from "../options.js";
import { showProgress } from "../progress.js";

const CANDIDATES = CALIBRATION_CANDIDATES;

const OPTIONS = options({
  ...MODEL,
  ...EVALUATORS,
  ...formatOptions("the vector's own"),
  vector: { ...file, describe: "Vector file to calibrate; the result is written into it" },
  kind: { choices: Object.keys(STRATEGY_WORDS), default: "fixed", describe: "Schedule to calibrate" },
  share: { type: "number", default: 0.9, describe: "Share of the answers that must show the effect" },
  values: {
    type: "string", coerce: list(number), describe: "Alphas to try, or values of p for dyn, joined by commas",
    defaultDescription: `${CANDIDATES.alpha.join(",")}; dyn: ${CANDIDATES.topP.join(",")}`,
  },
  questions: {
    type: "string", describe: "Dataset of held-out questions with the wanted answers",
    defaultDescription: "the _test part of the vector's positive dataset",
  },
  n: { ...count(), default: 20, describe: "Number of questions to ask" },
  "max-new-tokens": { ...count(), default: 30, describe: "Tokens per answer" },
  out: { type: "string", describe: "Vector file to write", defaultDescription: "VECTOR itself" },
});

type CalibrateArguments = Values<typeof OPTIONS> & OutputOptions;

export default command({
  usage: "calibrate <model> <vector>",
  describe: "Choose a vector's intensity: enough effect, best fluency",
  options: OPTIONS,
  examples: [
    ["calibrate gemma3-270m italian.safetensors", "the wanted language follows from the dataset: Italian"],
    ["calibrate gemma3-270m italian.safetensors --kind dyn --share 0.8"],
    ["calibrate gemma3-270m formal.safetensors --questions ENi2f_test --probe formal.probe"],
  ],
  run: (given) => interruptible((signal) => run(given, signal)),
});

async function run(options: CalibrateArguments, signal: AbortSignal): Promise<void> {
  const { vector: path, out = path, share, values, n, maxNewTokens, json, quiet } = options;
  const kind = STRATEGY_WORDS[options.kind]!;
  const how = formatGiven(options);
  const vector = await SteeringVector.load(path);
  const questions = await questionsOf(options, vector);
  await prepareOutput(out, [], quiet);
  await using kit = await EvaluationKit.open(options, signal);
  const evaluators = await kit.evaluators({ ...aimOf(vector), ...wantedBy(options) }, options.model, signal);
  await using model = await openModel(options, signal, { maxSequences: 32, contextSize: 16_384 });
  const progress = showProgress(`calibrating ${vector.property}`, quiet, "answers");
  const { tried, vector: calibrated } = await calibrate(model, {
    vector, questions, evaluators, wanted: share, kind, n, maxNewTokens, signal,
    onProgress: progress.onProgress, ...how, ...defined({ candidates: values }),
  }).finally(() => progress.stop());
  const chosen = calibrated?.provenance.calibration;
  if (calibrated) await calibrated.save(out);
  if (json) print(JSON.stringify({ path: chosen ? out : null, calibration: chosen ?? null, tried }, null, 2));
  else for (const candidate of tried) print(row(candidate, candidate.schedule === chosen?.schedule));
  if (!chosen) {
    throw new SteeringError("E_BAD_ARGUMENT", `no value shows the effect in ${percent(share)} of the answers; ${path} is unchanged. `
      + "Try other --values, another --kind or a lower --share");
  }
  note(`${chosen.effect} in ${percent(chosen.found)} of ${chosen.n} answers. `
    + `Try: ${commandName()} generate ${options.model} "…" --steer ${out}`, quiet);
}

/** The questions to ask. Throws E_BAD_ARGUMENT if none are named and none belong to the vector. */
async function questionsOf({ questions, vector: path, model }: CalibrateArguments, { provenance }: SteeringVector): Promise<Dataset> {
  const { origin } = provenance;
  const folder = datasets.folder(model);
  if (questions !== undefined) return loadDataset(questions, folder);
  const isKnown = "positive" in origin && await isIn(folder, origin.positive);
  const heldOut = isKnown ? await testPart(origin.positive.name, folder) : undefined;
  if (heldOut) return heldOut;
  throw new SteeringError("E_BAD_ARGUMENT", `no held-out questions for ${path}: its positive dataset is not in ${folder}, `
    + "or has no _test part there. Name held-out questions with --questions");
}

/** Another dataset in the folder may have the same name. */
async function isIn(folder: string, { name, hash }: { name: string; hash: string }): Promise<boolean> {
  return loadDataset(name, folder).then((dataset) => datasetReference(dataset).hash === hash, () => false);
}

/** The effect that the names of the vector's datasets stand for. */
function aimOf({ property, provenance: { origin } }: SteeringVector): ReturnType<typeof wantedOf> {
  if (!("positive" in origin)) return {};
  return wantedOf({
    kind: "single", datasets: { positive: origin.positive, negative: origin.negative }, vectors: [{ property, file: "", hash: null }],
  });
}

function row({ schedule, found, deltaPerplexity }: Candidate, isChosen: boolean): string {
  const setting = schedule.kind === "dynamic" ? `p=${schedule.topP}` : `${(schedule as { alpha: number }).alpha}`;
  const effect = `${percent(found).padStart(6)}   ΔPPL ${deltaPerplexity.toFixed(2).padStart(8)}`;
  return `${schedule.kind} ${setting.padEnd(8)} ${effect}${isChosen ? "   ← chosen" : ""}`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
