import { constants } from "node:buffer";
import { readFile, stat } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { SteeringError, throwIfAborted, type ErrorCode } from "../errors.js";

/** The longest string that V8 can hold. */
const MAX_TEXT_BYTES = constants.MAX_STRING_LENGTH;
/** Nesting limit: nothing that we write has ten levels, and code that walks through a value recurses once per level. */
const MAX_DEPTH = 100;

/**
 * Read a text file, without its byte order mark. Throws E_NOT_FOUND, and `code` for more than `most` bytes or for invalid UTF-8,
 * which Node.js would silently replace.
 */
export async function readUtf8(path: string, code: ErrorCode, most = MAX_TEXT_BYTES): Promise<string> {
  return decode(await readFileUpTo(path, code, most), path, code);
}

/** Read a file's complete lines; drops an unfinished last line, which may end inside a character. Throws as `readUtf8`. */
export async function readWholeLines(path: string, code: ErrorCode): Promise<string> {
  const bytes = await readFileUpTo(path, code, MAX_TEXT_BYTES);
  return decode(bytes.subarray(0, bytes.lastIndexOf("\n") + 1), path, code);
}

/**
 * Read a regular file. Throws E_NOT_FOUND, and `code` for more than `most` bytes. `what`: the file's name in messages.
 */
export async function readFileUpTo(path: string, code: ErrorCode, most: number, what = path): Promise<Buffer> {
  const size = await regularFileSize(path, what);
  if (size > most) throw new SteeringError(code, `${what} has ${size} bytes; expected at most ${most}`);
  return readFile(path).catch((cause: NodeJS.ErrnoException) => { throw cannotRead(what, cause); });
}

/** The size of a regular file in bytes: reading anything else, such as a device or a pipe, may never end. Throws E_NOT_FOUND. */
export async function regularFileSize(path: string, what = path): Promise<number> {
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => { throw cannotRead(what, cause); });
  if (found.isFile()) return found.size;
  throw new SteeringError("E_NOT_FOUND", `${what} is ${found.isDirectory() ? "a directory" : "not a regular file"}`);
}

function cannotRead(what: string, cause: NodeJS.ErrnoException): SteeringError {
  const reasons: Record<string, string> = {
    ENOENT: "does not exist", EISDIR: "is a directory", EACCES: "cannot be read: permission denied",
  };
  return new SteeringError("E_NOT_FOUND", `${what} ${reasons[cause.code ?? ""] ?? `cannot be read (${cause.code})`}`, { cause });
}

/** Our lines are far shorter; to parse a longer one of nothing but brackets, V8 needs more memory than a process has. */
const MAX_LINE_CHARACTERS = 2 ** 23;
const BLOCKING_MS = 50;

/** Encode a value as a line of JSON. Throws E_BAD_ARGUMENT if `readLines` would refuse it. `what`: its name in messages. */
export function encodeLine(value: unknown, what: string): string {
  const line = JSON.stringify(value);
  if (line.length <= MAX_LINE_CHARACTERS) return `${line}\n`;
  throw new SteeringError("E_BAD_ARGUMENT", `${what} takes ${line.length} characters; expected at most ${MAX_LINE_CHARACTERS}`);
}

/**
 * Parse lines in order with `read`, yielding to the event loop every 50 ms; `signal` stops it.
 *
 * @throws SteeringError E_ABORTED, what `read` throws, and `code` for a line that is too long
 */
export async function readLines<Value>(
  lines: readonly string[], place: (index: number) => string, code: ErrorCode, read: (line: string, index: number) => Value,
  signal?: AbortSignal,
): Promise<Value[]> {
  const values: Value[] = [];
  let begun = performance.now();
  for (const [index, line] of lines.entries()) {
    if (line.length > MAX_LINE_CHARACTERS) {
      throw new SteeringError(code, `${place(index)} has ${line.length} characters; expected at most ${MAX_LINE_CHARACTERS}`);
    }
    values.push(read(line, index));
    if (performance.now() - begun < BLOCKING_MS) continue;
    await setImmediate();
    throwIfAborted(signal);
    begun = performance.now();
  }
  return values;
}

/** Parse JSON from a file. Throws `code` if it is not JSON or is nested too deeply. */
export function parseJson(text: string, place: string, code: ErrorCode): unknown {
  let json: unknown;
  try {
    json = JSON.parse(text.trimEnd()); // an error at the end is on the last line, not after it
  } catch (cause) {
    throw new SteeringError(code, `${place} is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (isDeeperThan(MAX_DEPTH, json)) throw new SteeringError(code, `${place}: more than ${MAX_DEPTH} lists or objects are nested`);
  return json;
}

function isDeeperThan(levels: number, value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeperThan(levels - 1, inner));
}

function decode(bytes: Uint8Array, path: string, code: ErrorCode): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SteeringError(code, `${path} is not UTF-8`, { cause });
  }
}
