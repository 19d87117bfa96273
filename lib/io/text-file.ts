import { readFile } from "node:fs/promises";
import { SteeringError, type ErrorCode } from "../errors.js";

/** A file's text, without a byte order mark. Throws `code` for bytes that are not UTF-8, which would otherwise become other characters, and E_NOT_FOUND. */
export async function readUtf8(path: string, code: ErrorCode): Promise<string> {
  return decode(await readBytes(path), path, code);
}

/** A file's whole lines; what stands behind the last line end was not finished, and may end inside a character. Throws as `readUtf8`. */
export async function readWholeLines(path: string, code: ErrorCode): Promise<string> {
  const bytes = await readBytes(path);
  return decode(bytes.subarray(0, bytes.lastIndexOf("\n") + 1), path, code);
}

async function readBytes(path: string): Promise<Buffer> {
  return readFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw new SteeringError("E_NOT_FOUND", `${path} cannot be read (${cause.code})`, { cause });
  });
}

function decode(bytes: Uint8Array, path: string, code: ErrorCode): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SteeringError(code, `${path} is not UTF-8`, { cause });
  }
}
