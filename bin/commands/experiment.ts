import { basename, join } from "node:path";
import type { ArgumentsCamelCase, Argv, CommandModule } from "yargs";
import { baseName } from "../../lib/dataset/index.js";
import { modelFolder } from "../../lib/experiment/index.js";
import { datasets as datasetsApi, experiment, type ComposeOptions, type RunOptions, type RunResults, type SingleOptions } from "../../lib/experiments.js";
import { SteeringError, type HookSite } from "../../lib/index.js";
import { defined, interruptible, machineOptions, note, print, wholeNumber, type OutputOptions } from "../common.js";
import { openModel } from "../open-model.js";
import { experimentOptions, runOptions, siteOption, supportIndices, type ExperimentArguments, type RunArguments } from "../options.js";
import { showProgress, tokenCount } from "../progress.js";
import { printColumns, printRunTable, runSummary } from "../run-table.js";

interface SingleArguments extends ExperimentArguments {
  positive: string;
  negative: string;
  support: number | undefined;
  seed: number | undefined;
  supportIndices: string | undefined;
  evalDataset: string | undefined;
  hookSite: HookSite;
  skipEval: boolean;
  vector: string | undefined;
}

interface ComposeArguments extends ExperimentArguments {
  vector: string[];
  source: string;
  composed: string;
  language: string | undefined;
}

interface PlanArguments extends RunArguments {
  plan: string;
  dryRun: boolean;
  skipMissing: boolean;
}

/** Sequences and cells of the models of experiments: several prompts in all their settings at once. */
const ROOM = { maxSequences: 32, contextSize: 8192 };

const singleCommand: CommandModule<object, SingleArguments> = {
  command: "single <model>",
  describe: "One property: extract its vector, answer prompts in every setting (the published diff_main)",
  builder: (yargs) => siteOption(experimentOptions(yargs as Argv<object>, experiment.SINGLE_DEFAULTS))
    .option("positive", { type: "string", demandOption: true, nargs: 1, describe: "Dataset that shows the property" })
    .option("negative", { type: "string", demandOption: true, nargs: 1, describe: "Dataset that it is contrasted with" })
    .option("support", { type: "number", coerce: wholeNumber("support", 1), describe: "Prompts per side of the extraction, drawn with replacement; 30 by default" })
    .option("seed", { type: "number", coerce: wholeNumber("seed", 0), describe: "Seed of the draw; 32 by default" })
    .option("support-indices", { type: "string", nargs: 1, describe: "A given draw: indices such as 3,17,17, or a vector file whose draw is repeated" })
    .option("eval-dataset", { type: "string", nargs: 1, describe: "Dataset whose questions are answered; the positive one by default" })
    .option("vector", { type: "string", nargs: 1, describe: "A vector extracted before, instead of extracting" })
    .option("skip-eval", { type: "boolean", default: false, describe: "Extract the vector and stop" })
    .example("$0 experiment single gemma3-270m --positive ITA --negative ENG", "")
    .example("$0 experiment single gemma3-270m --positive ITA --negative ENG --strategies dyn,fixed --alphas 1,1.5 --top-p 0.3", "") as unknown as Argv<SingleArguments>,
  handler: (options) => interruptible((signal) => single(options, signal)),
};

const composeCommand: CommandModule<object, ComposeArguments> = {
  command: "compose <model>",
  describe: "Several properties at once, each with its vector (the published compositionality)",
  builder: (yargs) => experimentOptions(yargs as Argv<object>, experiment.COMPOSE_DEFAULTS)
    .option("vector", { type: "string", array: true, nargs: 1, demandOption: true, describe: "A vector file; repeat it, one per property" })
    .option("source", { type: "string", demandOption: true, nargs: 1, describe: "Dataset whose questions are answered" })
    .option("composed", { type: "string", demandOption: true, nargs: 1, describe: "Dataset that shows all properties: the reference of ΔPPL" })
    .option("language", { type: "string", nargs: 1, describe: "Dataset that shows the language alone: one more baseline" })
    .example("$0 experiment compose gemma3-270m --vector ENi2f-ENf2i.safetensors --vector ITA-ENG.safetensors --source ENi2f --language ITA --composed ITi2f", "") as unknown as Argv<ComposeArguments>,
  handler: (options) => interruptible((signal) => compose(options, signal)),
};

const planCommand: CommandModule<object, PlanArguments> = {
  command: "plan <plan>",
  describe: "A table of runs from one file: models, properties, compositions, seeds",
  builder: (yargs) => machineOptions(runOptions(yargs as Argv<object>))
    .positional("plan", { type: "string", demandOption: true, describe: `A YAML file, or one of ours: ${experiment.READY_PLANS.join(", ")}` })
    .option("skip-missing", { type: "boolean", default: false, describe: "Leave out the runs whose datasets are not there" })
    .option("dry-run", { type: "boolean", default: false, describe: "List the runs and stop" })
    .example("$0 experiment plan tiny", "seconds, no download")
    .example("$0 experiment plan laptop --out results", "") as unknown as Argv<PlanArguments>,
  handler: (options) => interruptible((signal) => plan(options, signal)),
};

/** `llama-steer experiment single|compose|plan` */
export const experimentCommand: CommandModule<object, OutputOptions> = {
  command: "experiment",
  describe: "The paper's experiments: one property, several, or a whole table of runs",
  builder: (yargs) => (yargs as Argv<OutputOptions>).command(singleCommand).command(composeCommand).command(planCommand).demandCommand(1, "expected one of: single, compose, plan"),
  handler: () => {},
};

