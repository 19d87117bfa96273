import { join } from "node:path";
import colours from "picocolors";
import type { ArgumentsCamelCase, Argv, CommandModule } from "yargs";
import { saveComparison } from "../../lib/experiment/index.js";
import { datasets, experiment, spec, type Answer, type Setting, type SettingSummary } from "../../lib/experiments.js";
import { assertWritable } from "../../lib/formats/index.js";
import { loadDataset, SteeringError, type Model, type WrittenSchedule } from "../../lib/index.js";
import { alphaStrip } from "../alpha-strip.js";
import { commandName, interruptible, modelOptions, note, print, wholeNumber, type ModelOptions } from "../common.js";
import { openModel } from "../open-model.js";
import { extractWithProgress } from "./extract.js";
import { alphaScale } from "./generate.js";

interface DemoArguments extends Omit<ModelOptions, "model"> {
  model: string | undefined;
  questions: number;
  alpha: number | undefined;
  topP: number | undefined;
  maxNewTokens: number;
  out: string | undefined;
}

const UNSTEERED = "unsteered";
const DEFAULT_MODEL = "gemma3-270m";
const OFFLINE_MODEL = "tiny";
/** What is compared, and the p_top to try next. */
const USUAL = { alpha: 1.5, topP: 0.5, next: 0.3 };
/** The embedded model needs less of a push. */
const SETTINGS: Record<string, typeof USUAL> = { [OFFLINE_MODEL]: { alpha: 1, topP: 0.9, next: 0.7 } };

/** `llama-steer demo`: the main job from end to end, what `npm start` runs. */
export const demoCommand: CommandModule<object, DemoArguments> = {
  command: "demo [model]",
  describe: "Make a model answer in Italian: extract the vector, compare unsteered, Fixed and Dyn",
  builder: (yargs) => modelOptions(yargs as Argv<object>)
    .positional("model", { type: "string", describe: `Name, hf: address or file; ${DEFAULT_MODEL} by default, ${OFFLINE_MODEL} where that cannot be downloaded` })
    .option("questions", { type: "number", default: 6, coerce: wholeNumber("questions", 1), describe: "Held-out questions to answer" })
    .option("alpha", { type: "number", describe: "Intensity of Fixed; 1.5 by default, 1 for tiny" })
    .option("top-p", { type: "number", describe: "p_top of Dyn; 0.5 by default, 0.9 for tiny" })
    .option("max-new-tokens", { type: "number", default: 30, coerce: wholeNumber("max-new-tokens", 1), describe: "Tokens per answer" })
    .option("out", { type: "string", describe: "Folder for the vector and the results; runs/demo-TIME by default" }) as unknown as Argv<DemoArguments>,
  handler: (options) => interruptible((signal) => run(options, signal)),
};

async function run(options: ArgumentsCamelCase<DemoArguments>, signal: AbortSignal): Promise<void> {
  const { questions, maxNewTokens, quiet, json } = options;
  const out = options.out ?? join("runs", `demo-${new Date().toISOString().replace(/[:.]/g, "-").slice(0, 19)}`);

  const vectorPath = join(out, "italian.safetensors");
  const resultsPath = join(out, "results.json");
  await assertWritable(vectorPath);
  await heldOutQuestions(options.model ?? DEFAULT_MODEL, questions);
  schedulesFor(options.model ?? DEFAULT_MODEL, options);

  const { model, name } = await openDemoModel(options, signal);
  await using _ = model;
  const { alpha, topP, fixed, dynamic } = schedulesFor(name, options);
  const folder = datasets.folder(name);
  const heldOut = await heldOutQuestions(name, questions);
  const [positive, negative] = [await loadDataset("ITA", folder), await loadDataset("ENG", folder)];
  note(`\n${colours.bold("1. Extract")} an Italian − English vector from ${name} (${model.info.quantisation}): 30 prompts a side with 4 demonstrations each`, quiet);
  const vector = await extractWithProgress(model, { positive, negative, quiet, signal });
  await vector.save(vectorPath);

  const settings: Setting[] = [
    { label: UNSTEERED, steer: [] },
    { label: `Fixed ${alpha}`, steer: [{ vector, schedule: fixed }] },
    { label: `Dyn p=${topP}`, steer: [{ vector, schedule: dynamic }] },
  ];
  note(`\n${colours.bold("2. Answer")} ${questions} English questions that the vector has not seen; under each Dyn answer the intensity of every token, 0 to 2`, quiet);
  const onAnswer = (answer: Answer) => { if (!json) showAnswer(answer, settings); };
  const answers = await experiment.compare(model, heldOut.slice(0, questions), settings, { maxNewTokens, signal, onAnswer });
  const summary = experiment.summarise(answers, "ita");
  const results = { model: name, quantisation: model.info.quantisation, vector: vectorPath, provenance: vector.provenance, schedules: { fixed, dynamic }, summary, answers };
  await saveComparison(resultsPath, results);
  if (json) return print(JSON.stringify(results, null, 2));
  showSummary(summary, [vectorPath, resultsPath]);
  showNextSteps(name, heldOut.at(-1)!, vectorPath);
}

