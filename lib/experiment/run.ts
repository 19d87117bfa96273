import { cpus } from "node:os";
import { engineVersion, type Engine } from "../engine/index.js";
import { throwIfAborted } from "../errors.js";
import { answerPrompt, type SteeringPart } from "../evaluate/index.js";
import { packageVersion } from "../formats/index.js";
import type { EvaluationPrompt } from "../prompt/index.js";
import { readRun, readRunFile, runFile, RunStore, waves, type ResultRecord, type RunFile, type RunResults, type Shard } from "../results/index.js";

/** Where the results of a run go and who is told of them. */
export interface RunOptions {
  /** The run's folder: made, or gone on with where it holds the same run. */
  out: string;
  /** Name of the model in the results; default: its path. */
  modelName?: string;
  /** Where datasets are looked up by name. */
  datasets?: string;
  /** Prompts that are answered at once, in all their settings; default 2, which fills the batch of a CPU. A larger GPU wants more. */
  parallel?: number;
  /** Answer only every `count`-th group of prompts: one of several processes that share a run. */
  shard?: Shard | null;
  signal?: AbortSignal;
  /** Answers there are, of those that there will be. */
  onProgress?: (done: number, total: number) => void;
  /** Tokens of the extraction, of an upper bound. */
  onExtraction?: (done: number, total: number) => void;
  /** One line for the user. */
  onNotice?: (line: string) => void;
}

/** Answers at once, at most. */
export const DEFAULT_PARALLEL = 2;

/** What a run is, and what it takes to carry it out. */
export interface Experiment {
  run: RunFile;
  prompts: readonly EvaluationPrompt[];
  maxNewTokens: number;
  /** Called once the folder is ours, only if answers are missing. */
  vectors: (store: RunStore) => Promise<readonly SteeringPart[]>;
}

type RunFields = Pick<RunFile, "kind" | "datasets" | "vectors" | "settings"> & { config: object; nPrompts: number };

/** `run.json` of a run with this model. */
export async function describeRun(model: Engine, fields: RunFields, { parallel = DEFAULT_PARALLEL, shard = null, modelName }: RunOptions): Promise<RunFile> {
  return runFile({
    ...fields,
    config: JSON.parse(JSON.stringify({ ...fields.config, ropeScaling: model.ropeScaling })) as RunFile["config"], // as it will be read
    model: { name: modelName ?? model.info.path, fingerprint: { ...await model.fingerprint() } },
    parallel, shard,
    versions: { llamaSteer: packageVersion(), llamaCpp: engineVersion() },
    machine: { platform: `${process.platform}-${process.arch}`, cpu: cpus()[0]?.model.trim() ?? "?", threads: await model.threadCount.settled(), gpuLayers: model.gpuLayers, node: process.version },
  });
}

/**
 * Carry out a run, or what is left of it. Prompts are answered in groups that are always the same, each begun with
 * nothing else under way, and written when they are whole, all by the number of threads that the run was begun with
 * unless the model has a fixed one or the machine has fewer: so an interrupted run ends with the same bytes.
 *
 * @throws SteeringError E_BUSY, E_BAD_RUN, E_WRITE, E_ABORTED and what `generate` throws
 */
export async function carryOut(model: Engine, { run, prompts, maxNewTokens, vectors }: Experiment, options: RunOptions): Promise<RunResults> {
  const { out, onProgress } = options;
  const leave = new AbortController();
  const signal = options.signal ? AbortSignal.any([leave.signal, options.signal]) : leave.signal;
  {
    await using store = await RunStore.open(out, run);
    const { threads } = (await readRunFile(out)).machine;
    using held = model.threadCount.hold(threads || undefined);
    let isSlowed = false;
    const total = waves(run).flat().length * run.settings.length;
    let done = store.records.length;
    if (done > 0) options.onNotice?.(`${out}: ${done} of ${total} answers are there already`);
    if (store.remaining.length > 0 && held.threads < threads) {
      options.onNotice?.(`${out} was begun with ${threads} threads and continues with ${held.threads}, `
        + "all that this machine has: last digits may differ");
    }
    if (store.remaining.length > 0 || total === 0) {
      const parts = await vectors(store);
      onProgress?.(done, total);
      for (const wave of [...store.remaining]) {
        throwIfAborted(signal);
        const begun = performance.now();
        const answer = (index: number, settings: RunFile["settings"], onAnswer?: () => void): Promise<ResultRecord[]> =>
          answerPrompt(model, index, prompts[index]!, { settings, vectors: parts, maxNewTokens, signal, onAnswer });
        const answers = wave.map((index) => answer(index, run.settings, () => onProgress?.(++done, total)));
        const records = await Promise.all(answers).then((found) => found.flat(), async (error: unknown) => {
          leave.abort(); // what is still under way must not outlive the lock
          await Promise.allSettled(answers);
          throw error;
        });
        // Values that are not finite can reach others of a batch: what failed in company is tried once more alone.
        for (const [at, { prompt, setting, error }] of records.entries()) {
          if (error !== undefined) [records[at]] = await answer(prompt, run.settings.filter(({ label }) => label === setting)) as [ResultRecord];
        }
        const tokens = records.reduce((sum, record) => sum + record.tokens.length, 0);
        if (!isSlowed && model.threadCount.best() < Math.min(held.threads, model.threads)) {
          isSlowed = true;
          options.onNotice?.(`other programs use the processors, so that the ${held.threads} threads of this run wait for each other; faster: stop it and run it again with ${model.threadCount.best()} (--threads), which changes last digits`);
        }
        await store.append(records, { what: `prompts ${wave[0]}–${wave.at(-1)}`, seconds: (performance.now() - begun) / 1000, tokens });
      }
    }
  }
  return readRun(out);
}
