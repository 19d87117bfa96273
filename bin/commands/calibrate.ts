import { isDeepStrictEqual } from "node:util";
import { KL_BUDGET, KL_RANGE, KL_STATISTICS, valueOf } from "../../lib/calibrate/index.js";
import { testPart, datasetReference } from "../../lib/dataset/index.js";
import { promptedMessage, wantedOf, type Evaluator } from "../../lib/evaluate/index.js";
import { STRATEGY_WORDS } from "../../lib/experiment/index.js";
import { datasets } from "../../lib/experiments.js";
import {
  calibrate, calibrateByKl, loadDataset, SteeringError, SteeringVector, type CalibrationBaseline, type Candidate, type Dataset,
  type FormatOptions, type KlPoint, type Model, type WrittenSchedule,
} from "../../lib/index.js";
import { command, options, type OutputOptions, type Values } from "../command.js";
import { commandName, defined, interruptible, note, prepareOutput, print } from "../common.js";
import { EvaluationKit, EVALUATORS, wantedBy } from "../evaluation-kit.js";
import { refuseAgainst } from "../judge-kit.js";
import { openModel } from "../open-model.js";
import { count, file, formatGiven, formatOptions, list, MODEL, number } from "../options.js";
import { showProgress } from "../progress.js";
import { calibrationResult } from "../show-vector.js";

/** Everyday questions to measure the KL with, where the vector names none. */
const EVERYDAY = "ENG_test";

const OPTIONS = options({
  ...MODEL,
  ...EVALUATORS,
  ...formatOptions("the vector's own"),
  vector: { ...file, describe: "Vector file to calibrate; the result is written into it" },
  by: {
    choices: ["effect", "kl"], defaultDescription: "effect, if one can be judged",
    describe: "Search by the answers' effect, or by a KL budget, which needs no judge",
  },
  budget: {
    type: "number", defaultDescription: String(KL_BUDGET),
    describe: "With --by kl: KL that the vector may cause, in nats per token",
  },
  "budget-of": {
    choices: KL_STATISTICS, defaultDescription: "mean",
    describe: "With --by kl: which KL that is, the mean or the 95th percentile of the tokens",
  },
  kind: { choices: Object.keys(STRATEGY_WORDS), default: "fixed", describe: "Schedule to calibrate" },
  share: { type: "number", default: 0.9, describe: "Share of the answers that must show the effect" },
  values: {
    type: "string", coerce: list(number), describe: "Alphas to try, or values of p for dyn, joined by commas",
    defaultDescription: `searched, where the KL is ${KL_RANGE.join(" to ")} nats`,
  },
  questions: {
    type: "string", describe: "Dataset of held-out questions with the wanted answers",
    defaultDescription: "the _test part of the vector's positive dataset",
  },
  n: { ...count(), default: 20, describe: "Number of questions to ask" },
  "max-new-tokens": { ...count(), default: 30, describe: "Tokens per answer" },
  prompted: {
    type: "string", describe: "System message of the baseline that asks for the effect, or none",
    defaultDescription: "the vector's description, or what its datasets ask for",
  },
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
    ["calibrate gemma3-270m italian.safetensors --by kl", "in seconds, without judging answers"],
    ["calibrate gemma3-270m formal.safetensors --questions ENi2f_test --probe formal.probe"],
  ],
  run: (given) => interruptible((signal) => run(given, signal)),
});