/** What is compared. Throws E_BAD_SPEC. */
function schedulesFor(model: string, options: DemoArguments): { alpha: number; topP: number; fixed: WrittenSchedule; dynamic: WrittenSchedule } {
  const own = SETTINGS[model] ?? USUAL;
  const { alpha = own.alpha, topP = own.topP } = options;
  return { alpha, topP, fixed: spec.parseSchedule({ kind: "fixed", alpha }), dynamic: spec.parseSchedule({ kind: "dynamic", topP }) };
}

async function heldOutQuestions(model: string, count: number): Promise<string[]> {
  const { rows } = await loadDataset("ITA_test", datasets.folder(model));
  if (count > rows.length) throw new SteeringError("E_BAD_ARGUMENT", `--questions must be from 1 to ${rows.length}`);
  return rows.map((row) => row.input);
}

/** The model that was asked for; else the default one, or, where it cannot be had, the one that the package brings along. */
async function openDemoModel(options: DemoArguments, signal: AbortSignal): Promise<{ model: Model; name: string }> {
  const open = async (name: string) => ({ name, model: await openModel({ ...options, model: name }, signal) });
  if (options.model !== undefined) return open(options.model);
  return open(DEFAULT_MODEL).catch((error: unknown) => {
    if (!(error instanceof SteeringError) || error.code !== "E_DOWNLOAD") throw error;
    note(`${error.message}\n${colours.bold("Offline:")} going on with the embedded model ${OFFLINE_MODEL}, which answers everyday questions only`, options.quiet);
    return open(OFFLINE_MODEL);
  });
}

function showAnswer(answer: Answer, settings: readonly Setting[]): void {
  if (answer.setting === UNSTEERED) print(`\n${colours.bold(answer.question)}`);
  const width = Math.min(process.stdout.columns ?? 100, 110) - 18;
  const language = answer.detected.language.padEnd(4);
  const schedules = settings.find((setting) => setting.label === answer.setting)!.steer.map(({ schedule }) => schedule as WrittenSchedule);
  const dynamic = schedules.some((schedule) => schedule.kind === "dynamic");
  const lines = dynamic
    ? alphaStrip(answer.tokens, schedules.map((schedule) => alphaScale({ schedule })), width)
    : wrap(answer.text, width);
  lines.forEach((line, index) => print(`${index === 0 ? `${answer.setting.padEnd(12)} ${colours.dim(language)}` : " ".repeat(17)} ${line}`));
}

function wrap(text: string, width: number): string[] {
  const lines = [""];
  for (const word of text.trim().replace(/\s*\n+\s*/g, " ↵ ").split(" ")) {
    const line = lines.at(-1)!;
    if (line.length + word.length + 1 > width && line !== "") lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}

function showSummary(summary: readonly SettingSummary[], files: readonly string[]): void {
  print(`\n${"".padEnd(12)} detected as Italian   tokens/s`);
  for (const { setting, hits, n, tokensPerSecond } of summary) {
    print(`${setting.padEnd(12)} ${`${hits} of ${n}`.padEnd(21)} ${tokensPerSecond.toFixed(1)}`);
  }
  print(`\nWritten: ${files.join(" and ")}`);
}

function showNextSteps(model: string, question: string, vectorPath: string): void {
  const { next } = SETTINGS[model] ?? USUAL;
  const command = commandName();
  print(`\nTry next:\n  ${command} generate ${model} "${question}" --steer ${vectorPath}:dyn,p=${next}`
    + `\n  ${command} inspect ${vectorPath}`
    + `\n  ${command} extract ${model} --positive FRA --negative ENG --out french.safetensors`);
}
