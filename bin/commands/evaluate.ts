import type { ArgumentsCamelCase, Argv, CommandModule } from "yargs";
import { wantedOf, checkEvaluators, named, type WantedProperties } from "../../lib/evaluate/index.js";
import { evaluate, results as resultsApi, type Evaluator } from "../../lib/experiments.js";
import { SteeringError } from "../../lib/index.js";
import { interruptible, machineOptions, note, print, type ModelOptions, type OutputOptions } from "../common.js";
import { EvaluationKit, type KitOptions } from "../evaluation-kit.js";
import { showProgress } from "../progress.js";
import { printRunTable, runSummary } from "../run-table.js";

interface EvaluateArguments extends OutputOptions, Omit<ModelOptions, "model">, KitOptions {
  wanted: string | undefined;
}

interface RunArguments extends EvaluateArguments {
  runs: string[];
  again: boolean;
}

interface TextArguments extends EvaluateArguments {
  text: string | undefined;
  question: string;
}

export function evaluatorOptions<T>(yargs: Argv<T>): Argv<T & EvaluateArguments> {
  return machineOptions(yargs)
    .option("language", { type: "string", nargs: 1, describe: "Language that counts as a hit (it, ita, zh-cn…); by default what the datasets' names say" })
    .option("detector", { choices: evaluate.LANGUAGE_DETECTORS, describe: "Whose guess of the language counts; eld by default" })
    .option("candidates", { type: "string", nargs: 1, describe: "Languages to choose among, joined by commas, or all; en,it,fr,es,zh by default" })
    .option("safety", { type: "string", nargs: 1, describe: "Guard model: tiny, llama-guard-3-1b, a GGUF…" })
    .option("safety-form", { type: "string", nargs: 1, describe: "JSON file: the form of the guard's verdict, where it has none of the known ones" })
    .option("controversial", { choices: ["unsafe", "safe", "neither"] as const, describe: "What a guard's \"controversial\" counts as; unsafe by default" })
    .option("formality", { type: "string", nargs: 1, describe: "Classifier with the labels formal and informal: tiny-formality, a GGUF…" })
    .option("sure", { type: "number", coerce: probability, describe: "Probability from which formal or informal counts; 0.8 by default, 0.5 takes the likelier one, as published" })
    .option("probe", { type: "string", array: true, nargs: 1, default: [] as string[], describe: "Probe file of `probe train`; repeatable" })
    .option("probe-model", { type: "string", nargs: 1, describe: "The model that the probes were trained on; the run's by default" })
    .option("translate", { type: "string", nargs: 1, describe: "Translate to English before safety and formality: a T5 GGUF (MADLAD-400), nllb, or none, the default" })
    .option("perplexity", { type: "string", nargs: 1, describe: "Model to take the answers' perplexity with" })
    .option("wanted", { type: "string", nargs: 1, describe: "What counts as a hit, e.g. safety=unsafe,formality=formal; by default what the datasets' names say" }) as unknown as Argv<T & EvaluateArguments>;
}

const runCommand: CommandModule<object, RunArguments> = {
  command: "$0 <runs..>",
  describe: "Evaluate the answers of runs, or of all runs below a folder",
  builder: (yargs) => evaluatorOptions(yargs as Argv<object>)
    .positional("runs", { type: "string", array: true, demandOption: true, describe: "Folders" })
    .option("again", { type: "boolean", default: false, describe: "Replace what was found with other models or for another wanted value" })
    .example("$0 evaluate runs/tiny --safety tiny --formality tiny-formality", "") as unknown as Argv<RunArguments>,
  handler: (options) => interruptible((signal) => evaluateRuns(options, signal)),
};

const textCommand: CommandModule<object, TextArguments> = {
  command: "text [text]",
  describe: "Evaluate one text, or what comes on standard input",
  builder: (yargs) => evaluatorOptions(yargs as Argv<object>)
    .positional("text", { type: "string", describe: "The text; standard input by default" })
    .option("question", { type: "string", nargs: 1, default: "", describe: "What it answers" })
    .example("$0 evaluate text \"Le api fanno il miele.\" --language it", "") as unknown as Argv<TextArguments>,
  handler: (options) => interruptible((signal) => evaluateText(options, signal)),
};

/** `llama-steer evaluate RUN…`, `llama-steer evaluate text TEXT` */
export const evaluateCommand: CommandModule<object, OutputOptions> = {
  command: "evaluate",
  describe: "Judge answers: language, safety, formality, fluency, probes",
  builder: (yargs) => (yargs as Argv<OutputOptions>).command(textCommand).command(runCommand),
  handler: () => {},
};

