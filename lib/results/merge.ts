import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { SteeringError } from "../errors.js";
import { writeFileAtomic } from "../io/atomic.js";
import { RUN_FILE, runDifferences } from "./run-file.js";
import { readRun, writeRun, type RunResults } from "./store.js";

/**
 * Put the shards of a run together in a new folder; the results are those that one process would have written. Refuses
 * shards that are missing, given twice, incomplete, of another run, or that steered with other vectors.
 *
 * @throws SteeringError E_BAD_RUN naming the folder, E_NOT_FOUND, E_WRITE
 */
export async function mergeRuns(out: string, folders: readonly string[]): Promise<RunResults> {
  const parts = await Promise.all(folders.map(async (folder) => ({ folder, ...await readRun(folder) })));
  const [first] = parts;
  if (!first?.run.shard) throw new SteeringError("E_BAD_RUN", `${folders[0] ?? "nothing"} is no shard of a run`);
  if (existsSync(join(out, RUN_FILE))) throw new SteeringError("E_BAD_RUN", `${out} holds a run already`);
  const { count } = first.run.shard;
  const byIndex = new Map<number, string>();
  for (const { folder, run, isComplete } of parts) {
    const differences = runDifferences(first.run, run);
    if (run.shard?.count !== count) differences.push(`${count} shards there, ${run.shard?.count ?? "none"} here`);
    if (differences.length > 0) throw new SteeringError("E_BAD_RUN", `${first.folder} and ${folder} are of different runs: ${differences.join("; ")}`);
    const { index } = run.shard!;
    if (byIndex.has(index)) throw new SteeringError("E_BAD_RUN", `${byIndex.get(index)} and ${folder} are the same shard, ${index}/${count}`);
    if (!isComplete) throw new SteeringError("E_BAD_RUN", `${folder} is not complete; run its command again`);
    byIndex.set(index, folder);
  }
  const missing = Array.from({ length: count }, (_, index) => index).filter((index) => !byIndex.has(index));
  if (missing.length > 0) throw new SteeringError("E_BAD_RUN", `of ${count} shards, ${missing.join(", ")} ${missing.length === 1 ? "is" : "are"} missing`);
  await mergeVectors(out, parts);
  const order = new Map(first.run.settings.map(({ label }, index) => [label, index]));
  const records = parts.flatMap((part) => part.records).sort((a, b) => a.prompt - b.prompt || order.get(a.setting)! - order.get(b.setting)!);
  await writeRun(out, { ...first.run, shard: null }, records);
  return readRun(out);
}

/** Shards on unlike machines extract vectors that differ in rounding: theirs are results of different runs. */
async function mergeVectors(out: string, parts: ReadonlyArray<RunResults & { folder: string }>): Promise<void> {
  for (const { file, hash } of parts[0]!.run.vectors) {
    if (hash !== null) continue; // given, and the same by its hash
    const [first, ...others] = await Promise.all(parts.map(({ folder }) => readFile(join(folder, file))));
    const other = others.findIndex((bytes) => !bytes.equals(first!));
    if (other >= 0) throw new SteeringError("E_BAD_RUN", `${parts[0]!.folder} and ${parts[other + 1]!.folder} steered with different vectors (${file}): extract it once with --skip-eval and give it to every shard with --vector`);
    await writeFileAtomic(join(out, basename(file)), first!);
  }
}