async function run(options: CalibrateArguments, signal: AbortSignal): Promise<void> {
  const { vector: path, out = path } = options;
  const how = formatGiven(options);
  const vector = await SteeringVector.load(path);
  refuseAgainst(options);
  if (options.by === "effect") await questionsOf(options, vector); // fails before anything is loaded
  await prepareOutput(out, [], options.quiet);
  await using kit = await EvaluationKit.open(options, signal);
  const evaluators = await kit.evaluators({ ...aimOf(vector), ...wantedBy(options) }, options.model, signal);
  const by = options.by ?? (evaluators.some(({ wanted }) => wanted !== null) ? "effect" : "kl");
  checkOptions(options, by);
  const questions = await questionsOf({ ...options, by }, vector);
  await using model = await openModel(options, signal, { maxSequences: 32, contextSize: 16_384 });
  const found = await (by === "kl" ? byKl : byEffect)(model, { ...options, calibrated: vector, questions, evaluators, how, signal });
  const { calibration } = found.vector?.provenance ?? {};
  if (found.vector) await found.vector.save(out);
  const { tried, baselines } = found;
  const result = { path: calibration ? out : null, calibration: calibration ?? null, tried, ...defined({ baselines }) };
  if (options.json) print(JSON.stringify(result, null, 2));
  else for (const line of found.rows(calibration?.schedule)) print(line);
  if (!calibration) throw new SteeringError("E_BAD_ARGUMENT", `${found.failure}; ${path} is unchanged. ${found.advice}`);
  const chosen = `${settingOf(calibration.schedule)}: ${calibrationResult(calibration)}`;
  note(`${chosen}. Try: ${commandName()} generate ${options.model} "…" --steer ${out}`, options.quiet);
}

interface Calibrating extends Omit<CalibrateArguments, "questions"> {
  calibrated: SteeringVector;
  questions: Dataset;
  evaluators: readonly Evaluator[];
  how: FormatOptions;
  signal: AbortSignal;
}

interface Outcome {
  tried: readonly unknown[];
  baselines?: readonly CalibrationBaseline[];
  vector: SteeringVector | undefined;
  rows: (chosen: WrittenSchedule | undefined) => string[];
  /** Why there is no result, and what to change. */
  failure: string;
  advice: string;
}

async function byEffect(model: Model, options: Calibrating): Promise<Outcome> {
  const { calibrated, questions, evaluators, share, values, n, maxNewTokens, how, signal, quiet } = options;
  const progress = showProgress(`calibrating ${calibrated.property}`, quiet, "answers");
  const prompted = options.prompted === "none" ? null : options.prompted ?? await askedBy(options);
  const { tried, baselines, vector } = await calibrate(model, {
    vector: calibrated, questions, evaluators, wanted: share, kind: STRATEGY_WORDS[options.kind]!, n, maxNewTokens, signal,
    onProgress: progress.onProgress, ...how, ...defined({ candidates: values, prompted }),
  }).finally(() => progress.stop());
  if (prompted === undefined && !baselines.some(({ label }) => label === "prompted")) {
    note("note: no prompted baseline, because the vector's datasets do not say what to ask for; give a system message that asks for the "
      + "effect with --prompted", quiet);
  }
  return {
    tried, baselines, vector, failure: `no value shows the effect in ${percent(share)} of the answers`, advice: adviceFor(tried, share),
    rows: (chosen) => [
      ...baselines.map(baselineRow), ...tried.map((each) => row(each, isDeepStrictEqual(each.schedule, chosen))),
    ],
  };
}

/** The message by which the vector's datasets ask for its effect; undefined if they are not in the folder, or do not ask. */
async function askedBy({ calibrated: { provenance: { origin } }, model }: Calibrating): Promise<string | undefined> {
  const folder = datasets.folder(model);
  if (!("positive" in origin) || !await isIn(folder, origin.positive) || !await isIn(folder, origin.negative)) return undefined;
  const { positive, negative } = origin;
  return promptedMessage(await loadDataset(positive.name, folder), await loadDataset(negative.name, folder));
}

async function byKl(model: Model, { calibrated, questions, budget, budgetOf, how, signal, quiet }: Calibrating): Promise<Outcome> {
  const progress = showProgress(`measuring ${calibrated.property}`, quiet, "answers");
  const { curve, vector } = await calibrateByKl(model, {
    vector: calibrated, questions, signal, onProgress: progress.onProgress, ...how, ...defined({ budget, budgetOf }),
  }).finally(() => progress.stop());
  return {
    tried: curve, vector, failure: `no alpha reaches a KL of ${budget ?? KL_BUDGET} nats per token`,
    advice: "The vector hardly changes this model: extract another, or choose a smaller --budget", rows: () => curve.map(klRow),
  };
}

