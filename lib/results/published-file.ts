import { SteeringError } from "../errors.js";
import { runBounded, readUtf8 } from "../formats/index.js";
import { fromPublished } from "./published.js";
import type { ResultRecord } from "./records.js";
import type { RunFile } from "./run-file.js";
import type { ReadRunOptions } from "./store.js";

/** The largest published file is 4 MB. */
const MAX_BYTES = 2 ** 28;
/** Time and memory limits for a file of that size. */
const READING = { milliseconds: 60_000, bytes: 2 ** 32 };

/**
 * Read a results file written by the published code as a run, like `fromPublished`.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_RUN naming the entry, E_ABORTED
 */
export async function readPublished(path: string, { signal }: ReadRunOptions = {}): Promise<{ run: RunFile; records: ResultRecord[] }> {
  return runBounded(new URL("./published-file.js#readPublishedHere", import.meta.url), path, {
    ...READING, signal, refuse: (reason, cause) => new SteeringError("E_BAD_RUN", `${path}: ${reason}`, { cause }),
  });
}

/** As `readPublished`, but in this process. */
export async function readPublishedHere(path: string): Promise<{ run: RunFile; records: ResultRecord[] }> {
  const text = await readUtf8(path, "E_BAD_RUN", MAX_BYTES);
  let json: unknown;
  try {
    // Python writes NaN and Infinity, which JSON does not allow. The same words inside strings must stay.
    json = JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?(?:NaN|Infinity)/g, (found) => (found.startsWith('"') ? found : "null")));
  } catch (cause) {
    throw new SteeringError("E_BAD_RUN", `${path} is not JSON: ${(cause as Error).message}`, { cause });
  }
  return fromPublished(json, path);
}
