import { adviceOnChildren, isInterrupt, limitChild, readableByChildren, startChild, START_MS, type ChildLimits } from "../child.js";
import { abortError, SteeringError, throwIfAborted, type ErrorCode } from "../errors.js";

/** Limits for reading an untrusted file. */
export interface Bounds extends ChildLimits {
  /** Memory of the reading process. */
  bytes: number;
  signal?: AbortSignal | undefined;
  /** Creates the error for input that exceeds the limits or that the function cannot read. */
  refuse: (reason: string, cause?: unknown) => SteeringError;
}

/** The messages that the reading process sends: one when it has loaded the function, and the result. */
export type BoundedMessage = "ready" | BoundedReport;
export type BoundedReport =
  | { output: unknown }
  | { error: { code?: ErrorCode; message: string } };

const MIB = 2 ** 20;

/**
 * Call a module's function in a child process, which is killed when it exceeds its time or memory, or when the signal aborts. The time
 * begins once the module is loaded.
 *
 * @param url the module; its fragment names the function, e.g. `new URL("./readers.js#alpaca", import.meta.url)`
 * @param input the function's only argument; input and result are copied as by `structuredClone`
 * @throws SteeringError E_ABORTED (also if the child is interrupted), any SteeringError that the function throws, and
 *   `bounds.refuse(...)` for everything else
 */
export async function runBounded<Output>(url: URL, input: unknown, bounds: Bounds): Promise<Output> {
  const { startMilliseconds = START_MS, milliseconds, bytes, signal, refuse } = bounds;
  throwIfAborted(signal);
  const ending = await runChild(url, input, bounds).catch((cause: Error) => {
    throw cannotStart(refuse, cause.message, cause);
  });
  if (signal?.aborted) throw abortError(signal);
  const { hasStarted, report, timedOut, end } = ending;
  if (timedOut && !hasStarted) throw cannotStart(refuse, `it was not ready within ${Math.round(startMilliseconds / 1000)} s`);
  if (timedOut) throw refuse(`reading it takes more than ${Math.round(milliseconds / 1000)} s`);
  const how = typeof end === "string" ? end : `exit code ${end}`;
  if (!report && isInterrupt(end)) throw new SteeringError("E_ABORTED", refuse(`reading it was interrupted (${how})`).message);
  if (!hasStarted) throw cannotStart(refuse, `it ended with ${how}`);
  if (!report) throw refuse(`reading it takes more than ${Math.round(bytes / MIB)} MiB of memory (${how})`);
  if ("output" in report) return report.output as Output;
  const { code, message } = report.error;
  throw code === undefined ? refuse(message) : new SteeringError(code, message);
}

function cannotStart(refuse: Bounds["refuse"], why: string, cause?: Error): SteeringError {
  return refuse(`cannot start the process that reads it: ${why}. ${adviceOnChildren()}`, cause);
}

interface Ending {
  hasStarted: boolean;
  report: BoundedReport | undefined;
  timedOut: boolean;
  /** The signal that killed the process, else its exit code. */
  end: string | number | null;
}

function runChild(url: URL, input: unknown, bounds: Omit<Bounds, "refuse">): Promise<Ending> {
  const { startMilliseconds = START_MS, milliseconds, bytes, signal } = bounds;
  return new Promise((resolve, reject) => {
    const child = startChild(new URL("./bounded-child.js", import.meta.url), [bytes, startMilliseconds, milliseconds].map(String), {
      flags: [`--max-old-space-size=${Math.ceil(bytes / MIB)}`], serialization: "advanced",
    });
    let hasStarted = false;
    let report: BoundedReport | undefined;
    let timedOut = false;
    const stop = (): void => { child.kill("SIGKILL"); };
    child.on("error", reject);
    try {
      child.send({ module: readableByChildren(url).href, input }, () => undefined); // "close" reports a child that has already exited
    } catch (error) {
      stop(); // the input cannot be copied
      throw error;
    }
    const stopWaiting = limitChild(child, bounds, () => {
      if (report) return;
      timedOut = true;
      stop();
    });
    signal?.addEventListener("abort", stop, { once: true });
    const settle = (): void => {
      stopWaiting();
      signal?.removeEventListener("abort", stop);
    };
    child.on("message", (message: BoundedMessage) => {
      hasStarted = true;
      if (message === "ready") return;
      report = message;
      stop();
    });
    child.on("error", settle);
    child.once("close", (code, killedBy) => {
      settle();
      resolve({ hasStarted, report, timedOut, end: killedBy ?? code });
    });
  });
}
