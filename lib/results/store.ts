import { existsSync, statSync } from "node:fs";
import { appendFile, mkdir, open, truncate, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { SteeringError, throwIfAborted } from "../errors.js";
import { cannotWrite, writeFileAtomic, readFileUpTo, readUtf8, readWholeLines, lockFile, type Lock } from "../formats/index.js";
import { readEvaluations, type Evaluation } from "./evaluations.js";
import { encodeRecord, parseResults, waves, type ResultRecord } from "./records.js";
import { encodeRun, readRunFile, RUN_FILE, runDifferences, type RunFile } from "./run-file.js";

export const RESULTS_FILE = "results.jsonl";
const TIMINGS_FILE = "timings.jsonl";
/** Who holds `run.lock` in a run's folder writes there. */
export const LOCK_NAME = "run";
export const LOCK_DOES = "is at work on this run";

const timingSchema = z.object({
  /** e.g. "extraction", "prompts 0–3". */
  what: z.string(),
  seconds: z.number(),
  /** Tokens generated. */
  tokens: z.number(),
});
/** How long a group of prompts took; in a file of its own, so that the results are the same bytes however often they were interrupted. */
export type Timing = z.infer<typeof timingSchema>;
/** Two lines per group of prompts; a longer file, or line, is none of ours. */
const MAX_TIMINGS = { bytes: 2 ** 26, line: 2 ** 12 };

/** What a folder holds of a run. */
export interface RunResults {
  run: RunFile;
  records: ResultRecord[];
  timings: Timing[];
  isComplete: boolean;
  /** What evaluators found, in the order of their names. */
  evaluations: Evaluation[];
}

/** What stops the reading of a run. */
export interface ReadRunOptions {
  signal?: AbortSignal | undefined;
}

/** Read a run's folder while nobody need hold it. Throws E_NOT_FOUND, E_BAD_RUN, E_ABORTED. */
export async function readRun(folder: string, { signal }: ReadRunOptions = {}): Promise<RunResults> {
  const { run, records, isComplete } = await readAnswers(folder, signal);
  const evaluations = await readEvaluations(folder, run, records, signal);
  return { run, records, timings: await readTimings(folder), isComplete, evaluations };
}

/** A run without its evaluations, which may be broken, and without timings. */
export async function readAnswers(folder: string, signal?: AbortSignal): Promise<Pick<RunResults, "run" | "records" | "isComplete">> {
  throwIfAborted(signal);
  const run = await readRunFile(folder);
  const path = join(folder, RESULTS_FILE);
  const { records, wholeWaves } = await parseResults(existsSync(path) ? await readWholeLines(path, "E_BAD_RUN") : "", run, path, signal);
  return { run, records, isComplete: wholeWaves === waves(run).length };
}

/**
 * Write a whole run into a new folder. Throws E_BAD_RUN where one is there already, E_BAD_ARGUMENT for one that could not be
 * read again, E_WRITE.
 */
export async function writeRun(folder: string, run: RunFile, records: readonly ResultRecord[]): Promise<void> {
  if (existsSync(join(folder, RUN_FILE))) throw new SteeringError("E_BAD_RUN", `${folder} holds a run already`);
  const [description, lines] = [encodeRun(run), records.map(encodeRecord)];
  await writeFileAtomic(join(folder, RESULTS_FILE), lines.join(""));
  await writeFileAtomic(join(folder, RUN_FILE), description);
}

/**
 * A run's folder while one process writes it: `run.json` (what was asked for), `results.jsonl` (one line per answer,
 * appended and flushed when a group of prompts is done), `timings.jsonl`, and the vectors beside them.
 */
export class RunStore implements AsyncDisposable {
  private constructor(
    readonly folder: string, private readonly lock: Lock, private file: FileHandle | undefined, readonly records: ResultRecord[],
    private left: number[][], /** Ends a line of the timings that was torn. */ private lineEnd: string,
  ) {}

  /**
   * Begin a run in a folder, or resume it. Throws E_BUSY (another process has it), E_BAD_RUN (it holds another run),
   * E_BAD_ARGUMENT, E_WRITE.
   */
  static async open(folder: string, run: RunFile): Promise<RunStore> {
    const description = encodeRun(run);
    await makeFolder(folder);
    const lock = await lockFile(join(folder, LOCK_NAME), LOCK_DOES);
    try {
      await beginOrContinue(folder, run, description);
      const path = join(folder, RESULTS_FILE);
      const { records, wholeBytes, wholeWaves } = await parseResults(existsSync(path) ? await readWholeLines(path, "E_BAD_RUN") : "", run, path);
      const lineEnd = await missingLineEnd(join(folder, TIMINGS_FILE));
      const file = await openResults(path, wholeBytes);
      return new RunStore(folder, lock, file, records, waves(run).slice(wholeWaves), lineEnd);
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** Groups of prompts that have no results yet. */
  get remaining(): readonly (readonly number[])[] {
    return this.left;
  }

  /** Add the results of the next group, prompt by prompt, in the order of the settings; they are on disk when this returns. */
  async append(records: readonly ResultRecord[], timing: Timing): Promise<void> {
    const lines = records.map(encodeRecord);
    await this.lock.assertHeld();
    try {
      await this.file!.appendFile(lines.join(""));
      await this.file!.datasync();
    } catch (error) {
      throw cannotWrite(join(this.folder, RESULTS_FILE), error as NodeJS.ErrnoException);
    }
    this.records.push(...records);
    this.left = this.left.slice(1);
    await this.time(timing);
  }

  /** Note how long something took. */
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

/** A line end where the last line of a file was not finished. Throws E_NOT_FOUND for what is not a file, E_BAD_RUN. */
async function missingLineEnd(path: string): Promise<string> {
  if (!existsSync(path)) return "";
  const bytes = await readFileUpTo(path, "E_BAD_RUN", MAX_TIMINGS.bytes);
  return bytes.length === 0 || bytes.at(-1) === "\n".charCodeAt(0) ? "" : "\n";
}

/** The results, without what stands behind the whole groups of prompts. */
async function openResults(path: string, wholeBytes: number): Promise<FileHandle> {
  try {
    if (existsSync(path)) await truncate(path, wholeBytes);
    return await open(path, "a");
  } catch (cause) {
    throw cannotWrite(path, cause as NodeJS.ErrnoException);
  }
}

async function beginOrContinue(folder: string, run: RunFile, description: string): Promise<void> {
  if (!existsSync(join(folder, RUN_FILE))) {
    if (existsSync(join(folder, RESULTS_FILE))) throw new SteeringError("E_BAD_RUN", `${folder} holds results without ${RUN_FILE}; choose another folder`);
    return writeFileAtomic(join(folder, RUN_FILE), description);
  }
  const there = await readRunFile(folder);
  const size = statSync(join(folder, RESULTS_FILE), { throwIfNoEntry: false })?.size ?? 0;
  if (size === 0) return writeFileAtomic(join(folder, RUN_FILE), description); // begun, and nothing found yet
  const differences = runDifferences(there, run);
  if (JSON.stringify(there.shard) !== JSON.stringify(run.shard)) differences.push(`shard ${shardName(there)} there, ${shardName(run)} here`);
  if (differences.length > 0) throw new SteeringError("E_BAD_RUN", `${folder} holds another run: ${differences.join("; ")}. Choose another folder (--out), or the same settings to go on with it`);
}

function shardName({ shard }: RunFile): string {
  return shard ? `${shard.index}/${shard.count}` : "none";
}

/** Lines that are whole; timings are no results, and a torn one is left out. */
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
