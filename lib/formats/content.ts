import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { basename, extname } from "node:path";
import { SteeringError } from "../errors.js";
import { readGgufHeader, type Split } from "./gguf-header.js";

const PARQUET = "PAR1";
/** The start of an HTML page: servers send a login or error page instead of a file. */
const WEB_PAGE = /^\s*<(!doctype\s+html|html)\b/i;
const HEAD_BYTES = 512;

/**
 * The reason why the file at `path` does not have the format of `name`'s ending, or undefined if it seems to. A truncated GGUF
 * file is detected by its header.
 */
export function contentProblem(path: string, name: string, part: Split = { no: 0, count: 1 }): string | undefined {
  try {
    const { head, tail } = endsOf(path);
    if (head === "") return "the file is empty";
    if (WEB_PAGE.test(head) && !/^\.html?$/i.test(extname(name))) return "the server sent a web page instead of the file";
    switch (extname(name).toLowerCase()) {
      case ".gguf": return ggufProblem(path, name, part);
      case ".parquet": return head.startsWith(PARQUET) && tail === PARQUET ? undefined : "the file is not a complete Parquet file";
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
  return `${basename(name)} is part ${split.no + 1} of ${split.count} by its own header; expected part ${no + 1} of ${count}`;
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
