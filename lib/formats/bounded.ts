import { adviceOnChildren, afterTicks, isInterrupt, startChild } from "../child.js";
import { abortError, SteeringError, throwIfAborted, type ErrorCode } from "../errors.js";

/** What reading a foreign file may take. */
export interface Bounds {
  milliseconds: number;
  /** Memory of the process that reads. */
  bytes: number;
  signal?: AbortSignal | undefined;
  /** Makes the error for input that exceeds the bounds, or that the function cannot read. */
  refuse: (reason: string, cause?: unknown) => SteeringError;
}

/** What the reading process sends. */
export type BoundedReport =
  | { output: unknown }
  | { error: { code?: ErrorCode; message: string } };

const MIB = 2 ** 20;

/**
 * Call a function of a module in a process of its own, which ends when time or memory is used up, or when the signal fires.
 *
 * @param url the module; its fragment names the function, e.g. `new URL("./readers.js#alpaca", import.meta.url)`
 * @param input the function's only argument; it and the result are copied as by `structuredClone`
 * @throws SteeringError E_ABORTED (also where the process is interrupted), what the function throws as SteeringError, and
 *   `bounds.refuse(...)` for everything else
 */
export async function runBounded<Output>(url: URL, input: unknown, { milliseconds, bytes, signal, refuse }: Bounds): Promise<Output> {
  throwIfAborted(signal);
  const ending = await runChild(url, input, { milliseconds, bytes, signal }).catch((cause: Error) => {
    throw refuse(`the process that reads it cannot be started: ${cause.message}. ${adviceOnChildren()}`, cause);
  });
  if (signal?.aborted) throw abortError(signal);
  if (ending.timedOut) throw refuse(`reading it takes more than ${Math.round(milliseconds / 1000)} s`);
  const { report, end } = ending;
  const how = typeof end === "string" ? end : `exit code ${end}`;
  if (!report && isInterrupt(end)) throw new SteeringError("E_ABORTED", refuse(`reading it was interrupted (${how})`).message);
  if (!report) throw refuse(`reading it takes more than ${Math.round(bytes / MIB)} MiB of memory (${how})`);
  if ("output" in report) return report.output as Output;
  const { code, message } = report.error;
  throw code === undefined ? refuse(message) : new SteeringError(code, message);
}

interface Ending {
  report: BoundedReport | undefined;
  timedOut: boolean;
  /** Its signal, or else its exit code. */
  end: string | number | null;
}

function runChild(url: URL, input: unknown, { milliseconds, bytes, signal }: Omit<Bounds, "refuse">): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const child = startChild(new URL("./bounded-child.js", import.meta.url), [String(bytes), String(milliseconds)], {
      flags: [`--max-old-space-size=${Math.ceil(bytes / MIB)}`], serialization: "advanced",
    });
    let report: BoundedReport | undefined;
    let timedOut = false;
    const stop = (): void => { child.kill("SIGKILL"); };
    child.on("error", reject);
    try {
      child.send({ module: url.href, input }, () => undefined); // one that ended before is told by "close"
    } catch (error) {
      stop(); // what cannot be copied
      throw error;
    }
    const stopWaiting = afterTicks(() => milliseconds, () => {
      if (report) return;
      timedOut = true;
      stop();
    });
    signal?.addEventListener("abort", stop, { once: true });
    const settle = (): void => {
      stopWaiting();
      signal?.removeEventListener("abort", stop);
    };
    child.on("message", (message: BoundedReport) => {
      report = message;
      stop();
    });
    child.on("error", settle);
    child.once("close", (code, killedBy) => {
      settle();
      resolve({ report, timedOut, end: killedBy ?? code });
    });
  });
}