async function evaluateRuns(options: ArgumentsCamelCase<RunArguments>, signal: AbortSignal): Promise<void> {
  const { again, json, quiet } = options;
  const folders = options.runs.flatMap(resultsApi.below);
  const runs = await Promise.all(folders.map(async (folder) => ({ folder, run: (await resultsApi.read(folder)).run })));
  const wanted = given(options);
  await using kit = await EvaluationKit.open(options, signal);
  for (const { folder, run } of runs) {
    const evaluators = await kit.evaluators({ ...wantedOf(run), ...wanted }, run.model.name, signal);
    const results = await withRates(quiet, (onProgress) => evaluate.run(folder, evaluators, { again, signal, onProgress }));
    if (json) print(JSON.stringify({ run: folder, summary: await runSummary(results) }));
    else await printRunTable(results);
    note(folder, quiet);
  }
}

/** A bar per evaluator, and at its end how many answers it judged in a second. */
async function withRates<T>(quiet: boolean, work: (onProgress: (evaluator: string, done: number, total: number) => void) => Promise<T>): Promise<T> {
  const bars = new Map<string, { show: ReturnType<typeof showProgress>; begun: number; first: number }>();
  try {
    return await work((evaluator, done, total) => {
      const bar = bars.get(evaluator) ?? { show: showProgress(evaluator, quiet, (count) => `${Math.round(count)} answers`), begun: performance.now(), first: done };
      bars.set(evaluator, bar);
      bar.show.onProgress(done, total);
      if (done < total) return;
      bar.show.stop();
      const judged = done - bar.first;
      if (judged > 0) note(`${evaluator}: ${judged} answers, ${(judged / ((performance.now() - bar.begun) / 1000)).toFixed(1)} answers/s`, quiet);
    });
  } finally {
    for (const { show } of bars.values()) show.stop();
  }
}

async function evaluateText(options: ArgumentsCamelCase<TextArguments>, signal: AbortSignal): Promise<void> {
  const text = options.text ?? await readInput();
  const aims = given(options);
  await using kit = await EvaluationKit.open(options, signal);
  const columns: Record<string, unknown> = {};
  const evaluators = await kit.evaluators(aims, undefined, signal);
  checkEvaluators(evaluators);
  for (const evaluator of evaluators) Object.assign(columns, await columnsOf(evaluator, { question: options.question, text }, signal));
  if (options.json) return print(JSON.stringify(columns, null, 2));
  const width = Math.max(...Object.keys(columns).map((name) => name.length));
  for (const [name, value] of Object.entries(columns)) print(`${name.padEnd(width)}  ${shown(value)}`);
}

async function columnsOf(evaluator: Evaluator, text: { question: string; text: string }, signal: AbortSignal): Promise<object> {
  const [columns] = await evaluator.evaluate([text], signal);
  return named(evaluator.name, columns!);
}

function shown(value: unknown): string {
  if (typeof value === "number" && !Number.isInteger(value)) return value.toPrecision(4);
  return Array.isArray(value) ? value.map(shown).join(" ") : String(value ?? "–");
}

/** Standard input as text. Throws E_BAD_ARGUMENT for what is not UTF-8. */
async function readInput(): Promise<string> {
  if (process.stdin.isTTY) throw new SteeringError("E_BAD_ARGUMENT", "no text: give one, or pipe it in");
  const bytes: Buffer[] = [];
  for await (const chunk of process.stdin) bytes.push(chunk as Buffer);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(bytes));
  } catch (cause) {
    throw new SteeringError("E_BAD_ARGUMENT", "standard input is not UTF-8", { cause });
  }
}

function probability(value: unknown): number | undefined {
  if (value === undefined || (typeof value === "number" && value >= 0.5 && value < 1)) return value as number | undefined;
  throw new SteeringError("E_BAD_ARGUMENT", "--sure must be a probability from 0.5 to below 1");
}

const VALUES = { safety: ["safe", "unsafe"], formality: ["formal", "informal"] } as const;

/** What the options say is wanted. Throws E_BAD_ARGUMENT. */
export function given({ language, wanted = "" }: EvaluateArguments): WantedProperties {
  const pairs = wanted.split(",").filter((pair) => pair !== "").map((pair) => {
    const [name, value] = pair.split("=") as [string, string | undefined];
    const values: readonly string[] | undefined = Object.hasOwn(VALUES, name) ? VALUES[name as keyof typeof VALUES] : undefined;
    if (!values?.includes(value ?? "")) throw new SteeringError("E_BAD_ARGUMENT", `--wanted ${pair}: expected safety=safe, safety=unsafe, formality=formal or formality=informal`);
    return [name, value];
  });
  return { ...Object.fromEntries(pairs) as WantedProperties, ...(language !== undefined && { language: evaluate.parseLanguage(language) }) };
}
