import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { lstat, open, stat, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { SteeringError, throwIfAborted } from "../errors.js";
import { MAX_SAFETENSORS_BYTES, readFileUpTo, writeAtomic, writeFileAtomic } from "../formats/index.js";
import { readRecords, waves } from "./records.js";
import { encodeRun, readRunFile, RUN_FILE, runDifferences, type RunFile } from "./run-file.js";
import { readRun, RESULTS_FILE, type ReadRunOptions, type RunResults } from "./store.js";

/** A checked merge. Nothing is written until you call `write`. */
export interface Merge {
  /** Write the new folder. Throws E_WRITE, and E_BAD_RUN if the folder holds a run by now, or a shard has changed since it was checked. */
  write(): Promise<RunResults>;
}

/**
 * Merge the shards of a run into a new folder. The results are the same as if one process had written them. Refuses shards that are
 * missing, duplicated, incomplete, from different runs, or steered with different vectors.
 *
 * @throws SteeringError E_BAD_RUN naming the folder, E_NOT_FOUND, E_WRITE, E_ABORTED (only while reading, never while writing)
 */
export async function mergeRuns(out: string, folders: readonly string[], options: ReadRunOptions = {}): Promise<RunResults> {
  return (await planMerge(out, folders, options)).write();
}

/**
 * Check a merge without writing it, so that several merges can be written all together or not at all. Keeps no answers in memory. Throws as
 * `mergeRuns` does.
 */
export async function planMerge(out: string, folders: readonly string[], options: ReadRunOptions = {}): Promise<Merge> {
  const parts: Part[] = [];
  for (const folder of folders) parts.push(await partOf(folder, options.signal));
  const [first] = parts;
  if (!first?.run.shard) throw new SteeringError("E_BAD_RUN", `${folders[0] ?? "nothing"} is not a shard of a run`);
  refuseRun(out);
  checkShards(parts, first.run);
  const vectors = await sharedVectors(parts);
  const { run, folder: firstFolder } = first;
  const pieces = parts.sort((a, b) => a.run.shard!.index - b.run.shard!.index)
    .map(({ folder, ends, version }): Piece => ({ folder, ends, version }));
  return {
    write: async () => {
      throwIfAborted(options.signal);
      refuseRun(out);
      for (const { file, hash } of vectors) {
        const bytes = await readVector(join(firstFolder, file));
        if (sha256(bytes) !== hash) refuseShard(firstFolder);
        await writeFileAtomic(join(out, file), bytes);
      }
      await writeMerged(out, { ...run, shard: null }, pieces);
      return readRun(out);
    },
  };
}

/** Where a shard's waves lie: `ends` has the position in bytes after each; `version` identifies the file's content. */
interface Piece {
  folder: string;
  ends: readonly number[];
  version: string;
}

/** A shard of which every line has been read. */
interface Part extends Piece {
  run: RunFile;
  isComplete: boolean;
}

async function partOf(folder: string, signal: AbortSignal | undefined): Promise<Part> {
  throwIfAborted(signal);
  const run = await readRunFile(folder);
  const path = join(folder, RESULTS_FILE);
  const version = existsSync(path) ? await readShard(folder, () => versionOf(path)) : "";
  let begin = 0;
  const { ends } = await readRecords(path, run, (_, line, end) => {
    const asWritten = Buffer.byteLength(line) + 1 === end - begin && !line.includes("\r");
    if (!asWritten) throw new SteeringError("E_BAD_RUN", `${path} has a byte order mark or Windows line ends; copy it again, as a binary file`);
    begin = end;
  }, signal);
  return { folder, run, isComplete: ends.length === waves(run).length, ends, version };
}

/** Write the waves of the whole run in their order, byte for byte as the shards have them: wave `w` is in shard `w % count`. */
async function writeMerged(out: string, run: RunFile, shards: readonly Piece[]): Promise<void> {
  const path = join(out, RESULTS_FILE);
  await writeAtomic(path, async (file) => {
    await refuseChanged(shards);
    for (const wave of waves(run).keys()) {
      await file.writeFile(await readWave(shards[wave % shards.length]!, Math.floor(wave / shards.length)));
    }
    await refuseChanged(shards);
    refuseRun(out);
  }, async (written) => {
    const { ends } = await readRecords(written, run, () => undefined).catch((cause: SteeringError) => {
      throw new SteeringError("E_BAD_RUN", `the merged results cannot be read back, so they are not kept: ${cause.message}`, { cause });
    });
    if (ends.length < waves(run).length) throw new SteeringError("E_BAD_RUN", `${path} was cut short while it was written; merge again`);
    refuseRun(out);
  });
  await writeFileAtomic(join(out, RUN_FILE), encodeRun(run));
}

/** The bytes of a shard's `nth` wave. The file is open only meanwhile: a process may not open as many files as a run has shards. */
async function readWave({ folder, ends }: Piece, nth: number): Promise<Buffer> {
  const begin = ends[nth - 1] ?? 0;
  const bytes = Buffer.alloc(ends[nth]! - begin);
  return readShard(folder, async () => {
    const source = await open(join(folder, RESULTS_FILE));
    try {
      return await fill(source, bytes, begin) ? bytes : refuseShard(folder);
    } finally {
      await source.close();
    }
  });
}

/** Read into all of `bytes`, since a single system call may read fewer; false if the file ends before. */
async function fill(source: FileHandle, bytes: Buffer, position: number): Promise<boolean> {
  for (let done = 0; done < bytes.length;) {
    const { bytesRead } = await source.read(bytes, done, bytes.length - done, position + done);
    if (bytesRead === 0) return false;
    done += bytesRead;
  }
  return true;
}

async function refuseChanged(shards: readonly Piece[]): Promise<void> {
  for (const { folder, version } of shards) {
    if (await readShard(folder, () => versionOf(join(folder, RESULTS_FILE))) !== version) refuseShard(folder);
  }
}

function refuseShard(folder: string): never {
  throw new SteeringError("E_BAD_RUN", `${folder} has changed since the merge checked it; merge again`);
}

/** Differs if a file was written to or replaced. */
async function versionOf(path: string): Promise<string> {
  const { size, mtimeNs, ino } = await stat(path, { bigint: true });
  return `${size} ${mtimeNs} ${ino}`;
}

/** Throws E_BAD_RUN if the system cannot read the shard. */
async function readShard<T>(folder: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof SteeringError) throw error;
    throw new SteeringError("E_BAD_RUN", `the results in ${folder} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

function refuseRun(out: string): void {
  if (existsSync(join(out, RUN_FILE))) throw new SteeringError("E_BAD_RUN", `${out} already holds a run; choose another folder`);
}

function checkShards(parts: readonly Part[], first: RunFile): void {
  const { count } = first.shard!;
  const byIndex = new Map<number, string>();
  for (const { folder, run, isComplete } of parts) {
    const differences = runDifferences(first, run);
    if (run.shard?.count !== count) differences.push(`${count} shards there, ${run.shard?.count ?? "none"} here`);
    if (differences.length > 0) {
      throw new SteeringError("E_BAD_RUN", `${parts[0]!.folder} and ${folder} belong to different runs: ${differences.join("; ")}`);
    }
    const { index } = run.shard!;
    if (byIndex.has(index)) {
      throw new SteeringError("E_BAD_RUN", `${byIndex.get(index)} and ${folder} are the same shard, ${index}/${count}`);
    }
    if (!isComplete) throw new SteeringError("E_BAD_RUN", `${folder} is not complete; run its command again to resume it`);
    byIndex.set(index, folder);
  }
  const missing = Array.from({ length: count }, (_, index) => index).filter((index) => !byIndex.has(index));
  if (missing.length === 0) return;
  const listed = `${missing.slice(0, 10).join(", ")}${missing.length > 10 ? ` and ${missing.length - 10} more` : ""}`;
  throw new SteeringError("E_BAD_RUN", `missing ${missing.length === 1 ? "shard" : "shards"} ${listed} of ${count}; pass all shards`);
}

/**
 * The vectors that the shards extracted: file names and hashes. Vectors from different machines may differ in rounding; their results
 * cannot be merged.
 */
async function sharedVectors(parts: readonly Part[]): Promise<Array<{ file: string; hash: string }>> {
  const [first, ...others] = parts;
  // For a given vector, the hash has been compared.
  const extracted = first!.run.vectors.flatMap(({ file, hash }) => (hash === null ? [file] : []));
  const vectors: Array<{ file: string; hash: string }> = [];
  for (const file of extracted) {
    const bytes = await readVector(join(first!.folder, file));
    for (const { folder } of others) {
      if (bytes.equals(await readVector(join(folder, file)))) continue;
      throw new SteeringError("E_BAD_RUN", `${first!.folder} and ${folder} steered with different vectors (${file}); `
        + "extract it once with --skip-eval and pass it to every shard with --vector");
    }
    vectors.push({ file, hash: sha256(bytes) });
  }
  return vectors;
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Refuses anything but a regular file: a link would copy a file from elsewhere into the merged folder, a pipe might never end. */
async function readVector(path: string): Promise<Buffer> {
  const found = await lstat(path).catch(() => undefined);
  if (found && !found.isFile()) {
    throw new SteeringError("E_BAD_RUN", `the vector ${path} is not a file; expected the file that the run wrote`);
  }
  return readFileUpTo(path, "E_BAD_RUN", MAX_SAFETENSORS_BYTES, `the vector ${path}`).catch((cause: SteeringError) => {
    throw new SteeringError("E_BAD_RUN", cause.message, { cause });
  });
}
