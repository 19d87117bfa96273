import { constants } from "node:buffer";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { SteeringError, throwIfAborted, type ErrorCode } from "../errors.js";

/** The longest string that V8 can hold. */
const MAX_TEXT_BYTES = constants.MAX_STRING_LENGTH;
const UTF8 = new TextDecoder("utf-8", { fatal: true });
/** Keeps a byte order mark: after a file's start, it is a character. */
const UTF8_WITHIN = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const LINE_END = "\n".charCodeAt(0);
/** Nesting limit: nothing that we write has ten levels, and code that walks through a value recurses once per level. */
const MAX_DEPTH = 100;

/**
 * Read a text file, without its byte order mark. Throws E_NOT_FOUND, and `code` for more than `most` bytes or for invalid UTF-8,
 * which Node.js would silently replace.
 */
export async function readUtf8(path: string, code: ErrorCode, most = MAX_TEXT_BYTES): Promise<string> {
  return decode(await readFileUpTo(path, code, most), path, code);
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
/** The same in bytes of UTF-8, as long as the line's end is not found. */
const MAX_LINE_BYTES = 3 * MAX_LINE_CHARACTERS;
/** Bytes read at once. Parsing them takes some milliseconds, during which the event loop waits. */
const PIECE_BYTES = 2 ** 18;

/** Encode a value as a line of JSON. Throws E_BAD_ARGUMENT if `readLines` would refuse it. `what`: its name in messages. */
export function encodeLine(value: unknown, what: string): string {
  const line = JSON.stringify(value);
  if (line.length <= MAX_LINE_CHARACTERS) return `${line}\n`;
  throw new SteeringError("E_BAD_ARGUMENT", `${what} takes ${line.length} characters; expected at most ${MAX_LINE_CHARACTERS}`);
}

/**
 * Read a file's complete lines in order, without a byte order mark at its start, never the whole file at once: `read` gets each line, its
 * index from 0, and the position in bytes after it. An unfinished last line, which may end inside a character, is left out. `signal` stops
 * the reading.
 *
 * @throws SteeringError E_NOT_FOUND, E_ABORTED, what `read` throws, and `code` for a line that is too long or not UTF-8
 */
export async function readLines(
  path: string, code: ErrorCode, read: (line: string, index: number, end: number) => void, signal?: AbortSignal,
): Promise<void> {
  await regularFileSize(path);
  const tooLong = (index: number, length: string): SteeringError =>
    new SteeringError(code, `${path}: line ${index + 1} has ${length}; expected at most ${MAX_LINE_CHARACTERS} characters`);
  const pieces = createReadStream(path, { highWaterMark: PIECE_BYTES }) as AsyncIterable<Buffer>;
  let [index, end, rest] = [0, 0, Buffer.alloc(0)];
  try {
    for await (const piece of pieces) {
      throwIfAborted(signal);
      const bytes = Buffer.concat([rest, piece]);
      let begin = 0;
      for (let stop = bytes.indexOf(LINE_END, rest.length); stop >= 0; stop = bytes.indexOf(LINE_END, begin)) {
        const line = decode(bytes.subarray(begin, stop), path, code, index === 0 ? UTF8 : UTF8_WITHIN);
        if (line.length > MAX_LINE_CHARACTERS) throw tooLong(index, `${line.length} characters`);
        end += stop + 1 - begin;
        begin = stop + 1;
        read(line, index++, end);
      }
      rest = bytes.subarray(begin);
      if (rest.length > MAX_LINE_BYTES) throw tooLong(index, `more than ${MAX_LINE_BYTES} bytes`);
    }
  } catch (error) {
    throw error instanceof Error && "syscall" in error ? cannotRead(path, error as NodeJS.ErrnoException) : error;
  }
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

function decode(bytes: Uint8Array, path: string, code: ErrorCode, decoder = UTF8): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new SteeringError(code, `${path} is not UTF-8`, { cause });
  }
}
