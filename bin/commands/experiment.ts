import { basename, join } from "node:path";
import { baseName } from "../../lib/dataset/index.js";
import { modelFolder } from "../../lib/experiment/index.js";
import {
  datasets as datasetsApi, experiment, type ComposeOptions, type RunOptions, type RunResults, type SingleOptions,
} from "../../lib/experiments.js";
import { SteeringError } from "../../lib/index.js";
import { command, group, options, type OutputOptions, type Values } from "../command.js";
import { defined, interruptible, note, print } from "../common.js";
import { openModel } from "../open-model.js";
import {
  count, experimentOptions, file, formatGiven, MACHINE, RUN, siteOption, supportIndices, type ExperimentArguments, type RunArguments,
} from "../options.js";
import { showProgress } from "../progress.js";
import { printColumns, printRunTable, runSummary } from "../run-table.js";

const SINGLE = options({
  ...experimentOptions(experiment.SINGLE_DEFAULTS),
  ...siteOption("head_out"),
  positive: { ...file, describe: "Dataset that shows the property" },
  negative: { ...file, describe: "Dataset that does not show it" },
  support: { ...count(), describe: "Prompts per side of the extraction, drawn with replacement", defaultDescription: "30" },
  seed: { ...count(0), describe: "Seed of the draw", defaultDescription: "32" },
  "support-indices": { type: "string", describe: "Rows to use instead of a draw, e.g. 3,17,17, or a vector file with a draw" },
  "eval-dataset": { type: "string", describe: "Dataset whose questions are answered", defaultDescription: "the positive one" },
  vector: { type: "string", describe: "Vector file to use instead of extracting one" },
  "skip-eval": { type: "boolean", describe: "Stop after extracting the vector" },
});

const COMPOSE = options({
  ...experimentOptions(experiment.COMPOSE_DEFAULTS),
  vector: { ...file, array: true, describe: "Vector file (repeatable, one for each property)" },
  source: { ...file, describe: "Dataset whose questions are answered" },
  composed: { ...file, describe: "Dataset that shows all properties: the reference of ΔPPL" },
  language: { type: "string", describe: "Dataset that shows only the language, as an additional baseline" },
});

const PLAN = options({
  ...MACHINE,
  ...RUN,
  out: { ...RUN.out, defaultDescription: "runs/PLAN" },
  plan: { ...file, describe: `YAML file, or ${experiment.READY_PLANS.join(", ")}` },
  model: { type: "string", array: true, describe: "Model to use instead of the plan's (repeatable)" },
  "skip-missing": { type: "boolean", describe: "Skip the runs whose datasets are missing" },
  "dry-run": { type: "boolean", describe: "Check and list the runs without running them" },
});

type SingleArguments = Values<typeof SINGLE> & OutputOptions;
type ComposeArguments = Values<typeof COMPOSE> & OutputOptions;
type PlanArguments = Values<typeof PLAN> & OutputOptions;

/** Sequences and KV cells of an experiment's model: enough for several prompts in all their settings at once. */
const ROOM = { maxSequences: 32, contextSize: 8192 };

export default group("experiment", "Run the paper's experiments, singly or from a plan", [
  command({
    usage: "single <model>",
    describe: "One property: extract its vector, answer in every setting",
    options: SINGLE,
    examples: [
      ["experiment single gemma3-270m --positive ITA --negative ENG"],
      ["experiment single gemma3-270m --positive ITA --negative ENG --strategies dyn --top-p 0.3"],
    ],
    epilogue: "The paper's code calls this experiment diff_main.",
    run: (given) => interruptible((signal) => single(given, signal)),
  }),
  command({
    usage: "compose <model>",
    describe: "Several properties at once, each with a vector of its own",
    options: COMPOSE,
    examples: [["experiment compose gemma3-270m --vector ENi2f-ENf2i.safetensors --vector ITA-ENG.safetensors"
      + " --source ENi2f --language ITA --composed ITi2f"]],
    epilogue: "The paper's code calls this experiment compositionality.",
    run: (given) => interruptible((signal) => compose(given, signal)),
  }),
  command({
    usage: "plan <plan>",
    describe: "Several runs from one file: models, properties, seeds",
    options: PLAN,
    examples: [["experiment plan tiny", "takes seconds, needs no download"], ["experiment plan laptop --out results"]],
    run: (given) => interruptible((signal) => plan(given, signal)),
  }),
]);

