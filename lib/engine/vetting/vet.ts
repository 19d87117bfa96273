import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { writeFileAtomic, homeFolder, partNames } from "../../formats/index.js";
import { findInstallation } from "../../native/index.js";
import { throwIfAborted } from "../abort.js";
import { tryInChild } from "./vet-process.js";

/** Increment when trials are added, to invalidate verdicts of earlier versions. */
const TRIALS_VERSION = 6;
/** Time to try a small model on a busy machine: a hundred times the usual duration. */
const BASE_MS = 60_000;
/** The slowest disk or network worth loading a model from; it allows over an hour for 40 GB. */
const SLOWEST_BYTES_PER_MS = 10_000;
/** Memory for a small context and for buffers, in addition to the mapped file and the weights that llama.cpp repacks. */
const BASE_BYTES = 4 * 1024 ** 3;
const BYTES_PER_BYTE = 3;

/** State of one file of a model on disk. */
interface FileState {
  path: string;
  size: number;
  /** In nanoseconds, like `changed`. */
  modified: string;
  /** Differs after every change of the file, even if a copy preserved `modified`. */
  changed: string;
}

/**
 * Makes sure that a GGUF does not crash this process, by loading it and computing with it in another one. Good verdicts are kept in the
 * cache folder until the file or llama.cpp changes, so each file is tried once.
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
  const limits = { milliseconds: BASE_MS + size / SLOWEST_BYTES_PER_MS, bytes: BASE_BYTES + BYTES_PER_BYTE * size };
  const isComplete = await tryInChild(path, limits, signal);
  // If the cache cannot be written, the file is simply tried again at the next load.
  if (isComplete) await writeFileAtomic(verdictPath, verdict).catch(() => undefined);
}

/** Path of the verdict on a model file; one file each, so that processes need not wait for each other. */
export function verdictFile(path: string): string {
  return join(homeFolder(), "vetted", `${createHash("sha256").update(resolve(path)).digest("hex").slice(0, 32)}.json`);
}

async function fileState(path: string): Promise<FileState> {
  const found = await stat(path, { bigint: true }).catch(() => undefined); // llama.cpp reports missing parts
  return { path, size: Number(found?.size ?? 0), modified: String(found?.mtimeNs), changed: String(found?.ctimeNs) };
}
