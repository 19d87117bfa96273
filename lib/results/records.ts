import { existsSync } from "node:fs";
import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError, throwIfAborted } from "../errors.js";
import { encodeLine, readLines, integerList, listOf, numberList } from "../formats/index.js";
import { MAX_VECTORS, type RunFile } from "./run-file.js";

/** One answer of a run: a line of `results.jsonl`. */
export const recordSchema = z.object({
  /** Index of the prompt in the whole run, 0-based. */
  prompt: z.number().int().min(0),
  /** Label of the setting. */
  setting: z.string(),
  question: z.string(),
  /** The dataset's answer. */
  gold: z.string(),
  /** All that the model wrote, what it thought before it answered included. */
  text: z.string(),
  /** The text without the thoughts before it; only where that differs. */
  answer: z.string().optional(),
  tokens: integerList,
  /** `failed`: see `error`; `unknown`: the run was imported. */
  finishReason: z.enum(["length", "end", "stop", "failed", "unknown"]),
  /** `alphas[vector][step]`, for the setting's vectors. */
  alphas: listOf(numberList, MAX_VECTORS),
  /** `kls[vector][step]` in nats; null for a schedule that measures no KL. */
  kls: listOf(numberList.nullable(), MAX_VECTORS),
  /**
   * Perplexity of the answer after demonstrations under its own prompt; only in that setting. In a comparison of methods: perplexity of
   * the answer after the bare question, unsteered.
   */
  perplexity: z.number().nullable(),
  /** ΔPPL (docs/method.md §6, and §10 for comparisons of methods); null if there is nothing to compare, for example an empty answer. */
  deltaPerplexity: z.number().nullable(),
  /** Mean KL(unsteered ‖ steered) per token of the answer, in nats; only where it was measured. */
  klPerToken: z.number().optional(),
  /** Why there is no answer or no ΔPPL: the model produced values that are not finite. */
  error: z.string().optional(),
});
/** One answer in one setting: a line of `results.jsonl`. */
export type ResultRecord = z.infer<typeof recordSchema>;

/** What evaluators judge: the answer that a user sees, without the thoughts before it. */
export function judgedText({ text, answer }: Pick<ResultRecord, "text" | "answer">): string {
  return answer ?? text;
}

/** The prompts of a run's folder, in groups that are answered together, in the order of its results. */
export function waves({ nPrompts, parallel, shard }: Pick<RunFile, "nPrompts" | "parallel" | "shard">): number[][] {
  const all = Array.from({ length: Math.ceil(nPrompts / parallel) }, (_, wave) =>
    Array.from({ length: Math.min(parallel, nPrompts - wave * parallel) }, (_unused, i) => wave * parallel + i));
  return shard ? all.filter((_, wave) => wave % shard.count === shard.index) : all;
}

/** Encode a line of `results.jsonl`. Throws E_BAD_ARGUMENT for a record that could not be read back. */
export function encodeRecord(record: ResultRecord): string {
  return encodeLine(record, `the answer to prompt ${record.prompt} in "${record.setting}"`);
}

/** What a run's results hold of it. */
export interface WholeWaves {
  /** Number of records in the complete waves. */
  nRecords: number;
  /** The position in bytes after each complete wave. Anything after the last was cut short when a process ended. */
  ends: number[];
}

/**
 * Read a run's `results.jsonl`, line by line: `take` gets each record, its line, and the position in bytes after it, also of a last wave
 * that lacks lines, which `nRecords` leaves out. Leaves out an unfinished last line. Refuses anything else that this run would not have
 * written. A missing file is an empty one.
 *
 * @throws SteeringError E_BAD_RUN naming the line, E_ABORTED
 */
export async function readRecords(
  path: string, run: RunFile, take: (record: ResultRecord, line: string, end: number) => void, signal?: AbortSignal,
): Promise<WholeWaves> {
  throwIfAborted(signal);
  const whole: WholeWaves = { nRecords: 0, ends: [] };
  if (!existsSync(path)) return whole;
  const { settings } = run;
  const groups = waves(run);
  const prompts = groups.flat();
  const most = prompts.length * settings.length;
  const after = (nWaves: number): number => whole.nRecords + (groups[nWaves]?.length ?? Infinity) * settings.length;
  await readLines(path, "E_BAD_RUN", (line, index, end) => {
    const place = `${path}: line ${index + 1}`;
    if (index >= most) throw new SteeringError("E_BAD_RUN", `${place}: too many results; the run has ${most}`);
    const expected = { prompt: prompts[Math.floor(index / settings.length)]!, setting: settings[index % settings.length]!.label };
    take(parseRecord(line, expected, place), line, end);
    if (index + 1 < after(whole.ends.length)) return;
    whole.nRecords = index + 1;
    whole.ends.push(end);
  }, signal);
  return whole;
}

function parseRecord(line: string, expected: { prompt: number; setting: string }, place: string): ResultRecord {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (cause) {
    throw new SteeringError("E_BAD_RUN", `${place} is not JSON: ${(cause as Error).message}`, { cause });
  }
  const record = parsedBy(recordSchema, json, (problem) => new SteeringError("E_BAD_RUN", `${place}: ${problem}`));
  const { prompt, setting } = record;
  if (prompt === expected.prompt && setting === expected.setting) return record;
  throw new SteeringError("E_BAD_RUN",
    `${place}: found prompt ${prompt}, "${setting}"; expected prompt ${expected.prompt}, "${expected.setting}"`);
}
