import { createHash } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { lstat, mkdir, open, readFile, rm, stat, writeFile, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { SteeringError } from "../errors.js";
import { flush, land } from "../formats/index.js";
import { ConnectionCut, exchange, refusal, requireSuccess, type ExchangeOptions } from "./http.js";

/** Called with the progress in bytes; `totalBytes` is undefined if the server does not state it. */
export type OnProgress = (doneBytes: number, totalBytes: number | undefined) => void;

/** Requirements on a downloaded file: size in bytes, SHA-256 in lower-case hex. */
export interface Expected {
  size?: number | undefined;
  sha256?: string | undefined;
  /** Describes what is wrong with a file's content; undefined if nothing is. */
  problem?: ((path: string) => string | undefined) | undefined;
}

export interface DownloadOptions extends ExchangeOptions {
  expected?: Expected | undefined;
  onProgress?: OnProgress | undefined;
}

/** Number of times that an interrupted body is resumed immediately, as long as each attempt makes progress. */
const MAX_RECONNECTS = 5;

/**
 * Download `url` to `target`: resume `<target>.partial`, verify it, then rename it. The caller ensures that no other process
 * writes `target`. Throws E_DOWNLOAD with a reason, E_ABORTED.
 */
export async function downloadFile(url: string, target: string, options: DownloadOptions = {}): Promise<void> {
  await downloadPartial(url, target, options);
  await landPartial(target);
}

/** Like `downloadFile`; `check` sees the verified file before it gets its name, and its error deletes the file. */
export async function downloadChecked(
  url: string, target: string, options: DownloadOptions, check: (path: string) => Promise<void>,
): Promise<void> {
  try {
    await downloadPartial(url, target, options);
    await check(partialOf(target)).catch(async (error: unknown) => {
      await forgetPartial(target);
      throw error;
    });
    await landPartial(target);
  } catch (error) {
    throw writeFailure(target, error);
  }
}

/** The error for a failed write; other errors are returned unchanged. */
export function writeFailure(target: string, error: unknown): unknown {
  const { syscall, message } = error as NodeJS.ErrnoException;
  return syscall ? new SteeringError("E_DOWNLOAD", `could not write ${target}: ${message}`, { cause: error }) : error;
}

/** Download `url` to `<target>.partial`, resuming an unfinished download, and verify it. Throws as `downloadFile`. */
export async function downloadPartial(url: string, target: string, options: DownloadOptions = {}): Promise<void> {
  const partial = partialOf(target);
  await mkdir(dirname(target), { recursive: true });
  for (let reconnects = 0; ; reconnects++) {
    const before = await sizeOf(partial);
    try {
      await fetchRest(url, partial, options);
      break;
    } catch (error) {
      const gained = (await sizeOf(partial)) > before;
      if (!(error instanceof ConnectionCut) || !gained || reconnects === MAX_RECONNECTS) throw error;
    }
  }
  await verifyPartial(target, options.expected);
}

/** Verify `<target>.partial`; delete it and throw E_DOWNLOAD, with the expected and actual values, if it differs. */
export async function verifyPartial(target: string, expected: Expected = {}): Promise<void> {
  const problem = await mismatch(partialOf(target), expected);
  if (!problem) return;
  await forgetPartial(target);
  throw new SteeringError("E_DOWNLOAD", `${problem}; the file was deleted`);
}

/** Rename a verified `<target>.partial` to `target`. */
export async function landPartial(target: string): Promise<void> {
  const partial = partialOf(target);
  const file = await open(partial, "r+");
  await flush(file).finally(() => file.close());
  await land(partial, target);
  await rm(etagFile(partial), { force: true });
}

/** One line on how the file differs from `expected`; undefined if it does not. */
export async function mismatch(path: string, expected: Expected): Promise<string | undefined> {
  const size = await sizeOf(path);
  if (expected.size !== undefined && size !== expected.size) return `wrong size: expected ${expected.size} bytes, got ${size}`;
  const actual = expected.sha256 === undefined ? undefined : await sha256File(path);
  if (actual !== expected.sha256) return `wrong SHA-256: expected ${expected.sha256}, got ${actual}`;
  return expected.problem?.(path);
}

/** SHA-256 of a file, lower-case hex. */
export async function sha256File(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** Size of a file in bytes, 0 if it does not exist. */
export async function sizeOf(path: string): Promise<number> {
  return stat(path).then((found) => found.size, () => 0);
}

async function fetchRest(url: string, partial: string, options: DownloadOptions): Promise<void> {
  const { have, etag } = await resumePoint(url, partial, options.expected?.size);
  if (have > 0 && have === options.expected?.size) return;
  // A compressed body would not have the length of the file.
  const headers: Record<string, string> = { ...options.headers, "accept-encoding": "identity" };
  if (have > 0) Object.assign(headers, { range: `bytes=${have}-`, "if-range": etag });

  const done = await exchange(url, {}, { ...options, headers }, async (response, beat) => {
    if (have > 0 && response.status === 416) return contentRange(response).total === have;
    requireSuccess(response);
    if (response.status !== 206) {
      await writeBody(url, response, partial, 0, options, beat);
      return true;
    }
    if (have === 0) throw refusal(response);
    if (contentRange(response).start !== have || response.headers.get("etag") !== etag) return false;
    await writeBody(url, response, partial, have, options, beat);
    return true;
  });
  if (done) return;
  await remove(partial);
  await fetchRest(url, partial, options);
}

/** Number of bytes to keep: only those from the same address, of a version that the server can identify by its ETag. */
async function resumePoint(url: string, partial: string, size: number | undefined): Promise<{ have: number; etag: string }> {
  const start = { have: 0, etag: "" };
  const found = await lstat(partial).catch(() => undefined);
  const have = found?.isFile() ? found.size : 0;
  if (have === 0 || (size !== undefined && have > size)) return start;
  try {
    const known = JSON.parse(await readFile(etagFile(partial), "utf8")) as { url?: unknown; etag?: unknown };
    return known.url === url && typeof known.etag === "string" ? { have, etag: known.etag } : start;
  } catch {
    return start;
  }
}

async function writeBody(
  url: string, response: Response, partial: string, start: number, options: DownloadOptions, beat: () => void,
): Promise<void> {
  const host = new URL(response.url).host;
  const total = bodyTotal(response, start, options.expected?.size, host);
  const file = await openPartial(partial, start);
  let done = start;
  try {
    if (start === 0) await rememberEtag(url, response, partial);
    options.onProgress?.(done, total);
    for await (const chunk of response.body ?? []) {
      beat();
      done += chunk.length;
      if (total !== undefined && done > total) break;
      await file.writeFile(chunk);
      options.onProgress?.(done, total);
    }
  } finally {
    await file.close();
  }
  if (total === undefined || done === total) return;
  if (done < total) throw new ConnectionCut(host, `${done} of ${total} bytes`);
  await remove(partial);
  throw new SteeringError("E_DOWNLOAD", `${host} sent more than the expected ${total} bytes`);
}

/** Open the partial file, new or for appending. A symbolic link in its place is removed, never followed. */
async function openPartial(partial: string, start: number): Promise<FileHandle> {
  if (start > 0) return open(partial, constants.O_WRONLY | constants.O_APPEND | (constants.O_NOFOLLOW ?? 0));
  await rm(partial, { force: true });
  return open(partial, "wx");
}

/** Size of the complete file. Refuses a server that offers a file of an unexpected size before anything is written. */
function bodyTotal(response: Response, start: number, expected: number | undefined, host: string): number | undefined {
  const length = response.headers.get("content-length");
  const offered = start > 0 ? contentRange(response).total : length === null ? undefined : Number(length);
  if (expected !== undefined && offered !== undefined && offered !== expected) {
    throw new SteeringError("E_DOWNLOAD", `${host} offers a file of ${offered} bytes; expected ${expected}`);
  }
  return expected ?? offered;
}

function contentRange(response: Response): { start?: number; total?: number } {
  const match = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "");
  if (!match) return {};
  return {
    ...(match[1] === undefined ? {} : { start: Number(match[1]) }),
    ...(match[2] === "*" ? {} : { total: Number(match[2]) }),
  };
}

/** Remember a strong ETag, the only kind that If-Range accepts; without one, the next attempt starts over. */
async function rememberEtag(url: string, response: Response, partial: string): Promise<void> {
  const etag = response.headers.get("etag");
  await rm(etagFile(partial), { force: true });
  if (etag && !etag.startsWith("W/")) await writeFile(etagFile(partial), JSON.stringify({ url, etag }), { flag: "wx" });
}

/** Delete `<target>.partial` and its remembered origin. */
export async function forgetPartial(target: string): Promise<void> {
  await remove(partialOf(target));
}

async function remove(partial: string): Promise<void> {
  await rm(partial, { force: true });
  await rm(etagFile(partial), { force: true });
}

/** Path of the unfinished download of `target`. */
export function partialOf(target: string): string {
  return `${target}.partial`;
}

function etagFile(partial: string): string {
  return `${partial}.etag`;
}
