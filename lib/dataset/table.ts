import { extname } from "node:path";
import { CsvError, parse as parseCsv } from "csv-parse/sync";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { isSeq, LineCounter, parseDocument } from "yaml";
import { SteeringError } from "../errors.js";
import { readUtf8 } from "../io/text-file.js";

/** One row of a file, whatever its format. */
export interface TableRow {
  /** By column. */
  values: Record<string, unknown>;
  /** Where it stands, e.g. "line 12". */
  place: () => string;
}

const READERS: Record<string, (path: string) => Promise<TableRow[]>> = {
  ".json": async (path) => jsonRows(await readUtf8(path, "E_BAD_DATASET"), path),
  ".jsonl": async (path) => jsonLines(await readUtf8(path, "E_BAD_DATASET"), path),
  ".ndjson": async (path) => jsonLines(await readUtf8(path, "E_BAD_DATASET"), path),
  ".csv": async (path) => separatedRows(await readUtf8(path, "E_BAD_DATASET"), path, ","),
  ".tsv": async (path) => separatedRows(await readUtf8(path, "E_BAD_DATASET"), path, "\t"),
  ".parquet": parquetRows,
};

/** Whether a name is that of a file that `readTable` can read. */
export function isTableFile(path: string): boolean {
  return extname(path).toLowerCase() in READERS;
}

/**
 * Rows of a JSON list, a JSONL, CSV, TSV (both with a header line) or Parquet file.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_DATASET naming file and line
 */
export async function readTable(path: string): Promise<TableRow[]> {
  const read = READERS[extname(path).toLowerCase()];
  if (!read) throw bad(path, undefined, `its name must end in ${Object.keys(READERS).join(", ")}`);
  return read(path);
}

function jsonRows(text: string, path: string): TableRow[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw bad(path, `line ${lineOfSyntaxError(text, (cause as Error).message)}`, `it is not JSON: ${(cause as Error).message}`, cause);
  }
  if (!Array.isArray(json)) throw bad(path, undefined, `a list of rows was expected, ${kindOf(json)} found`);
  let lines: number[] | undefined; // looked for only where a row is bad
  return json.map((values: unknown, index) => {
    const place = (): string => `line ${(lines ??= linesOfItems(text))[index] ?? "?"}`;
    return { values: record(values, path, place), place };
  });
}

function jsonLines(text: string, path: string): TableRow[] {
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    const place = (): string => `line ${index + 1}`;
    try {
      return { values: record(JSON.parse(line), path, place), place };
    } catch (cause) {
      if (cause instanceof SteeringError) throw cause;
      throw bad(path, place(), `it is not JSON: ${(cause as Error).message}`, cause);
    }
  });
}

function separatedRows(text: string, path: string, delimiter: string): TableRow[] {
  try {
    const rows = parseCsv(text, { columns: true, info: true, skip_empty_lines: true, delimiter, quote: delimiter === "," ? '"' : null });
    return (rows as unknown as Array<{ info: { lines: number }; record: Record<string, string> }>).map(({ info, record: values }) => {
      const inside = Object.values(values).join("").split("\n").length - 1; // a row ends where its last quoted line does
      return { values, place: () => `line ${info.lines - inside}` };
    });
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause;
    throw bad(path, `line ${String((cause as { lines?: number }).lines)}`, cause.message, cause);
  }
}

async function parquetRows(path: string): Promise<TableRow[]> {
  const file = await asyncBufferFromFile(path).catch((cause: unknown) => {
    throw new SteeringError("E_NOT_FOUND", `dataset file ${path} cannot be read (${(cause as NodeJS.ErrnoException).code})`, { cause });
  });
  try {
    const rows = await parquetReadObjects({ file, compressors });
    return rows.map((values, index) => ({ values, place: () => `row ${index + 1}` }));
  } catch (cause) {
    throw bad(path, undefined, `it is not Parquet: ${(cause as Error).message}`, cause);
  }
}

function record(values: unknown, path: string, place: () => string): Record<string, unknown> {
  if (typeof values === "object" && values !== null && !Array.isArray(values)) return values as Record<string, unknown>;
  throw bad(path, place(), `an object of columns was expected, ${kindOf(values)} found`);
}

/** Line on which each item of a JSON list begins: JSON is YAML, whose parser knows where things stand. */
function linesOfItems(text: string): number[] {
  const lineCounter = new LineCounter();
  const { contents } = parseDocument(text, { lineCounter, uniqueKeys: false });
  if (!isSeq(contents)) return [];
  return contents.items.map((item) => lineCounter.linePos((item as { range: [number, number, number] }).range[0]).line);
}

function lineOfSyntaxError(text: string, message: string): number {
  const position = /position (\d+)/.exec(message)?.[1];
  if (position !== undefined) return text.slice(0, Number(position)).split("\n").length;
  const [error] = parseDocument(text, { uniqueKeys: false }).errors;
  return error?.linePos?.[0].line ?? text.split("\n").length;
}

/** What a value is, for a message, e.g. `the number 5`. */
export function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return value === "" ? "an empty text" : typeof value === "string" ? "a text" : `the ${typeof value} ${String(value)}`;
}

export function bad(path: string, place: string | undefined, reason: string, cause?: unknown): SteeringError {
  return new SteeringError("E_BAD_DATASET", `${path}: ${place ? `${place}: ` : ""}${reason}`, { cause });
}
