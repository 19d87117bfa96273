import type { ArgumentsCamelCase, Argv, CommandModule } from "yargs";
import { CALIBRATION_CANDIDATES } from "../../lib/calibrate/index.js";
import { datasetReference, testPart } from "../../lib/dataset/index.js";
import { wantedOf } from "../../lib/evaluate/index.js";
import { datasets } from "../../lib/experiments.js";
import { STRATEGY_WORDS } from "../../lib/experiment/index.js";
import { assertWritable } from "../../lib/formats/index.js";
import { calibrate, loadDataset, SteeringError, SteeringVector, type Candidate, type Dataset } from "../../lib/index.js";
import { commandName, defined, interruptible, modelOptions, note, print, wholeNumber, type ModelOptions } from "../common.js";
import { EvaluationKit, type KitOptions } from "../evaluation-kit.js";
import { openModel } from "../open-model.js";
import { list, number } from "../options.js";
import { showProgress } from "../progress.js";
import { evaluatorOptions, given } from "./evaluate.js";

interface CalibrateArguments extends ModelOptions, Omit<KitOptions, keyof ModelOptions> {
  vector: string;
  questions: string | undefined;
  kind: string;
  share: number;
  values: number[] | undefined;
  n: number;
  maxNewTokens: number;
  out: string | undefined;
  wanted: string | undefined;
}

/** `llama-steer calibrate MODEL VECTOR` */
export const calibrateCommand: CommandModule<object, CalibrateArguments> = {
  command: "calibrate <model> <vector>",
  describe: "Find how strongly to add a vector: the effect that is wanted, at the least cost in fluency",
  builder: (yargs) => evaluatorOptions(modelOptions(yargs as Argv<object>))
    .positional("vector", { type: "string", demandOption: true, describe: "Vector file; what is found is written into it" })
    .option("kind", { choices: Object.keys(STRATEGY_WORDS), default: "fixed", describe: "Schedule to calibrate" })
    .option("share", { type: "number", default: 0.9, describe: "Share of the answers that must have the effect" })
    .option("values", { type: "string", nargs: 1, coerce: list(number), describe: `Alphas to try, or values of p for dyn; ${CALIBRATION_CANDIDATES.alpha.join(",")} or ${CALIBRATION_CANDIDATES.topP.join(",")} by default` })
    .option("questions", { type: "string", nargs: 1, describe: "Dataset of held-out questions with the wanted answers; by default the _test part of the vector's positive one" })
    .option("n", { type: "number", default: 20, coerce: wholeNumber("n", 1), describe: "Questions to ask" })
    .option("max-new-tokens", { type: "number", default: 30, coerce: wholeNumber("max-new-tokens", 1), describe: "Tokens of an answer" })
    .option("out", { type: "string", nargs: 1, describe: "Vector file to write; by default VECTOR itself" })
    .example("$0 calibrate gemma3-270m italian.safetensors", "what counts follows from the datasets' names: Italian")
    .example("$0 calibrate gemma3-270m italian.safetensors --kind dyn --share 0.8", "")
    .example("$0 calibrate gemma3-270m formal.safetensors --questions ENi2f_test --probe formal.probe", "") as unknown as Argv<CalibrateArguments>,
  handler: (options) => interruptible((signal) => run(options, signal)),
};

async function run(options: ArgumentsCamelCase<CalibrateArguments>, signal: AbortSignal): Promise<void> {
  const { vector: path, out = path, share, values, n, maxNewTokens, json, quiet } = options;
  const kind = STRATEGY_WORDS[options.kind]!;
  const vector = await SteeringVector.load(path);
  const questions = await questionsOf(options, vector);
  await assertWritable(out);
  await using kit = await EvaluationKit.open(options, signal);
  const evaluators = await kit.evaluators({ ...aimOf(vector), ...given(options) }, options.model, signal);
  await using model = await openModel(options, signal, { maxSequences: 32, contextSize: 16_384 });
  const progress = showProgress(`calibrating ${vector.property}`, quiet, (count) => `${Math.round(count)} answers`);
  const { tried, vector: calibrated } = await calibrate(model, { vector, questions, evaluators, wanted: share, kind, n, maxNewTokens, signal, onProgress: progress.onProgress, ...defined({ candidates: values }) })
    .finally(() => progress.stop());
  const chosen = calibrated?.provenance.calibration;
  if (calibrated) await calibrated.save(out);
  if (json) print(JSON.stringify({ path: chosen ? out : null, calibration: chosen ?? null, tried }, null, 2));
  else for (const candidate of tried) print(row(candidate, candidate.schedule === chosen?.schedule));
  if (!chosen) throw new SteeringError("E_BAD_ARGUMENT", `no candidate has the effect in ${percent(share)} of the answers; ${path} is as it was. Try other --values, another --kind, or a lower --share`);
  note(`${chosen.effect} in ${percent(chosen.found)} of ${chosen.n} answers. Now: ${commandName()} generate ${options.model} "…" --steer ${out}`, quiet);
}

/** Throws E_BAD_ARGUMENT where none are named, and the vector does not lead to any. */
async function questionsOf({ questions, vector: path, model }: CalibrateArguments, { provenance: { origin } }: SteeringVector): Promise<Dataset> {
  const folder = datasets.folder(model);
  if (questions !== undefined) return loadDataset(questions, folder);
  // A dataset of the user's own may have the name of one of ours.
  const isOurs = "positive" in origin && await loadDataset(origin.positive.name, folder).then((dataset) => datasetReference(dataset).hash === origin.positive.hash, () => false);
  const heldOut = isOurs ? await testPart(origin.positive.name, folder) : undefined;
  if (!heldOut) throw new SteeringError("E_BAD_ARGUMENT", `${path} was not extracted from a dataset of ${folder} that has a _test part: name held-out questions with --questions`);
  return heldOut;
}

/** What the vector leads to, as far as its datasets' names say so. */
function aimOf({ property, provenance: { origin } }: SteeringVector): ReturnType<typeof wantedOf> {
  if (!("positive" in origin)) return {};
  return wantedOf({ kind: "single", datasets: { positive: origin.positive, negative: origin.negative }, vectors: [{ property, file: "", hash: null }] });
}

function row({ schedule, found, deltaPerplexity }: Candidate, isChosen: boolean): string {
  const setting = schedule.kind === "dynamic" ? `p=${schedule.topP}` : `${(schedule as { alpha: number }).alpha}`;
  return `${schedule.kind} ${setting.padEnd(8)} ${percent(found).padStart(6)}   ΔPPL ${deltaPerplexity.toFixed(2).padStart(8)}${isChosen ? "   ← chosen" : ""}`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
