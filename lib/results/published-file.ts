import { SteeringError } from "../errors.js";
import { runBounded, readUtf8 } from "../formats/index.js";
import { fromPublished } from "./published.js";
import type { ResultRecord } from "./records.js";
import type { RunFile } from "./run-file.js";
import type { ReadRunOptions } from "./store.js";

/** The largest published file has 4 MB. */
const MAX_BYTES = 2 ** 28;
/** Time and memory for a file of that size. */
const READING = { milliseconds: 60_000, bytes: 2 ** 32 };

/**
 * Read a file of the published code as a run, as `fromPublished` does.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_RUN naming the entry, E_ABORTED
 */
export async function readPublished(path: string, { signal }: ReadRunOptions = {}): Promise<{ run: RunFile; records: ResultRecord[] }> {
  return runBounded(new URL("./published-file.js#readPublishedHere", import.meta.url), path, {
    ...READING, signal, refuse: (reason, cause) => new SteeringError("E_BAD_RUN", `${path}: ${reason}`, { cause }),
  });
}

/** The same in this process. */
export async function readPublishedHere(path: string): Promise<{ run: RunFile; records: ResultRecord[] }> {
  const text = await readUtf8(path, "E_BAD_RUN", MAX_BYTES);
  let json: unknown;
  try {
    // Python writes what is no number as NaN and Infinity; within texts they stay.
    json = JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?(?:NaN|Infinity)/g, (found) => (found.startsWith('"') ? found : "null")));
  } catch (cause) {
    throw new SteeringError("E_BAD_RUN", `${path} is not JSON: ${(cause as Error).message}`, { cause });
  }
  return fromPublished(json, path);
}
