import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { RunStore, type RunFile } from "../../lib/results/index.js";
import { temporaryFolder } from "./io-helpers.js";
import { aRun, someRecords } from "./runs.js";

export const TIMING = { what: "prompts", seconds: 1, tokens: 2 };
export const resultsIn = (folder: string): string => join(folder, "results.jsonl");

/** Carry out a run, or what is left of it, up to `most` groups. */
export async function carryOut(folder: string, run: RunFile, most = Infinity): Promise<number[][]> {
  await using store = await RunStore.open(folder, run);
  const done: number[][] = [];
  for (const wave of [...store.remaining].slice(0, most)) {
    await store.append(wave.flatMap((prompt) => someRecords(run, prompt)), TIMING);
    done.push([...wave]);
  }
  return done;
}

export async function wholeRun(run = aRun()): Promise<{ folder: string; bytes: Buffer }> {
  const folder = join(await temporaryFolder(), "run");
  await carryOut(folder, run);
  return { folder, bytes: await readFile(resultsIn(folder)) };
}
