import { createHash } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError } from "../errors.js";
import { listOf, parseJson, readLines } from "../formats/index.js";
import { judgedText, type ResultRecord } from "./records.js";
import { assertNotNewer, runIdentity, type RunFile } from "./run-file.js";

const FORMAT = "llama-steer-evaluation";
const FORMAT_VERSION = 1;
const FILE = /^eval-([a-z0-9-]+)\.jsonl$/;

const headerSchema = z.object({
  format: z.literal(FORMAT),
  formatVersion: z.literal(FORMAT_VERSION),
  /** For example "language". Names the file `eval-language.jsonl` and the columns `eval_language…`. */
  evaluator: z.string().regex(/^[a-z0-9-]+$/),
  /** What it judges, for example "formality". Several evaluators may judge the same property. */
  property: z.string(),
  /** Which answers count as successes, for example "ita" or "unsafe"; null if none do. */
  wanted: z.string().nullable(),
  /** Everything the values depend on: detector, model, translation. */
  config: z.record(z.string(), z.unknown()),
  /** SHA-256 of the run whose answers were evaluated. */
  run: z.string(),
  versions: z.record(z.string(), z.string()),
});
/** First line of an evaluation file. */
export type EvaluationHeader = z.infer<typeof headerSchema>;

const value = z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.union([z.string(), z.number()]))]);
const rowSchema = z.object({
  prompt: z.number().int(),
  setting: z.string(),
  /** `answerHash` of the judged text. */
  answer: z.string(),
}).catchall(value);
/** An evaluator's result for one answer: its columns `eval_…`. `eval_<evaluator>_hit` is null if undetermined. */
export type EvaluationRow = z.infer<typeof rowSchema>;
/** A label, a number, or null if there is none. */
export type EvaluationValue = z.infer<typeof value>;

export const evaluationSchema = z.object({ header: headerSchema, rows: listOf(rowSchema, Infinity) });

/** One evaluator's results. `rows[i]` belongs to `records[i]`; rows at the end may be missing. */
export interface Evaluation {
  header: EvaluationHeader;
  rows: EvaluationRow[];
}

/** Name of a column: `columnOf("language", "hit")` is `eval_language_hit`. */
export function columnOf(evaluator: string, suffix?: string): string {
  return `eval_${evaluator.replaceAll("-", "_")}${suffix === undefined ? "" : `_${suffix}`}`;
}

/** Whether an answer has the property; null if that is undetermined or not yet evaluated. */
export function hitOf({ header, rows }: Evaluation, index: number): boolean | null {
  const hit = rows[index]?.[columnOf(header.evaluator, "hit")];
  return typeof hit === "boolean" ? hit : null;
}

/** Add the columns of all evaluations to the answers. Answers not yet evaluated lack them. */
export function withColumns(
  records: readonly ResultRecord[],
  evaluations: readonly Evaluation[],
): Array<ResultRecord & Record<string, unknown>> {
  return records.map((record, index): ResultRecord & Record<string, unknown> =>
    Object.assign({}, record, ...evaluations.map(({ rows }) => columnsOf(rows[index]))));
}

function columnsOf(row: EvaluationRow | undefined): object {
  const { answer: _, ...columns } = row ?? { answer: "" };
  return columns;
}

export function evaluationPath(folder: string, evaluator: string): string {
  return join(folder, `eval-${evaluator}.jsonl`);
}

export function evaluationHeader(
  run: RunFile,
  fields: Pick<EvaluationHeader, "evaluator" | "property" | "wanted" | "config" | "versions">,
): EvaluationHeader {
  const { evaluator, property, wanted, config, versions } = fields;
  const header = { format: FORMAT, formatVersion: FORMAT_VERSION, evaluator, property, wanted, config, run: hashOfRun(run), versions };
  const asRead: unknown = JSON.parse(JSON.stringify(header));
  return parsedBy(headerSchema, asRead, (problem) => new SteeringError("E_BAD_ARGUMENT", `the evaluator "${evaluator}": ${problem}`));
}