/** What to change if no candidate has the effect often enough. */
function adviceFor(tried: readonly Candidate[], share: number): string {
  const best = tried.reduce((a, b) => (b.found > a.found ? b : a));
  if (best.found >= share) {
    return "The model breaks down wherever the effect shows: try --kind dyn or dim, or extract the vector at fewer --layers";
  }
  const closest = `The best is ${percent(best.found)}, at ${settingOf(best.schedule)}`;
  if (best.found < share / 3) {
    return `${closest}, so the vector hardly carries the effect: extract it from more or clearer examples, at other --layers, or with `
      + "another --method or --site. If you chose --values, leave them out to search";
  }
  return `${closest}: choose a lower --share, try another --kind, or leave out --values to search`;
}

/** Throws E_BAD_ARGUMENT for options that have no effect. */
function checkOptions({ values, prompted, budget, budgetOf }: CalibrateArguments, by: "effect" | "kl"): void {
  if (by === "kl" && prompted !== undefined) {
    throw new SteeringError("E_BAD_ARGUMENT", "--prompted has no effect with --by kl; it is for --by effect");
  }
  if (by === "kl" && values) throw new SteeringError("E_BAD_ARGUMENT", "--values has no effect with --by kl; it is for --by effect");
  for (const [name, value] of Object.entries({ "--budget": budget, "--budget-of": budgetOf })) {
    if (by === "kl" || value === undefined) continue;
    throw new SteeringError("E_BAD_ARGUMENT", `${name} has no effect with --by effect; it is for --by kl`);
  }
}

/** The questions to ask. Throws E_BAD_ARGUMENT if none are named and none belong to the vector. */
async function questionsOf(
  { questions, vector: path, model, by }: CalibrateArguments, { provenance }: SteeringVector,
): Promise<Dataset> {
  const { origin } = provenance;
  const folder = datasets.folder(model);
  if (questions !== undefined) return loadDataset(questions, folder);
  const isKnown = "positive" in origin && await isIn(folder, origin.positive);
  const heldOut = isKnown ? await testPart(origin.positive.name, folder) : undefined;
  if (heldOut) return heldOut;
  if (by === "kl") return loadDataset(EVERYDAY, folder);
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
    kind: "single", config: {}, datasets: { positive: origin.positive, negative: origin.negative },
    vectors: [{ property, file: "", hash: null }],
  });
}

function row({ schedule, found, deltaPerplexity, kl }: Candidate, isChosen: boolean): string {
  const effect = `${percent(found).padStart(6)}   ΔPPL ${deltaPerplexity.toFixed(2).padStart(8)}`;
  const moved = kl ? `   KL ${kl.mean.toFixed(2).padStart(6)}` : "";
  return `${settingOf(schedule).padEnd(schedule.kind.length + 9)} ${effect}${moved}${isChosen ? "   ← chosen" : ""}`;
}

function baselineRow({ label, message, found, deltaPerplexity }: CalibrationBaseline): string {
  const asked = message === undefined ? "" : `   "${message}"`;
  return `${label.padEnd(14)} ${percent(found).padStart(6)}   ΔPPL ${deltaPerplexity.toFixed(2).padStart(8)}${asked}`;
}

function klRow({ alpha, mean, p95 }: KlPoint): string {
  const value = String(Number(alpha.toPrecision(3))).padEnd(9);
  return `alpha ${value} KL per token: mean ${mean.toFixed(3).padStart(7)}   95th percentile ${p95.toFixed(2).padStart(6)}`;
}

function settingOf(schedule: WrittenSchedule): string {
  return `${schedule.kind} ${schedule.kind === "dynamic" ? "p=" : ""}${valueOf(schedule)}`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
