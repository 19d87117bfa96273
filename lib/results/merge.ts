import { existsSync } from "node:fs";
import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { SteeringError, throwIfAborted } from "../errors.js";
import { MAX_SAFETENSORS_BYTES, readFileUpTo, writeFileAtomic } from "../formats/index.js";
import { RUN_FILE, runDifferences, type RunFile } from "./run-file.js";
import { readRun, writeRun, type ReadRunOptions, type RunResults } from "./store.js";

/** A checked merge. Nothing is written until you call `write`. */
export interface Merge {
  /** Write the new folder. Throws E_WRITE. */
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

/** Check a merge without writing it, so that several merges can be written all together or not at all. Throws as `mergeRuns` does. */
export async function planMerge(out: string, folders: readonly string[], options: ReadRunOptions = {}): Promise<Merge> {
  const parts = await Promise.all(folders.map(async (folder) => ({ folder, ...await readRun(folder, options) })));
  const [first] = parts;
  if (!first?.run.shard) throw new SteeringError("E_BAD_RUN", `${folders[0] ?? "nothing"} is not a shard of a run`);
  if (existsSync(join(out, RUN_FILE))) throw new SteeringError("E_BAD_RUN", `${out} already holds a run; choose another folder`);
  checkShards(parts, first.run);
  const vectors = await sharedVectors(parts);
  const order = new Map(first.run.settings.map(({ label }, index) => [label, index]));
  const records = parts.flatMap((part) => part.records)
    .sort((a, b) => a.prompt - b.prompt || order.get(a.setting)! - order.get(b.setting)!);
  return {
    write: async () => {
      throwIfAborted(options.signal);
      for (const { file, bytes } of vectors) await writeFileAtomic(join(out, file), bytes);
      await writeRun(out, { ...first.run, shard: null }, records);
      return readRun(out);
    },
  };
}

type Part = RunResults & { folder: string };

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

/** The vectors that the shards extracted. Vectors from different machines may differ in rounding; their results cannot be merged. */
async function sharedVectors(parts: readonly Part[]): Promise<Array<{ file: string; bytes: Buffer }>> {
  const extracted = parts[0]!.run.vectors.filter(({ hash }) => hash === null); // for a given vector, the hash has been compared
  return Promise.all(extracted.map(async ({ file }) => {
    const [bytes, ...others] = await Promise.all(parts.map(({ folder }) => readVector(join(folder, file))));
    const other = others.findIndex((each) => !each.equals(bytes!));
    if (other >= 0) {
      const folders = `${parts[0]!.folder} and ${parts[other + 1]!.folder}`;
      throw new SteeringError("E_BAD_RUN", `${folders} steered with different vectors (${file}); `
        + "extract it once with --skip-eval and pass it to every shard with --vector");
    }
    return { file, bytes: bytes! };
  }));
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