async function single(options: SingleArguments, signal: AbortSignal): Promise<void> {
  const indices = await supportIndices(options.supportIndices);
  if (indices && (options.support ?? options.seed) !== undefined) {
    throw new SteeringError("E_BAD_ARGUMENT", "--support-indices replaces the draw; leave out --support and --seed, which have no effect");
  }
  const { positive, negative, support, seed, evalDataset, site } = options;
  const name = `${baseName(positive)}-${baseName(negative)}`;
  const out = options.out ?? join("runs", modelFolder(options.model), name);
  const own = defined({ positive, negative, support, seed, supportIndices: indices, evalDataset, site });
  const config = { ...experimentConfig(options), ...own };
  await using model = await openModel(options, signal, ROOM);
  const how = { ...placeOf(options, out, signal), skipEval: options.skipEval, ...defined({ vector: options.vector }) };
  const results = await withProgress(baseName(positive), options, (progress) =>
    experiment.single(model, config as SingleOptions, { ...how, ...progress }));
  if (results) await report(results, out, options);
  else note(`Written: the vector, in ${out}`, options.quiet);
}

async function compose(options: ComposeArguments, signal: AbortSignal): Promise<void> {
  const names = options.vector.map((path) => basename(path).replace(/-.*$|\.safetensors$/g, ""));
  const out = options.out ?? join("runs", modelFolder(options.model), names.join("+"));
  const { vector: vectors, source, composed, language } = options;
  const config = { ...experimentConfig(options), ...defined({ vectors, source, composed, language }) };
  await using model = await openModel(options, signal, ROOM);
  const results = await withProgress(names.join(" + "), options, (progress) =>
    experiment.compose(model, config as ComposeOptions, { ...placeOf(options, out, signal), ...progress }));
  await report(results, out, options);
}

async function plan(options: PlanArguments, signal: AbortSignal): Promise<void> {
  const read = await experiment.loadPlan(options.plan, { signal });
  const loaded = options.model.length === 0 ? read : { ...read, models: options.model };
  const out = options.out ?? join("runs", loaded.name);
  const { missing, left } = await experiment.checkPlan(loaded, options.datasets, { signal });
  if (missing.length > 0) {
    const lines = missing.map(({ run, reason }) => `  ${run}: ${reason}`).join("\n");
    if (!options.skipMissing) {
      throw new SteeringError("E_NOT_FOUND", `${missing.length} runs of the plan ${loaded.name} cannot start; `
        + `fix them, or skip them with --skip-missing:\n${lines}`);
    }
    note(`skipped:\n${lines}`, options.quiet);
  }
  if (options.dryRun) {
    if (options.json) return print(JSON.stringify(left, null, 2));
    return printColumns([["model", "run", "folder"], ...left.map((run) => [run.model, run.name, join(out, run.out)])]);
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
function experimentConfig(options: ExperimentArguments): object {
  const { iclExamples, evaluationSize, evaluateOn, maxNewTokens, promptFormat, klReduction } = options;
  const { strategies, alphas, topP, budgets, layers, heads } = options;
  const prompted = options.prompted === "none" ? null : options.prompted;
  const given = { ...formatGiven(options), ...defined({ strategies, alphas, topP, budgets, prompted }) };
  return { iclExamples, evaluationSize, evaluateOn, maxNewTokens, promptFormat, klReduction, layers, heads, ...given };
}

function place({ datasets, parallel, shard, quiet }: RunArguments, out: string, signal: AbortSignal): RunOptions {
  return { out, parallel, shard: shard ?? null, signal, onNotice: (line) => note(`note: ${line}`, quiet), ...defined({ datasets }) };
}

/** A run with one model. */
function placeOf(options: ExperimentArguments, out: string, signal: AbortSignal): RunOptions {
  return { datasets: datasetsApi.folder(options.model), ...place(options, out, signal), modelName: options.model };
}

interface Handlers {
  handlers: Required<Pick<RunOptions, "onProgress" | "onExtraction">>;
  stop: () => void;
}

function progressOf(name: string, { quiet }: OutputOptions): Handlers {
  const answers = showProgress(name, quiet, "answers");
  const extraction = showProgress(`${name}, vector`, quiet, "tokens");
  let isExtracted = false;
  return {
    handlers: {
      onExtraction: (done, total) => {
        if (isExtracted) return; // its bar is finished
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

type Work<Result> = (handlers: Handlers["handlers"]) => Promise<Result>;

async function withProgress<Result>(name: string, options: OutputOptions, work: Work<Result>): Promise<Result> {
  const { handlers, stop } = progressOf(name, options);
  try {
    return await work(handlers);
  } finally {
    stop();
  }
}

/** Prints the table; with `--json` one line per answer, then one for the table. */
async function report(results: RunResults, out: string, { json, quiet }: OutputOptions): Promise<void> {
  if (json) {
    for (const record of results.records) print(JSON.stringify(record));
    print(JSON.stringify({ out, summary: await runSummary(results) }));
    return;
  }
  await printRunTable(results);
  note(`Written: ${out}`, quiet);
}
