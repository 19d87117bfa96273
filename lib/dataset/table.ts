import { extname } from "node:path";
import { readUtf8 } from "../formats/index.js";
import { bad, kindOf } from "./refusal.js";
import { jsonItems } from "./json-items.js";

/** A row of a table file of any format. */
export interface TableRow {
  /** Values by column. */
  values: Record<string, unknown>;
  /** Position in the file, e.g. "line 12". */
  place: () => string;
}

const READERS: Record<string, (path: string) => Promise<Iterable<TableRow>>> = {
  ".json": async (path) => jsonRows(await readUtf8(path, "E_BAD_DATASET"), path),
  ".jsonl": async (path) => jsonLines(await readUtf8(path, "E_BAD_DATASET"), path),
  ".ndjson": async (path) => jsonLines(await readUtf8(path, "E_BAD_DATASET"), path),
  ".csv": async (path) => separatedRows(await readUtf8(path, "E_BAD_DATASET"), path, ","),
  ".tsv": async (path) => separatedRows(await readUtf8(path, "E_BAD_DATASET"), path, "\t"),
  ".parquet": async (path) => (await import("./parquet.js")).parquetRows(path),
};

/** Whether `readTable` supports a file, by its name. */
export function isTableFile(path: string): boolean {
  return extname(path).toLowerCase() in READERS;
}

/**
 * Read the rows of a JSON list, JSONL, CSV or TSV (both with a header line) or Parquet file, one by one if the format allows it.
 * Call it through `readBounded` for untrusted files.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_DATASET naming file and line
 */
export async function readTable(path: string): Promise<Iterable<TableRow>> {
  const read = READERS[extname(path).toLowerCase()];
  if (!read) throw bad(path, undefined, `its name must end in ${Object.keys(READERS).join(", ")}`);
  return read(path);
}

function* jsonRows(text: string, path: string): Generator<TableRow, void> {
  for (const { value, line } of jsonItems(text, path)) {
    const place = (): string => `line ${line}`;
    yield { values: record(value, path, place), place };
  }
}

function* jsonLines(text: string, path: string): Generator<TableRow, void> {
  let number = 0;
  for (let begin = 0; begin < text.length;) {
    const end = text.indexOf("\n", begin);
    const line = text.slice(begin, end < 0 ? undefined : end);
    begin += line.length + 1;
    const place = `line ${++number}`;
    if (line.trim() !== "") yield { values: record(parseLine(line, path, place), path, () => place), place: () => place };
  }
}

function parseLine(line: string, path: string, place: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw bad(path, place, `it is not JSON: ${(cause as Error).message}`, cause);
  }
}

async function separatedRows(text: string, path: string, delimiter: string): Promise<TableRow[]> {
  const { CsvError, parse } = await import("csv-parse/sync");
  try {
    const rows = parse(text, { columns: true, info: true, skip_empty_lines: true, delimiter, quote: delimiter === "," ? '"' : null });
    return (rows as unknown as Array<{ info: { lines: number }; record: Record<string, string> }>).map(({ info, record: values }) => {
      const inside = Object.values(values).join("").split("\n").length - 1; // the parser reports the line on which a row ends
      return { values, place: () => `line ${info.lines - inside}` };
    });
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause;
    throw bad(path, `line ${String((cause as { lines?: number }).lines)}`, cause.message, cause);
  }
}

function record(values: unknown, path: string, place: () => string): Record<string, unknown> {
  if (typeof values === "object" && values !== null && !Array.isArray(values)) return values as Record<string, unknown>;
  throw bad(path, place(), `expected an object of columns, found ${kindOf(values)}`);
}
