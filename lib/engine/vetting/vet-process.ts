import { adviceOnChildren, isInterrupt, limitChild, nodePath, startChild, type ChildLimits } from "../../child.js";
import { SteeringError } from "../../errors.js";
import { onAbort, throwIfAborted } from "../abort.js";
import type { VetReport } from "./vet-report.js";

/** How the checking process ended, and its reports. */
interface Ending {
  reports: VetReport[];
  code: number | null;
  signal: NodeJS.Signals | null;
  stderr: string;
  timedOut: boolean;
}

/** Enough for the assertion that llama.cpp prints before it aborts. */
const STDERR_CHARACTERS = 8192;
const CHILD_ENVIRONMENT: NodeJS.ProcessEnv = {
  LLAMA_STEER_DEBUG: undefined, // the caller's own load logs the same messages
  // No devices: if one is out of memory, that does not mean that the file is bad.
  CUDA_VISIBLE_DEVICES: "", GGML_VK_VISIBLE_DEVICES: "", LLAMA_STEER_RPC: undefined,
  GGML_NO_BACKTRACE: "1",
};

/** Limits of the checking process. A program started instead of Node never starts to check. */
export interface VetLimits extends ChildLimits {
  /** Memory in bytes, including the mapped file. */
  bytes: number;
}

/**
 * Loads a GGUF in a separate process, on the CPU, and computes a little with it. Returns true if everything was tried; a failure after
 * loading that is not a crash may have causes other than the file.
 *
 * @throws SteeringError E_BAD_GGUF (llama.cpp refuses the file, crashes on it, or does not finish), E_NATIVE (the process cannot be
 *   started), E_ABORTED (it was interrupted)
 */
export async function tryInChild(path: string, limits: VetLimits, signal?: AbortSignal): Promise<boolean> {
  throwIfAborted(signal);
  const ending = await runChild(path, limits, signal).catch((error: Error) => { throw cannotStart(error.message, error); });
  throwIfAborted(signal);
  const refusal = ending.reports.find((report) => report.stage === "refused");
  if (refusal) throw new SteeringError(refusal.code, refusal.message);
  const last = ending.reports.at(-1);
  if (last?.stage === "computed") return last.failure === undefined;
  const how = ending.signal ?? exitCodeText(ending.code);
  if (isInterrupt(ending.signal ?? ending.code)) throw new SteeringError("E_ABORTED", `checking ${path} was interrupted (${how})`);
  if (!last) throw cannotStart(ending.timedOut ? "it did not answer" : `it ended with ${how}${reason(ending.stderr)}`);
  throw new SteeringError("E_BAD_GGUF", complaint(path, ending, how, last.stage === "loaded" ? "works with" : "loads", limits));
}

function complaint(path: string, { timedOut, signal, stderr }: Ending, how: string, doing: string, limits: VetLimits): string {
  if (timedOut) {
    const seconds = Math.round(limits.milliseconds / 1000);
    return `llama.cpp did not finish with ${path} within ${seconds} s: the file is damaged, or the disk is too slow`;
  }
  if (signal === "SIGKILL") {
    return `the process that checks ${path} was killed while it ${doing} it (SIGKILL): most likely memory ran out, because the file is `
      + "damaged or the model is too large";
  }
  return `llama.cpp crashes when it ${doing} ${path} (${how}${reason(stderr)}): the file is damaged, or llama.cpp cannot run this model`;
}

function runChild(path: string, limits: VetLimits, signal: AbortSignal | undefined): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const module = new URL("./vet-child.js", import.meta.url);
    const ending: Ending = { reports: [], code: null, signal: null, stderr: "", timedOut: false };
    const onStderr = (text: string): void => {
      if (ending.stderr.length < STDERR_CHARACTERS) ending.stderr += text;
    };
    const child = startChild(module, [path, String(limits.bytes)], { onStderr, env: CHILD_ENVIRONMENT });
    const forget = onAbort(signal, () => { child.kill("SIGKILL"); });
    const stopWaiting = limitChild(child, limits, () => {
      ending.timedOut = true;
      child.kill("SIGKILL");
    });
    child.on("message", (report: VetReport) => ending.reports.push(report));
    child.on("error", (error) => {
      stopWaiting();
      forget();
      reject(error);
    });
    // Not "exit": at that point its last messages may still be on their way.
    child.once("close", (code, killedBy) => {
      stopWaiting();
      forget();
      resolve({ ...ending, code, signal: killedBy });
    });
  });
}

/** The assertion or exception that ended the process, without the build machine's folders. */
function reason(stderr: string): string {
  const line = stderr.split("\n").find((text) => /:\d+: |what\(\)|Error: /.test(text));
  const words = line?.replace(/^\s*(what\(\): *|(.*[\\/])?(?=[^\\/]+:\d+: ))/, "").trim();
  return words ? `, ${words}` : "";
}

function exitCodeText(code: number | null): string {
  return `exit code ${code !== null && code > 255 ? `0x${code.toString(16)}` : code}`;
}

function cannotStart(why: string, cause?: Error): SteeringError {
  return new SteeringError("E_NATIVE", `the process that checks model files before loading cannot be started with ${nodePath()}: ${why}. `
    + `${adviceOnChildren()} For files that are known to be good, loadModel's option vet: false skips the check`, { cause });
}
