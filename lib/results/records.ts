import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError } from "../errors.js";
import { encodeLine, readLines, integerList, listOf, numberList } from "../formats/index.js";
import { MAX_VECTORS, type RunFile } from "./run-file.js";

/** One answer of a run: a line of `results.jsonl`. */
export const recordSchema = z.object({
  /** Index of the prompt, from 0, in the whole run. */
  prompt: z.number().int().min(0),
  /** Label of the setting. */
  setting: z.string(),
  question: z.string(),
  /** The dataset's answer. */
  gold: z.string(),
  text: z.string(),
  tokens: integerList,
  /** `failed`: see `error`; `unknown`: of an imported run. */
  finishReason: z.enum(["length", "end", "stop", "failed", "unknown"]),
  /** Per vector of the setting and step. */
  alphas: listOf(numberList, MAX_VECTORS),
  /** In nats; null for a schedule that measures nothing. */
  kls: listOf(numberList.nullable(), MAX_VECTORS),
  /** Of the answer behind demonstrations under its own prompt; of that setting only. */
  perplexity: z.number().nullable(),
  /** ΔPPL (docs/method.md §6); null where the answer behind demonstrations is empty. */
  deltaPerplexity: z.number().nullable(),
  /** Why there is no answer, or no ΔPPL, where the model's numbers broke down. */
  error: z.string().optional(),
});
/** One answer in one setting: a line of `results.jsonl`. */
export type ResultRecord = z.infer<typeof recordSchema>;

/** The prompts that a run's folder holds, in groups that are answered together, in the order of its results. */
export function waves({ nPrompts, parallel, shard }: Pick<RunFile, "nPrompts" | "parallel" | "shard">): number[][] {
  const all = Array.from({ length: Math.ceil(nPrompts / parallel) }, (_, wave) =>
    Array.from({ length: Math.min(parallel, nPrompts - wave * parallel) }, (_unused, i) => wave * parallel + i));
  return shard ? all.filter((_, wave) => wave % shard.count === shard.index) : all;
}

/** A line of `results.jsonl`. Throws E_BAD_ARGUMENT for one that could not be read again. */
export function encodeRecord(record: ResultRecord): string {
  return encodeLine(record, `the answer to prompt ${record.prompt} in "${record.setting}"`);
}

export interface ParsedResults {
  records: ResultRecord[];
  /** Bytes of the waves that are whole: what stands behind them was cut off by the end of a process. */
  wholeBytes: number;
  /** Waves that are whole. */
  wholeWaves: number;
}

/**
 * Records of the waves that are whole. A last line that is incomplete, and a last wave that lacks lines, are left out;
 * anything else that is not as this run would have written it is refused.
 *
 * @throws SteeringError E_BAD_RUN naming the line, E_ABORTED
 */
export async function parseResults(text: string, run: RunFile, path: string, signal?: AbortSignal): Promise<ParsedResults> {
  const lines = text.split("\n");
  lines.pop(); // behind the last line end: nothing, or a line that was not finished
  const { settings } = run;
  const groups = waves(run);
  const prompts = groups.flat();
  const most = prompts.length * settings.length;
  const place = (index: number): string => `${path}: line ${index + 1}`;
  const records = await readLines(lines.slice(0, most), place, "E_BAD_RUN", (line, index) =>
    parseRecord(line, { prompt: prompts[Math.floor(index / settings.length)]!, setting: settings[index % settings.length]!.label }, place(index)), signal);
  if (lines.length > most) throw new SteeringError("E_BAD_RUN", `${place(most)}: the run has ${most} results; there are more`);
  let [whole, wholeWaves] = [0, 0];
  for (const group of groups) {
    const next = whole + group.length * settings.length;
    if (next > records.length) break;
    [whole, wholeWaves] = [next, wholeWaves + 1];
  }
  const wholeBytes = lines.slice(0, whole).reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);
  return { records: records.slice(0, whole), wholeBytes, wholeWaves };
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
  if (prompt !== expected.prompt || setting !== expected.setting) throw new SteeringError("E_BAD_RUN", `${place}: prompt ${expected.prompt}, "${expected.setting}" was expected, prompt ${prompt}, "${setting}" found`);
  return record;
}
