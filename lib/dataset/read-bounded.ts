import { stat } from "node:fs/promises";
import { throwIfAborted } from "../errors.js";
import { runBounded } from "../formats/index.js";
import { bad } from "./refusal.js";
import type { Row } from "./dataset.js";
import * as readers from "./readers.js";

type Readers = typeof readers;

/** Formats that our code and V8's parser read in time and memory proportional to the file size. */
const PLAIN = /\.(json|jsonl|ndjson|txt)$/i;
/** Up to this size, reading a plain file in this process takes a few hundredths of a second, about as long as starting a child. */
const HERE_BYTES = 2 ** 21;
const BASE_MS = 10_000;
/** A tenth of a laptop's reading speed for the slowest format, a compressed Parquet file. */
const SLOWEST_BYTES_PER_MS = 500;
const BASE_BYTES = 2 ** 29;
/** Rows as objects take about 10 bytes per byte of JSON; Parquet compresses rows to a fifth or less. */
const BYTES_PER_BYTE = 50;

/**
 * Call a reader within limits: in this process for small files of plain formats, else in a child process that can be stopped, with
 * time and memory in proportion to the files' size.
 *
 * @throws SteeringError E_ABORTED, E_BAD_DATASET, E_NOT_FOUND
 */
export async function readBounded<Name extends keyof Readers>(
  name: Name, input: Parameters<Readers[Name]>[0], paths: readonly string[], signal?: AbortSignal,
): Promise<Row[]> {
  throwIfAborted(signal);
  const sizes = await Promise.all(paths.map(sizeOf));
  const size = sizes.reduce((sum, each) => sum + each, 0);
  if (size <= HERE_BYTES && paths.every((path) => PLAIN.test(path) || name === "pairs")) {
    return (readers[name] as (given: typeof input) => Promise<Row[]>)(input);
  }
  return runBounded(new URL(`./readers.js#${name}`, import.meta.url), input, {
    milliseconds: BASE_MS + size / SLOWEST_BYTES_PER_MS, bytes: BASE_BYTES + size * BYTES_PER_BYTE, signal,
    refuse: (reason, cause) => bad(paths.join(" and "), undefined, reason, cause),
  });
}

/** Size of a file in bytes; 0 if it is missing, which the reader reports. */
async function sizeOf(path: string): Promise<number> {
  return stat(path).then((found) => (found.isFile() ? found.size : 0), () => 0);
}
