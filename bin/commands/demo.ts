import { join } from "node:path";
import { saveComparison } from "../../lib/experiment/index.js";
import { datasets, experiment, spec, type Answer, type Setting, type SettingSummary } from "../../lib/experiments.js";
import { assertWritable } from "../../lib/formats/index.js";
import { loadDataset, SteeringError, type Model, type WrittenSchedule } from "../../lib/index.js";
import { alphaStrip } from "../alpha-strip.js";
import { command, options, type OutputOptions, type Values } from "../command.js";
import { commandName, interruptible, note, print } from "../common.js";
import { openModel } from "../open-model.js";
import { count, MACHINE } from "../options.js";
import { extractWithProgress } from "./extract.js";
import { alphaScale } from "./generate.js";
import { onStderr, onStdout } from "../colours.js";

const UNSTEERED = "unsteered";
const DEFAULT_MODEL = "gemma3-270m";
const OFFLINE_MODEL = "tiny";
/** The settings that are compared: the best measured ones of the default model (docs/measured.md), and the p_top to try next. */
const USUAL = { alpha: 0.5, topP: 0.3, next: 0.5 };
/** The instruct model that the last lines propose. */
const INSTRUCT_MODEL = "qwen2.5-coder-0.5b-instruct";
const WORDS = '--towards "always answers in Italian" --away "always answers in English"';
/** The embedded model needs weaker steering. */
const SETTINGS: Record<string, typeof USUAL> = { [OFFLINE_MODEL]: { alpha: 1, topP: 0.9, next: 0.7 } };
const defaultOf = (setting: keyof typeof USUAL): string => `${USUAL[setting]}; tiny: ${SETTINGS[OFFLINE_MODEL]![setting]}`;

const OPTIONS = options({
  ...MACHINE,
  model: {
    type: "string", describe: "Model: a name from `models list`, an hf: address, or a path to a GGUF",
    defaultDescription: `${DEFAULT_MODEL}; ${OFFLINE_MODEL} without network access`,
  },
  questions: { ...count(), default: 6, describe: "Number of held-out questions to answer" },
  alpha: { type: "number", describe: "Intensity of Fixed", defaultDescription: defaultOf("alpha") },
  "top-p": { type: "number", describe: "p_top of Dyn", defaultDescription: defaultOf("topP") },
  "max-new-tokens": { ...count(), default: 30, describe: "Tokens per answer" },
  out: { type: "string", describe: "Folder for the vector and the results", defaultDescription: "runs/demo-TIME" },
});

type DemoArguments = Values<typeof OPTIONS> & OutputOptions;

/** The main job from end to end; `npm start` runs it. */
export default command({
  usage: "demo [model]",
  describe: "Make a model answer in Italian, and compare the answers",
  options: OPTIONS,
  run: (given) => interruptible((signal) => run(given, signal)),
});

async function run(options: DemoArguments, signal: AbortSignal): Promise<void> {
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
  note(`\n${onStderr.bold("1. Extract")} Italian − English from ${name} (${model.info.quantisation}): `
    + "30 prompts per language, 4 demonstrations each", quiet);
  const vector = await extractWithProgress(model, { positive, negative, strength: false, quiet, signal });
  await vector.save(vectorPath);

  const settings: Setting[] = [
    { label: UNSTEERED, steer: [] },
    { label: `Fixed ${alpha}`, steer: [{ vector, schedule: fixed }] },
    { label: `Dyn p=${topP}`, steer: [{ vector, schedule: dynamic }] },
  ];
  note(`\n${onStderr.bold("2. Answer")} ${questions} held-out English questions; `
    + "bars under Dyn answers show the intensity, from 0 to 2", quiet);
  const onAnswer = (answer: Answer) => { if (!json) showAnswer(answer, settings); };
  const answers = await experiment.compare(model, heldOut.slice(0, questions), settings, { format: "qa", maxNewTokens, signal, onAnswer });
  const summary = experiment.summarise(answers, "ita");
  const results = {
    model: name, quantisation: model.info.quantisation, vector: vectorPath, provenance: vector.provenance,
    schedules: { fixed, dynamic }, summary, answers,
  };
  await saveComparison(resultsPath, results);
  if (json) return print(JSON.stringify(results, null, 2));
  showSummary(summary, [vectorPath, resultsPath]);
  showNextSteps(name, heldOut.at(-1)!, vectorPath);
}

interface Schedules {
  alpha: number;
  topP: number;
  fixed: WrittenSchedule;
  dynamic: WrittenSchedule;
}

/** The schedules to compare. Throws E_BAD_SPEC. */
function schedulesFor(model: string, options: DemoArguments): Schedules {
  const own = SETTINGS[model] ?? USUAL;
  const { alpha = own.alpha, topP = own.topP } = options;
  return { alpha, topP, fixed: spec.parseSchedule({ kind: "fixed", alpha }), dynamic: spec.parseSchedule({ kind: "dynamic", topP }) };
}

async function heldOutQuestions(model: string, count: number): Promise<string[]> {
  const { rows } = await loadDataset("ITA_test", datasets.folder(model));
  if (count > rows.length) {
    throw new SteeringError("E_BAD_ARGUMENT", `--questions ${count} is too many: there are ${rows.length} held-out questions`);
  }
  return rows.map((row) => row.input);
}

/** The model on the command line; otherwise the default model, or the embedded one if the download fails. */
async function openDemoModel(options: DemoArguments, signal: AbortSignal): Promise<{ model: Model; name: string }> {
  const open = async (name: string) => ({ name, model: await openModel({ ...options, model: name }, signal) });
  if (options.model !== undefined) return open(options.model);
  return open(DEFAULT_MODEL).catch((error: unknown) => {
    if (!(error instanceof SteeringError) || error.code !== "E_DOWNLOAD") throw error;
    note(`${error.message}\n${onStderr.bold("Offline:")} using the embedded model ${OFFLINE_MODEL}, `
      + "which only answers everyday questions", options.quiet);
    return open(OFFLINE_MODEL);
  });
}

function showAnswer(answer: Answer, settings: readonly Setting[]): void {
  if (answer.setting === UNSTEERED) print(`\n${onStdout.bold(answer.question)}`);
  const width = Math.min(process.stdout.columns ?? 100, 110) - 18;
  const language = answer.detected.language.padEnd(4);
  const schedules = settings.find((setting) => setting.label === answer.setting)!.steer.map(({ schedule }) => schedule as WrittenSchedule);
  const dynamic = schedules.some((schedule) => schedule.kind === "dynamic");
  const lines = dynamic
    ? alphaStrip(answer.tokens, schedules.map((schedule) => alphaScale({ schedule })), width)
    : wrap(answer.text, width);
  const label = `${answer.setting.padEnd(12)} ${onStdout.dim(language)}`;
  lines.forEach((line, index) => print(`${index === 0 ? label : " ".repeat(17)} ${line}`));
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
    + `\n  ${command} extract ${model} --positive FRA --negative ENG --out french.safetensors`
    + "\n\nChat with an instruct model, steered by a property that you describe in words:"
    + `\n  ${command} models pull ${INSTRUCT_MODEL}`
    + `\n  ${command} extract ${INSTRUCT_MODEL} ${WORDS} --out words.safetensors`
    + `\n  ${command} chat ${INSTRUCT_MODEL} --steer words.safetensors`);
}
