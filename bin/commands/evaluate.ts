import { join } from "node:path";
import { wantedOf, checkEvaluators, named, requireSetting } from "../../lib/evaluate/index.js";
import { evaluate, results as resultsApi, type Evaluator } from "../../lib/experiments.js";
import { formatOfConfig } from "../../lib/experiment/index.js";
import { SteeringError, type FormatOptions } from "../../lib/index.js";
import { readRecords, readRunFile, RESULTS_FILE, type RunFile } from "../../lib/results/index.js";
import { command, group, options, type OutputOptions, type Values } from "../command.js";
import { interruptible, note, print } from "../common.js";
import evaluateFacts from "../evaluate-facts.js";
import evaluateGold from "../evaluate-gold.js";
import { EvaluationKit, EVALUATORS, wantedBy } from "../evaluation-kit.js";
import { refuseAgainst } from "../judge-kit.js";
import { file, formatGiven, formatOptions } from "../options.js";
import { readPiped } from "../piped-text.js";
import { showProgress } from "../progress.js";
import { printRunTable, runSummary } from "../run-table.js";

const RUNS = options({
  ...EVALUATORS,
  ...formatOptions("the run's own"),
  runs: { ...file, array: true, describe: "Folders of runs, or folders that contain runs" },
  again: { type: "boolean", describe: "Replace evaluations made with other models or for another goal" },
});

const TEXT = options({
  ...EVALUATORS,
  ...formatOptions("qa"),
  text: { type: "string", describe: "Text to evaluate", defaultDescription: "standard input" },
  question: { type: "string", default: "", describe: "Question that the text answers" },
});

type RunArguments = Values<typeof RUNS> & OutputOptions;
type TextArguments = Values<typeof TEXT> & OutputOptions;

export default group("evaluate", "Judge answers: language, safety, formality, fluency", [
  command({
    usage: "text [text]",
    describe: "Evaluate one text, given here or on standard input",
    options: TEXT,
    examples: [["evaluate text \"Le api fanno il miele.\" --language it"]],
    run: (given) => interruptible((signal) => evaluateText(given, signal)),
  }),
  evaluateGold,
  evaluateFacts,
  command({
    usage: "$0 <runs..>",
    describe: "Evaluate the answers of runs",
    options: RUNS,
    examples: [
      ["evaluate runs/tiny --safety tiny --formality tiny-formality"],
      ["evaluate RUN --judge qwen2.5-coder-1.5b-instruct", "asks another model about each answer"],
    ],
    run: (given) => interruptible((signal) => evaluateRuns(given, signal)),
  }),
]);

async function evaluateRuns(options: RunArguments, signal: AbortSignal): Promise<void> {
  const { again, json, quiet } = options;
  const runs: Array<{ folder: string; run: RunFile }> = [];
  for (const folder of options.runs.flatMap(resultsApi.below)) runs.push({ folder, run: await readRunFile(folder) });
  for (const { folder, run } of runs) requireSetting("--against", options.against, folder, run); // before any judging
  for (const { folder, run } of runs) await readRecords(join(folder, RESULTS_FILE), run, () => undefined, signal); // likewise
  const wanted = wantedBy(options);
  const given = perplexityFormat(options);
  await using kit = await EvaluationKit.open(options, signal);
  for (const { folder, run } of runs) {
    const how = { ...formatOfConfig(run.config), ...given };
    const evaluators = await kit.evaluators({ ...wantedOf(run), ...wanted }, run.model.name, signal, how);
    if (await kit.isJudge(run.model.fingerprint)) note("note: the judge is the steered model itself; prefer another one", quiet);
    const gold = await kit.gold({ ...wantedOf(run), ...wanted }, signal);
    const results = await withRates(quiet, (onProgress) => evaluate.run(folder, evaluators, { again, signal, onProgress }));
    const judged = options.judge === undefined ? {} : { gold };
    if (json) print(JSON.stringify({ run: folder, summary: await runSummary(results), ...judged }));
    else await printRunTable(results);
    note(folder, quiet);
  }
}

/** How the questions are put to the model of --perplexity: the others read the answers alone, or have a form of their own. */
function perplexityFormat(options: RunArguments | TextArguments): FormatOptions {
  const how = formatGiven(options);
  if (options.perplexity !== undefined || Object.keys(how).length === 0) return how;
  throw new SteeringError("E_BAD_ARGUMENT", "--format, --system and --template-variable have no effect without --perplexity; "
    + "add --perplexity, or leave them out");
}

type EvaluationProgress = (evaluator: string, done: number, total: number) => void;

/** A bar for each evaluator, then the number of answers that it judged in a second. */
async function withRates<T>(quiet: boolean, work: (onProgress: EvaluationProgress) => Promise<T>): Promise<T> {
  const bars = new Map<string, ReturnType<typeof startBar>>();
  const startBar = (evaluator: string, first: number) => ({
    show: showProgress(evaluator, quiet, "answers"), begun: performance.now(), first,
  });
  try {
    return await work((evaluator, done, total) => {
      const bar = bars.get(evaluator) ?? startBar(evaluator, done);
      bars.set(evaluator, bar);
      bar.show.onProgress(done, total);
      if (done < total) return;
      bar.show.stop();
      const judged = done - bar.first;
      const seconds = (performance.now() - bar.begun) / 1000;
      if (judged > 0) note(`${evaluator}: ${judged} answers, ${(judged / seconds).toFixed(1)} answers/s`, quiet);
    });
  } finally {
    for (const { show } of bars.values()) show.stop();
  }
}

async function evaluateText(options: TextArguments, signal: AbortSignal): Promise<void> {
  refuseAgainst(options);
  const text = options.text ?? await readInput(options, signal);
  const aims = wantedBy(options);
  const given = perplexityFormat(options);
  await using kit = await EvaluationKit.open(options, signal);
  const columns: Record<string, unknown> = {};
  const evaluators = await kit.evaluators(aims, undefined, signal, { format: "qa", ...given });
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

/** Standard input as text. Throws what `readPiped` throws. */
async function readInput({ quiet }: OutputOptions, signal: AbortSignal): Promise<string> {
  if (process.stdin.isTTY) throw new SteeringError("E_BAD_ARGUMENT", "no text is given; name it after \"evaluate text\", or pipe it in");
  return readPiped("text", quiet, signal);
}