async function single(options: ArgumentsCamelCase<SingleArguments>, signal: AbortSignal): Promise<void> {
  const indices = await supportIndices(options.supportIndices);
  if (indices && (options.support ?? options.seed) !== undefined) throw new SteeringError("E_BAD_ARGUMENT", "--support-indices stand for themselves: --support and --seed belong to a draw");
  const out = options.out ?? join("runs", modelFolder(options.model), `${baseName(options.positive)}-${baseName(options.negative)}`);
  const config = { ...experimentConfig(options), ...defined({ positive: options.positive, negative: options.negative, support: options.support, seed: options.seed, supportIndices: indices, evalDataset: options.evalDataset, site: options.hookSite }) };
  await using model = await openModel(options, signal, ROOM);
  const results = await withProgress(baseName(options.positive), options, (progress) =>
    experiment.single(model, config as SingleOptions, { ...placeOf(options, out, signal), ...progress, skipEval: options.skipEval, ...defined({ vector: options.vector }) }));
  if (results) await report(results, out, options);
  else note(`The vector is in ${out}`, options.quiet);
}

async function compose(options: ArgumentsCamelCase<ComposeArguments>, signal: AbortSignal): Promise<void> {
  const names = options.vector.map((path) => basename(path).replace(/-.*$|\.safetensors$/g, ""));
  const out = options.out ?? join("runs", modelFolder(options.model), names.join("+"));
  const config = { ...experimentConfig(options), ...defined({ vectors: options.vector, source: options.source, composed: options.composed, language: options.language }) };
  await using model = await openModel(options, signal, ROOM);
  const results = await withProgress(names.join(" + "), options, (progress) =>
    experiment.compose(model, config as ComposeOptions, { ...placeOf(options, out, signal), ...progress }));
  await report(results, out, options);
}

async function plan(options: ArgumentsCamelCase<PlanArguments>, signal: AbortSignal): Promise<void> {
  const loaded = await experiment.loadPlan(options.plan, { signal });
  const out = options.out ?? join("runs", loaded.name);
  const { missing, left } = await experiment.checkPlan(loaded, options.datasets, { signal });
  if (missing.length > 0 && !options.dryRun) {
    const lines = missing.map(({ run, reason }) => `  ${run}: ${reason}`).join("\n");
    if (!options.skipMissing) throw new SteeringError("E_NOT_FOUND", `${missing.length} runs of the plan ${loaded.name} cannot be carried out (--skip-missing leaves them out):\n${lines}`);
    note(`left out:\n${lines}`, options.quiet);
  }
  if (options.dryRun) {
    const runs = experiment.planRuns(loaded);
    return options.json ? print(JSON.stringify(runs, null, 2)) : printColumns([["model", "run", "folder"], ...runs.map((run) => [run.model, run.name, join(out, run.out)])]);
  }
  let stop = (): void => {};
  const done = await experiment.plan(loaded, {
    runs: left,
    ...place(options, out, signal),
    load: (model) => openModel({ ...options, model }, signal, ROOM),
    onRun: (run, index, total) => {
      const progress = progressOf(`${index + 1}/${total} ${run.name}`, options);
      stop = progress.stop;
      return progress.handlers;
    },
    onResults: async (run, results) => {
      stop();
      await report(results, join(out, run.out), options);
    },
  }).finally(() => stop());
  note(`\n${done.length} runs in ${out}`, options.quiet);
}

/** The settings that both kinds of experiment have. */
function experimentConfig({ iclExamples, evaluationSize, evaluateOn, maxNewTokens, promptFormat, klReduction, strategies, alphas, topP, layers, heads }: ExperimentArguments): object {
  return defined({ iclExamples, evaluationSize, evaluateOn, maxNewTokens, promptFormat, klReduction, strategies, alphas, topP, layers, heads });
}

function place({ datasets, parallel, shard, quiet }: RunArguments, out: string, signal: AbortSignal): RunOptions {
  return { out, parallel, shard: shard ?? null, signal, onNotice: (line) => note(`note: ${line}`, quiet), ...(datasets === undefined ? {} : { datasets }) };
}

/** A run with one model. */
function placeOf(options: RunArguments, out: string, signal: AbortSignal): RunOptions {
  return { datasets: datasetsApi.folder(options.model), ...place(options, out, signal), modelName: options.model };
}

interface Handlers {
  handlers: Required<Pick<RunOptions, "onProgress" | "onExtraction">>;
  stop: () => void;
}

function progressOf(name: string, { quiet }: OutputOptions): Handlers {
  const answers = showProgress(name, quiet, (amount) => `${Math.round(amount * 10) / 10} answers`);
  const extraction = showProgress(`${name}, vector`, quiet, tokenCount);
  let isExtracted = false;
  return {
    handlers: {
      onExtraction: (done, total) => {
        if (isExtracted) return; // its bar is over
        extraction.onProgress(done, total);
        isExtracted = done === total;
        if (isExtracted) extraction.stop();
      },
      onProgress: answers.onProgress,
    },
    stop: () => {
      extraction.stop();
      answers.stop();
    },
  };
}

async function withProgress<Result>(name: string, options: OutputOptions, work: (handlers: Handlers["handlers"]) => Promise<Result>): Promise<Result> {
  const { handlers, stop } = progressOf(name, options);
  try {
    return await work(handlers);
  } finally {
    stop();
  }
}

/** With `--json` every answer as a line, then the table as one. */
async function report(results: RunResults, out: string, { json, quiet }: OutputOptions): Promise<void> {
  if (json) {
    for (const record of results.records) print(JSON.stringify(record));
    print(JSON.stringify({ out, summary: await runSummary(results) }));
    return;
  }
  await printRunTable(results);
  note(`Written: ${out}`, quiet);
}
