import { stat } from "node:fs/promises";
import { throwIfAborted } from "../errors.js";
import { runBounded } from "../formats/index.js";
import { bad } from "./refusal.js";
import type { Row } from "./dataset.js";
import * as readers from "./readers.js";

type Readers = typeof readers;

/** Formats that are read in a time and memory proportional to their size, by ourselves and V8's own parser. */
const PLAIN = /\.(json|jsonl|ndjson|txt)$/i;
/** Plain files up to this size are read here, within a few hundredths of a second: about as long as another process takes to start. */
const HERE_BYTES = 2 ** 21;
const BASE_MS = 10_000;
/** A tenth of what a laptop reads of the slowest format, a compressed Parquet file. */
const SLOWEST_BYTES_PER_MS = 500;
const BASE_BYTES = 2 ** 29;
/** Rows as objects take about 10 bytes for each byte of JSON; Parquet's are compressed to a fifth or less. */
const BYTES_PER_BYTE = 50;

/**
 * Call one of the readers where it can be stopped: here if its files are small and of a format that cannot surprise, else in a
 * process of its own, with time and memory in proportion to the files' size.
 *
 * @throws SteeringError E_ABORTED, E_BAD_DATASET, E_NOT_FOUND
 */
export async function readBounded<Name extends keyof Readers>(name: Name, input: Parameters<Readers[Name]>[0], paths: readonly string[], signal?: AbortSignal): Promise<Row[]> {
  throwIfAborted(signal);
  const sizes = await Promise.all(paths.map((path) => stat(path).then((found) => (found.isFile() ? found.size : 0), () => 0))); // what is missing is the reader's to tell
  const size = sizes.reduce((sum, each) => sum + each, 0);
  if (size <= HERE_BYTES && paths.every((path) => PLAIN.test(path) || name === "pairs")) return (readers[name] as (given: typeof input) => Promise<Row[]>)(input);
  return runBounded(new URL(`./readers.js#${name}`, import.meta.url), input, {
    milliseconds: BASE_MS + size / SLOWEST_BYTES_PER_MS, bytes: BASE_BYTES + size * BYTES_PER_BYTE, signal,
    refuse: (reason, cause) => bad(paths.join(" and "), undefined, reason, cause),
  });
}