/** Identifies an answer, so that a judgement of one is never mistaken for that of another. */
export function answerHash(record: Pick<ResultRecord, "question" | "text" | "answer">): string {
  return createHash("sha256").update(JSON.stringify([record.question, judgedText(record)])).digest("hex").slice(0, 16);
}

/** Make a row of an evaluation. Throws E_BAD_ARGUMENT for values that cannot be stored. */
export function evaluationRow(record: ResultRecord, columns: Record<string, unknown>): EvaluationRow {
  const row = { prompt: record.prompt, setting: record.setting, answer: answerHash(record), ...columns };
  return parsedBy(rowSchema, row, (problem) => new SteeringError("E_BAD_ARGUMENT", `an evaluator's column ${problem}`));
}

/** Read all evaluations in a run's folder, sorted by evaluator. Throws E_BAD_RUN. */
export async function readEvaluations(
  folder: string,
  run: RunFile,
  records: readonly ResultRecord[],
  signal?: AbortSignal,
): Promise<Evaluation[]> {
  const names = readdirSync(folder).filter((name) => FILE.test(name)).sort();
  const found = await Promise.all(names.map((name) => readEvaluation(join(folder, name), run, records, signal)));
  return found.flatMap((each) => (each ? [{ header: each.header, rows: each.rows }] : []));
}

/**
 * Read an evaluation's complete lines that match these answers, and their length in bytes. Leaves out an unfinished last line and
 * everything from the first answer that has changed.
 *
 * @returns undefined if the file or its first line is missing
 * @throws SteeringError E_BAD_RUN naming the line
 */
export async function readEvaluation(
  path: string,
  run: RunFile,
  records: readonly ResultRecord[],
  signal?: AbortSignal,
): Promise<(Evaluation & { wholeBytes: number }) | undefined> {
  if (!existsSync(path)) return undefined;
  const found: { header?: EvaluationHeader; rows: EvaluationRow[]; wholeBytes: number } = { rows: [], wholeBytes: 0 };
  let isChanged = false;
  await readLines(path, "E_BAD_RUN", (line, index, end) => {
    const place = `${path}: line ${index + 1}`;
    if (index === 0) {
      found.header = parseHeader(parseLine(line, place), path);
      if (found.header.run !== hashOfRun(run)) throw bad(path, "belongs to another run");
      const { evaluator } = found.header;
      const own = evaluationPath(dirname(path), evaluator);
      if (path !== own) throw bad(path, `contains the results of the evaluator "${evaluator}", whose file is ${basename(own)}`);
      found.wholeBytes = end;
      return;
    }
    const record = records[index - 1];
    if (!record) return;
    const row = parseRow(parseLine(line, place), record, place);
    isChanged ||= row.answer !== answerHash(record);
    if (isChanged) return;
    found.rows.push(row);
    found.wholeBytes = end;
  }, signal);
  const { header } = found;
  return header && { ...found, header };
}

function bad(place: string, what: string, cause?: unknown): SteeringError {
  return new SteeringError("E_BAD_RUN", `${`${place} ${what}`.trimEnd()}; delete the file, `
    + "or evaluate with the evaluator that it is named after and --again", { cause });
}

function parseLine(line: string, place: string): unknown {
  try {
    return parseJson(line, place, "E_BAD_RUN");
  } catch (cause) {
    throw bad((cause as SteeringError).message, "", cause);
  }
}

function parseHeader(json: unknown, path: string): EvaluationHeader {
  assertNotNewer(json, FORMAT_VERSION, path);
  return parsedBy(headerSchema, json, (problem) => bad(`${path}: line 1:`, problem));
}

function parseRow(json: unknown, record: ResultRecord, place: string): EvaluationRow {
  const row = parsedBy(rowSchema, json, (problem) => bad(`${place}:`, problem));
  const { prompt, setting } = row;
  if (prompt === record.prompt && setting === record.setting) return row;
  throw bad(`${place}:`, `found prompt ${prompt}, "${setting}"; expected prompt ${record.prompt}, "${record.setting}"`);
}

function hashOfRun(run: RunFile): string {
  return `sha256:${createHash("sha256").update(runIdentity(run)).digest("hex")}`;
}
