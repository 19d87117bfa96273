import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { writeFileAtomic, homeFolder, partNames } from "../../formats/index.js";
import { findInstallation } from "../../native/index.js";
import { throwIfAborted } from "../abort.js";
import { tryInChild } from "./vet-process.js";

/** To be raised when more is tried than before: verdicts of fewer trials then count no longer. */
const TRIALS_VERSION = 5;
/** Time for starting a process and for a small model on a busy machine, a hundred times what they take. */
const BASE_MS = 60_000;
/** The slowest disk or network that is worth loading a model from; 40 GB get over an hour. */
const SLOWEST_BYTES_PER_MS = 10_000;
/** Memory for a small context and for buffers, beside the mapped file and the weights that llama.cpp packs anew. */
const BASE_BYTES = 4 * 1024 ** 3;
const BYTES_PER_BYTE = 3;

/** State of one file of a model on disk. */
interface FileState {
  path: string;
  size: number;
  /** Nanoseconds. The second changes with every change of the file, also where a copy kept the first. */
  modified: string;
  changed: string;
}

/**
 * Make sure that loading a GGUF and computing with it does not end the process, by trying it in another one, unless
 * that went well before: good verdicts are kept in the cache folder until the file or llama.cpp changes.
 *
 * @throws SteeringError what `tryInChild` throws
 */
export async function vetModel(path: string, signal?: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  const files = await Promise.all(partNames(resolve(path)).map(fileState));
  const { built } = findInstallation();
  const verdict = `${JSON.stringify({ trials: TRIALS_VERSION, llamaCpp: built.llamaCpp, files }, null, 2)}\n`;
  const verdictPath = verdictFile(path);
  if (await readFile(verdictPath, "utf8").catch(() => undefined) === verdict) return;
  const size = files.reduce((sum, file) => sum + file.size, 0);
  const isComplete = await tryInChild(path, { milliseconds: BASE_MS + size / SLOWEST_BYTES_PER_MS, bytes: BASE_BYTES + BYTES_PER_BYTE * size }, signal);
  // A cache that cannot be written costs time, no more: the file is tried again when it is loaded again.
  if (isComplete) await writeFileAtomic(verdictPath, verdict).catch(() => undefined);
}

/** Where the verdict on the file at this path is kept; one file each, so that processes need not wait for each other. */
export function verdictFile(path: string): string {
  return join(homeFolder(), "vetted", `${createHash("sha256").update(resolve(path)).digest("hex").slice(0, 32)}.json`);
}

async function fileState(path: string): Promise<FileState> {
  const found = await stat(path, { bigint: true }).catch(() => undefined); // a missing part is llama.cpp's to report
  return { path, size: Number(found?.size ?? 0), modified: String(found?.mtimeNs), changed: String(found?.ctimeNs) };
}
