import { cpus } from "node:os";
import { engineVersion, type Engine } from "../engine/index.js";
import { throwIfAborted } from "../errors.js";
import { answerPrompt, type AnswerOptions, type SteeringPart } from "../evaluate/index.js";
import { packageVersion } from "../formats/index.js";
import type { EvaluationPrompt } from "../prompt/index.js";
import {
  readRun, readRunFile, runFile, RunStore, waves, type ResultRecord, type RunFile, type RunResults, type Shard,
} from "../results/index.js";

/** Options common to all runs. */
export interface RunOptions {
  /** The run's folder. Created if missing; if it holds the same run, the run is resumed. */
  out: string;
  /** Name of the model in the results; default: its path. */
  modelName?: string;
  /** Folder in which to look up datasets by name. */
  datasets?: string;
  /** Prompts to answer at once, in all settings; default 2, which fills the batch of a CPU. A large GPU needs more. */
  parallel?: number;
  /** Answer only every `count`-th group of prompts, as one of several processes that share the run. */
  shard?: Shard | null;
  signal?: AbortSignal;
  /** Reports the answers so far and the total. */
  onProgress?: (done: number, total: number) => void;
  /** Reports the tokens of the extraction so far and an upper bound of the total. */
  onExtraction?: (done: number, total: number) => void;
  /** Receives one line of text for the user. */
  onNotice?: (line: string) => void;
}

/** Default of `RunOptions.parallel`. */
export const DEFAULT_PARALLEL = 2;

/** A run and everything needed to carry it out. */
export interface Experiment {
  run: RunFile;
  prompts: readonly EvaluationPrompt[];
  maxNewTokens: number;
  /** Called once the folder is locked, and only if answers are missing. */
  vectors: (store: RunStore) => Promise<readonly SteeringPart[]>;
  /** Answers one prompt in the given settings; default: as the paper's experiments do. */
  answer?: (model: Engine, index: number, prompt: EvaluationPrompt, options: AnswerOptions) => Promise<ResultRecord[]>;
}

type RunFields = Pick<RunFile, "kind" | "datasets" | "vectors" | "settings"> & { config: object; nPrompts: number };

/** Make the `run.json` of a run with this model. */
export async function describeRun(
  model: Engine,
  fields: RunFields,
  { parallel = DEFAULT_PARALLEL, shard = null, modelName }: RunOptions,
): Promise<RunFile> {
  return runFile({
    ...fields,
    config: JSON.parse(JSON.stringify({ ...fields.config, ropeScaling: model.ropeScaling })) as RunFile["config"], // as read back
    model: { name: modelName ?? model.info.path, fingerprint: { ...await model.fingerprint() } },
    parallel, shard,
    versions: { llamaSteer: packageVersion(), llamaCpp: engineVersion() },
    machine: {
      platform: `${process.platform}-${process.arch}`, cpu: cpus()[0]?.model.trim() ?? "?",
      threads: await model.threadCount.settled(), gpuLayers: model.gpuLayers, node: process.version,
    },
  });
}

/**
 * Start or resume a run. A resumed run gives the same bytes as an uninterrupted one: the groups of prompts are always the same, one group
 * runs at a time and is written when complete, and the number of threads stays the one that the run started with (unless the model has a
 * fixed number or the machine has fewer).
 *
 * @throws SteeringError E_BUSY, E_BAD_RUN, E_WRITE, E_ABORTED and whatever `generate` throws
 */
export async function carryOut(
  model: Engine,
  { run, prompts, maxNewTokens, vectors, answer: answerOne = answerPrompt }: Experiment,
  options: RunOptions,
): Promise<RunResults> {
  const { out, onProgress } = options;
  const leave = new AbortController();
  const signal = options.signal ? AbortSignal.any([leave.signal, options.signal]) : leave.signal;
  {
    await using store = await RunStore.open(out, run);
    const { threads } = (await readRunFile(out)).machine;
    using held = model.threadCount.hold(threads || undefined);
    let isSlowed = false;
    const total = waves(run).flat().length * run.settings.length;
    let done = store.length;
    if (done > 0) options.onNotice?.(`${out}: resuming; ${done} of ${total} answers already exist`);
    if (store.remaining.length > 0 && held.threads < threads) {
      options.onNotice?.(`${out} was started with ${threads} threads and continues with ${held.threads}, `
        + "all that this machine has; the last digits of results may differ");
    }
    if (store.remaining.length > 0 || total === 0) {
      const parts = await vectors(store);
      onProgress?.(done, total);
      for (const wave of [...store.remaining]) {
        throwIfAborted(signal);
        model.scheduler.forget(); // where rows lie in the cache can change their last digits
        const begun = performance.now();
        const answer = (index: number, settings: RunFile["settings"], onAnswer?: () => void): Promise<ResultRecord[]> =>
          answerOne(model, index, prompts[index]!, { settings, vectors: parts, maxNewTokens, signal, onAnswer });
        const answers = wave.map((index) => answer(index, run.settings, () => onProgress?.(++done, total)));
        const records = await Promise.all(answers).then((found) => found.flat(), async (error: unknown) => {
          leave.abort(); // no computation may outlive the lock
          await Promise.allSettled(answers);
          throw error;
        });
        // Values that are not finite can spread within a batch, so retry each failed answer alone.
        for (const [at, { prompt, setting, error }] of records.entries()) {
          if (error === undefined) continue;
          [records[at]] = await answer(prompt, run.settings.filter(({ label }) => label === setting)) as [ResultRecord];
        }
        const tokens = records.reduce((sum, record) => sum + record.tokens.length, 0);
        if (!isSlowed && model.threadCount.best() < Math.min(held.threads, model.threads)) {
          isSlowed = true;
          const best = model.threadCount.best();
          options.onNotice?.(`other programs are using the processors, so the ${held.threads} threads of this run wait for each other; `
            + `to speed it up, stop it and run it again with --threads ${best}, which may change the last digits of results`);
        }
        const seconds = (performance.now() - begun) / 1000;
        await store.append(records, { what: `prompts ${wave[0]}–${wave.at(-1)}`, seconds, tokens });
      }
    }
  }
  return readRun(out);
}
