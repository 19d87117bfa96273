import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
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

/** Set in the reading process: a program that is its own executable would be started again by `fork`, without end. */
const MARK = "LLAMA_STEER_READING";
const TICK_MS = 100;
const MIB = 2 ** 20;

/**
 * Call a function of a module in a process of its own, which ends when time or memory is used up, or when the signal fires.
 * A worker thread would not do: V8 ends the whole process where one allocation exceeds a worker's heap limit.
 *
 * @param url the module; its fragment names the function, e.g. `new URL("./readers.js#alpaca", import.meta.url)`
 * @param input the function's only argument; it and the result are copied as by `structuredClone`
 * @throws SteeringError E_ABORTED, what the function throws as SteeringError, and `bounds.refuse(...)` for everything else
 */
export async function runBounded<Output>(url: URL, input: unknown, { milliseconds, bytes, signal, refuse }: Bounds): Promise<Output> {
  throwIfAborted(signal);
  if (process.env[MARK]) throw refuse("the process that reads it is started by a program that cannot run another JavaScript file");
  const ending = await runChild(url, input, { milliseconds, bytes, signal }).catch((cause: Error) => {
    throw refuse(`the process that reads it cannot be started: ${cause.message}`, cause);
  });
  if (signal?.aborted) throw abortError(signal);
  if (ending.timedOut) throw refuse(`reading it takes more than ${Math.round(milliseconds / 1000)} s`);
  const { report } = ending;
  if (!report) throw refuse(`reading it takes more than ${Math.round(bytes / MIB)} MiB of memory (${ending.how})`);
  if ("output" in report) return report.output as Output;
  const { code, message } = report.error;
  throw code === undefined ? refuse(message) : new SteeringError(code, message);
}

interface Ending {
  report: BoundedReport | undefined;
  timedOut: boolean;
  how: string;
}

function runChild(url: URL, input: unknown, { milliseconds, bytes, signal }: Omit<Bounds, "refuse">): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL("./bounded-child.js", import.meta.url)), [String(bytes), String(milliseconds)], {
      // The caller's flags are for the caller: a debugger's port, for one.
      execArgv: [`--max-old-space-size=${Math.ceil(bytes / MIB)}`], env: { ...process.env, [MARK]: "1" }, stdio: ["ignore", "ignore", "ignore", "ipc"], serialization: "advanced",
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
    // Counted in ticks: time in which this process was stopped, or the computer asleep, makes one at most.
    let ticks = milliseconds / TICK_MS;
    const timer = setInterval(() => {
      if (--ticks > 0 || report) return;
      timedOut = true;
      stop();
    }, TICK_MS);
    signal?.addEventListener("abort", stop, { once: true });
    const settle = (): void => {
      clearInterval(timer);
      signal?.removeEventListener("abort", stop);
    };
    child.on("message", (message: BoundedReport) => {
      report = message;
      stop();
    });
    child.on("error", settle);
    child.once("close", (code, killedBy) => {
      settle();
      resolve({ report, timedOut, how: killedBy ?? `exit code ${code}` });
    });
  });
}
