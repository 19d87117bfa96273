import { existsSync, statSync } from "node:fs";
import { appendFile, mkdir, open, truncate, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { SteeringError, throwIfAborted } from "../errors.js";
import {
  cannotWrite, flushContent, writeFileAtomic, writeLinesAtomic, readFileUpTo, readUtf8, lockFile, type Lock,
} from "../formats/index.js";
import { readEvaluations, type Evaluation } from "./evaluations.js";
import { encodeRecord, readRecords, waves, type ResultRecord } from "./records.js";
import { encodeRun, readRunFile, RUN_FILE, runDifferences, type RunFile } from "./run-file.js";

export const RESULTS_FILE = "results.jsonl";
const TIMINGS_FILE = "timings.jsonl";
/** The process that holds `run.lock` in a run's folder may write there. */
export const LOCK_NAME = "run";
export const LOCK_DOES = "is working on this run";

const timingSchema = z.object({
  /** For example "extraction" or "prompts 0–3". */
  what: z.string(),
  seconds: z.number(),
  /** Number of generated tokens. */
  tokens: z.number(),
});
/** How long a group of prompts took. Kept in a separate file, so that interruptions do not change the bytes of the results. */
export type Timing = z.infer<typeof timingSchema>;
/** Two lines per group of prompts stay far below these limits. */
const MAX_TIMINGS = { bytes: 2 ** 26, line: 2 ** 12 };

/** A run as read from its folder. */
export interface RunResults {
  run: RunFile;
  records: ResultRecord[];
  timings: Timing[];
  isComplete: boolean;
  /** Sorted by the evaluators' names. */
  evaluations: Evaluation[];
}

/** Options of `readRun`. */
export interface ReadRunOptions {
  signal?: AbortSignal | undefined;
}

/** Read a run's folder. No lock is needed. Throws E_NOT_FOUND, E_BAD_RUN, E_ABORTED. */
export async function readRun(folder: string, { signal }: ReadRunOptions = {}): Promise<RunResults> {
  const { run, records, isComplete } = await readAnswers(folder, signal);
  const evaluations = await readEvaluations(folder, run, records, signal);
  return { run, records, timings: await readTimings(folder), isComplete, evaluations };
}

/** Read a run without its evaluations, which may be damaged, and without its timings. */
export async function readAnswers(folder: string, signal?: AbortSignal): Promise<Pick<RunResults, "run" | "records" | "isComplete">> {
  throwIfAborted(signal);
  const run = await readRunFile(folder);
  const records: ResultRecord[] = [];
  const { nRecords, ends } = await readRecords(join(folder, RESULTS_FILE), run, (record) => records.push(record), signal);
  return { run, records: records.slice(0, nRecords), isComplete: ends.length === waves(run).length };
}

/**
 * Write a complete run into a new folder.
 *
 * @throws SteeringError E_BAD_RUN (the folder already holds a run), E_BAD_ARGUMENT (the run could not be read back), E_WRITE
 */
export async function writeRun(folder: string, run: RunFile, records: readonly ResultRecord[]): Promise<void> {
  if (existsSync(join(folder, RUN_FILE))) throw new SteeringError("E_BAD_RUN", `${folder} already holds a run; choose another folder`);
  const [description, lines] = [encodeRun(run), records.map(encodeRecord)];
  await writeLinesAtomic(join(folder, RESULTS_FILE), lines);
  await writeFileAtomic(join(folder, RUN_FILE), description);
}

/**
 * A run's folder while a process writes it: `run.json` (the configuration), `results.jsonl` (one line per answer, appended and flushed
 * when a group of prompts is complete), `timings.jsonl`, and the extracted vectors.
 */
export class RunStore implements AsyncDisposable {
  private constructor(
    readonly folder: string, private readonly lock: Lock, private file: FileHandle | undefined, private nRecords: number,
    private left: number[][], /** Terminates an unfinished line of the timings. */ private lineEnd: string,
  ) {}

  /**
   * Start or resume a run in a folder. Throws E_BUSY (another process is working on it), E_BAD_RUN (the folder holds another run),
   * E_BAD_ARGUMENT, E_WRITE.
   */
  static async open(folder: string, run: RunFile): Promise<RunStore> {
    const description = encodeRun(run);
    await makeFolder(folder);
    const lock = await lockFile(join(folder, LOCK_NAME), LOCK_DOES);
    try {
      await beginOrContinue(folder, run, description);
      const path = join(folder, RESULTS_FILE);
      const { nRecords, ends } = await readRecords(path, run, () => undefined);
      const lineEnd = await missingLineEnd(join(folder, TIMINGS_FILE));
      const file = await openResults(path, ends.at(-1) ?? 0);
      return new RunStore(folder, lock, file, nRecords, waves(run).slice(ends.length), lineEnd);
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** Number of answers in the folder. */
  get length(): number {
    return this.nRecords;
  }

  /** Groups of prompts without results. */
  get remaining(): readonly (readonly number[])[] {
    return this.left;
  }

  /** Append the results of the next group, prompt by prompt, in the order of the settings. They are on disk when this returns. */
  async append(records: readonly ResultRecord[], timing: Timing): Promise<void> {
    const lines = records.map(encodeRecord);
    await this.lock.assertHeld();
    try {
      await this.file!.appendFile(lines.join(""));
      await flushContent(this.file!);
    } catch (error) {
      throw cannotWrite(join(this.folder, RESULTS_FILE), error as NodeJS.ErrnoException);
    }
    this.nRecords += records.length;
    this.left = this.left.slice(1);
    await this.time(timing);
  }

  /** Record how long something took. */
  async time(timing: Timing): Promise<void> {
    const path = join(this.folder, TIMINGS_FILE);
    const line = `${this.lineEnd}${JSON.stringify(timing)}\n`;
    await appendFile(path, line).catch((cause: NodeJS.ErrnoException) => { throw cannotWrite(path, cause); });
    this.lineEnd = "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file?.close();
    this.file = undefined;
    await this.lock.release();
  }
}

async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((cause: NodeJS.ErrnoException) => {
    throw cannotWrite(folder, cause);
  });
}

/** A line end if the last line of a file is unfinished. Throws E_NOT_FOUND (not a file), E_BAD_RUN. */
async function missingLineEnd(path: string): Promise<string> {
  if (!existsSync(path)) return "";
  const bytes = await readFileUpTo(path, "E_BAD_RUN", MAX_TIMINGS.bytes);
  return bytes.length === 0 || bytes.at(-1) === "\n".charCodeAt(0) ? "" : "\n";
}

/** Open the results for appending, cut to the complete groups of prompts. */
async function openResults(path: string, wholeBytes: number): Promise<FileHandle> {
  try {
    if (existsSync(path)) await truncate(path, wholeBytes);
    return await open(path, "a");
  } catch (cause) {
    throw cannotWrite(path, cause as NodeJS.ErrnoException);
  }
}

/** The run of which a folder holds results; undefined if it holds none. Throws E_BAD_RUN. */
export async function begunRun(folder: string): Promise<RunFile | undefined> {
  if (!existsSync(join(folder, RUN_FILE))) return undefined;
  const there = await readRunFile(folder);
  const size = statSync(join(folder, RESULTS_FILE), { throwIfNoEntry: false })?.size ?? 0;
  return size === 0 ? undefined : there;
}

async function beginOrContinue(folder: string, run: RunFile, description: string): Promise<void> {
  if (!existsSync(join(folder, RUN_FILE))) {
    if (existsSync(join(folder, RESULTS_FILE))) {
      throw new SteeringError("E_BAD_RUN", `${folder} holds results without ${RUN_FILE}; choose another folder`);
    }
    return writeFileAtomic(join(folder, RUN_FILE), description);
  }
  const there = await begunRun(folder);
  if (!there) return writeFileAtomic(join(folder, RUN_FILE), description); // started, but without results
  const differences = runDifferences(there, run);
  if (JSON.stringify(there.shard) !== JSON.stringify(run.shard)) {
    differences.push(`shard ${shardName(there)} there, ${shardName(run)} here`);
  }
  if (differences.length === 0) return;
  throw new SteeringError("E_BAD_RUN", `${folder} holds another run: ${differences.join("; ")}. `
    + "Choose another folder (--out), or use the same settings to resume it");
}

function shardName({ shard }: RunFile): string {
  return shard ? `${shard.index}/${shard.count}` : "none";
}

/** Read the timings, skipping unfinished or malformed lines: they are not results. */
async function readTimings(folder: string): Promise<Timing[]> {
  const text = await readUtf8(join(folder, TIMINGS_FILE), "E_BAD_RUN", MAX_TIMINGS.bytes).catch(() => "");
  return text.split("\n").slice(0, -1).flatMap((line) => (line.length > MAX_TIMINGS.line ? [] : parseTiming(line)));
}

function parseTiming(line: string): Timing[] {
  try {
    const parsed = timingSchema.safeParse(JSON.parse(line));
    return parsed.success ? [parsed.data] : [];
  } catch {
    return [];
  }
}
