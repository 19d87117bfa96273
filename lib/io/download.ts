import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { SteeringError } from "../errors.js";
import { ConnectionCut, exchange, refusal, requireSuccess, type ExchangeOptions } from "./http.js";

/** Called with bytes; `totalBytes` is undefined where the server does not say. */
export type OnProgress = (doneBytes: number, totalBytes: number | undefined) => void;

/** What a file must be: size in bytes, SHA-256 in lower-case hex. */
export interface Expected {
  size?: number | undefined;
  sha256?: string | undefined;
}

export interface DownloadOptions extends ExchangeOptions {
  expected?: Expected | undefined;
  onProgress?: OnProgress | undefined;
}

/** A body that is cut is resumed at once, as long as each attempt brought bytes. */
const MAX_RECONNECTS = 5;

/**
 * Download `url` to `target`: resumes `<target>.partial`, verifies size and SHA-256, then renames;
 * E_DOWNLOAD with a reason, E_ABORTED on abort. The caller makes sure that nobody else writes `target`.
 */
export async function downloadFile(url: string, target: string, options: DownloadOptions = {}): Promise<void> {
  const partial = `${target}.partial`;
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
  await landPartial(target, options.expected);
}

/** Verify `<target>.partial` and rename it to `target`; on a wrong size or hash it is deleted and E_DOWNLOAD says both values. */
export async function landPartial(target: string, expected: Expected = {}): Promise<void> {
  const partial = `${target}.partial`;
  const problem = await mismatch(partial, expected);
  if (problem) {
    await forgetPartial(partial);
    throw new SteeringError("E_DOWNLOAD", `${problem}; the file was deleted`);
  }
  await rename(partial, target);
  await rm(etagFile(partial), { force: true });
}

/** One line that says how the file differs from `expected`, or undefined. */
export async function mismatch(path: string, expected: Expected): Promise<string | undefined> {
  const size = await sizeOf(path);
  if (expected.size !== undefined && size !== expected.size) return `wrong size: expected ${expected.size} bytes, got ${size}`;
  if (expected.sha256 === undefined) return undefined;
  const actual = await sha256File(path);
  return actual === expected.sha256 ? undefined : `wrong SHA-256: expected ${expected.sha256}, got ${actual}`;
}

/** SHA-256 of a file, lower-case hex. */
export async function sha256File(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** Bytes of a file, 0 when it does not exist. */
export async function sizeOf(path: string): Promise<number> {
  return stat(path).then((found) => found.size, () => 0);
}

async function fetchRest(url: string, partial: string, options: DownloadOptions): Promise<void> {
  const { have, etag } = await resumePoint(url, partial, options.expected?.size);
  if (have > 0 && have === options.expected?.size) return;
  // A compressed body would have another length than the file.
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
  await forgetPartial(partial);
  await fetchRest(url, partial, options);
}

/** Bytes that may be kept: only those of the same address, of a version that the server can recognise. */
async function resumePoint(url: string, partial: string, size: number | undefined): Promise<{ have: number; etag: string }> {
  const start = { have: 0, etag: "" };
  const have = await sizeOf(partial);
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
  const file = await open(partial, start === 0 ? "w" : "a");
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
    await file.sync();
  } finally {
    await file.close();
  }
  if (total === undefined || done === total) return;
  if (done < total) throw new ConnectionCut(host, `${done} of ${total} bytes`);
  await forgetPartial(partial);
  throw new SteeringError("E_DOWNLOAD", `${host} sent more than the ${total} bytes that were expected`);
}

/** Size of the whole file; a server that offers another file than the expected one is refused before a byte is written. */
function bodyTotal(response: Response, start: number, expected: number | undefined, host: string): number | undefined {
  const length = response.headers.get("content-length");
  const offered = start > 0 ? contentRange(response).total : length === null ? undefined : Number(length);
  if (expected !== undefined && offered !== undefined && offered !== expected) {
    throw new SteeringError("E_DOWNLOAD", `${host} offers a file of ${offered} bytes, expected ${expected}`);
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

/** If-Range takes strong validators only; without one the next attempt starts again. */
async function rememberEtag(url: string, response: Response, partial: string): Promise<void> {
  const etag = response.headers.get("etag");
  if (!etag || etag.startsWith("W/")) return rm(etagFile(partial), { force: true });
  await writeFile(etagFile(partial), JSON.stringify({ url, etag }));
}

/** Delete a partial file and what was remembered about its origin. */
export async function forgetPartial(partial: string): Promise<void> {
  await rm(partial, { force: true });
  await rm(etagFile(partial), { force: true });
}

function etagFile(partial: string): string {
  return `${partial}.etag`;
}
