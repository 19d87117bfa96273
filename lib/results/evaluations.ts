import { createHash } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { SteeringError } from "../errors.js";
import { readWholeLines } from "../io/text-file.js";
import type { ResultRecord } from "./records.js";
import { runIdentity, type RunFile } from "./run-file.js";

const FORMAT = "llama-steer-evaluation";
const FORMAT_VERSION = 1;
const FILE = /^eval-([a-z0-9-]+)\.jsonl$/;

const headerSchema = z.object({
  format: z.literal(FORMAT),
  formatVersion: z.literal(FORMAT_VERSION),
  /** e.g. "language": names the file `eval-language.jsonl` and the columns `eval_language…`. */
  evaluator: z.string().regex(/^[a-z0-9-]+$/),
  /** What counts as a hit, e.g. "ita" or "unsafe"; null where nothing does. */
  wanted: z.string().nullable(),
  /** Everything that the values depend on: detector, model, translation. */
  config: z.record(z.string(), z.unknown()),
  /** Of which run's answers; SHA-256. */
  run: z.string(),
  versions: z.record(z.string(), z.string()),
});
/** First line of an evaluation's file. */
export type EvaluationHeader = z.infer<typeof headerSchema>;

const value = z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.union([z.string(), z.number()]))]);
const rowSchema = z.object({ prompt: z.number().int(), setting: z.string() }).catchall(value);
/** What an evaluator says of one answer: its columns `eval_…`; `eval_<evaluator>_hit` is null where it is undetermined. */
export type EvaluationRow = z.infer<typeof rowSchema>;
export type EvaluationValue = z.infer<typeof value>;

/** What a folder holds of one evaluator. `rows[i]` is about `records[i]`; the last ones may be missing. */
export interface Evaluation {
  header: EvaluationHeader;
  rows: EvaluationRow[];
}

/** Name of a column, e.g. `columnOf("language", "hit")` is `eval_language_hit`. */
export function columnOf(evaluator: string, suffix?: string): string {
  return `eval_${evaluator.replaceAll("-", "_")}${suffix === undefined ? "" : `_${suffix}`}`;
}

/** Whether an answer has the property: null where that is undetermined, or not evaluated yet. */
export function hitOf({ header, rows }: Evaluation, index: number): boolean | null {
  const hit = rows[index]?.[columnOf(header.evaluator, "hit")];
  return typeof hit === "boolean" ? hit : null;
}

/** The answers with the columns of all evaluations, as far as they go. */
export function withColumns(records: readonly ResultRecord[], evaluations: readonly Evaluation[]): Array<ResultRecord & Record<string, unknown>> {
  return records.map((record, index) => Object.assign({}, record, ...evaluations.map(({ rows }) => rows[index] ?? {})) as ResultRecord & Record<string, unknown>);
}

export function evaluationPath(folder: string, evaluator: string): string {
  return join(folder, `eval-${evaluator}.jsonl`);
}

export function evaluationHeader(run: RunFile, { evaluator, wanted, config, versions }: Pick<EvaluationHeader, "evaluator" | "wanted" | "config" | "versions">): EvaluationHeader {
  return headerSchema.parse({ format: FORMAT, formatVersion: FORMAT_VERSION, evaluator, wanted, config, run: hashOfRun(run), versions });
}

/** All evaluations in a run's folder, by evaluator. Throws E_BAD_RUN. */
export async function readEvaluations(folder: string, run: RunFile, records: readonly ResultRecord[]): Promise<Evaluation[]> {
  const names = readdirSync(folder).filter((name) => FILE.test(name)).sort();
  const found = await Promise.all(names.map((name) => readEvaluation(join(folder, name), run, records)));
  return found.flatMap((each) => (each ? [{ header: each.header, rows: each.rows }] : []));
}

/**
 * One evaluation's whole lines, and their bytes; undefined where the file, or its first line, is not there. A last line
 * that was not finished is left out.
 *
 * @throws SteeringError E_BAD_RUN naming the line
 */
export async function readEvaluation(path: string, run: RunFile, records: readonly ResultRecord[]): Promise<(Evaluation & { wholeBytes: number }) | undefined> {
  if (!existsSync(path)) return undefined;
  const lines = (await readWholeLines(path, "E_BAD_RUN")).split("\n");
  lines.pop(); // behind the last line end: nothing, or a line that was not finished
  if (lines.length === 0) return undefined;
  const json = lines.map((line, index) => parseLine(line, `${path}: line ${index + 1}`));
  const header = parseHeader(json[0], path);
  if (header.run !== hashOfRun(run)) throw new SteeringError("E_BAD_RUN", `${path} is about other answers than this run's; delete it and evaluate again`);
  const rows = json.slice(1).map((row, index) => parseRow(row, records[index], `${path}: line ${index + 2}`));
  return { header, rows, wholeBytes: lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0) };
}

function parseLine(line: string, place: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new SteeringError("E_BAD_RUN", `${place} is not JSON: ${(cause as Error).message}`, { cause });
  }
}

function parseHeader(json: unknown, path: string): EvaluationHeader {
  const version = (json as { formatVersion?: unknown } | null)?.formatVersion;
  if (typeof version === "number" && version > FORMAT_VERSION) throw new SteeringError("E_BAD_RUN", `${path} was written by a newer llama-steer (format ${version}, this one reads ${FORMAT_VERSION}); update llama-steer`);
  const parsed = headerSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new SteeringError("E_BAD_RUN", `${path}: line 1: ${parsed.error.issues[0]!.path.join(".")}: ${parsed.error.issues[0]!.message}`);
}

function parseRow(json: unknown, record: ResultRecord | undefined, place: string): EvaluationRow {
  const parsed = rowSchema.safeParse(json);
  if (!parsed.success) throw new SteeringError("E_BAD_RUN", `${place}: ${parsed.error.issues[0]!.path.join(".")}: ${parsed.error.issues[0]!.message}`);
  const { prompt, setting } = parsed.data;
  if (prompt === record?.prompt && setting === record.setting) return parsed.data;
  throw new SteeringError("E_BAD_RUN", `${place}: ${record ? `prompt ${record.prompt}, "${record.setting}"` : "nothing more"} was expected, prompt ${prompt}, "${setting}" found`);
}

function hashOfRun(run: RunFile): string {
  return `sha256:${createHash("sha256").update(runIdentity(run)).digest("hex")}`;
}
