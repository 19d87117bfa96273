import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { basename, extname } from "node:path";
import { SteeringError } from "../errors.js";
import { readGgufHeader, type Split } from "./gguf-header.js";

const PARQUET = "PAR1";
/** How the page of a login or an error begins that comes in place of a file. */
const WEB_PAGE = /^\s*<(!doctype\s+html|html)\b/i;
const HEAD_BYTES = 512;

/**
 * Why what lies at `path` is not a file of the format that `name` ends with; undefined if nothing speaks against it. Cut
 * GGUF files are found by their own header.
 */
export function contentProblem(path: string, name: string, part: Split = { no: 0, count: 1 }): string | undefined {
  try {
    const { head, tail } = endsOf(path);
    if (head === "") return "the file is empty";
    if (WEB_PAGE.test(head) && !/^\.html?$/i.test(extname(name))) return "a web page came in place of the file";
    switch (extname(name).toLowerCase()) {
      case ".gguf": return ggufProblem(path, name, part);
      case ".parquet": return head.startsWith(PARQUET) && tail === PARQUET ? undefined : "the file is not a whole Parquet file";
      default: return undefined;
    }
  } catch (error) {
    if (error instanceof SteeringError) return error.message;
    return `the file cannot be read (${(error as NodeJS.ErrnoException).code})`;
  }
}

function ggufProblem(path: string, name: string, { no, count }: Split): string | undefined {
  const { split } = readGgufHeader(path, "the file");
  if (count === 1 || (split.no === no && split.count === count)) return undefined;
  return `${basename(name)} says that it is part ${split.no + 1} of ${split.count}; expected part ${no + 1} of ${count}`;
}

function endsOf(path: string): { head: string; tail: string } {
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    const read = (start: number, length: number): string => {
      const buffer = Buffer.alloc(length);
      return buffer.toString("latin1", 0, readSync(file, buffer, 0, length, start));
    };
    return { head: read(0, HEAD_BYTES), tail: read(Math.max(0, size - PARQUET.length), PARQUET.length) };
  } finally {
    closeSync(file);
  }
}
