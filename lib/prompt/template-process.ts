import type { ChildProcess } from "node:child_process";
import { adviceOnChildren, afterTicks, isInterrupt, startChild } from "../child.js";
import { SteeringError } from "../errors.js";
import { READY, type Rendered, type RenderRequest } from "./template-protocol.js";

/** A chat takes milliseconds. */
const PATIENCE_MS = 5_000;
/** For the start of a process on a busy machine. */
const START_MS = 60_000;
const MEGABYTES = 256;

/** The process renders for all models. It starts with the first chat, keeps nothing alive, and ends with its parent. */
let renderer: ChildProcess | undefined;
let queue: Promise<unknown> = Promise.resolve();

/**
 * Render a template in a process of its own: templates come with files from elsewhere, and may loop forever or exhaust
 * memory, which can end a whole process even where a thread has limits. Requests wait for one another.
 *
 * @returns one result per chat
 * @throws SteeringError E_BAD_GGUF where the template takes more than 5 seconds or 256 MB; E_NATIVE where no process starts;
 *   E_ABORTED where the process is interrupted, e.g. by Ctrl-C
 */
export function renderChats(request: RenderRequest, path: string): Promise<Rendered[]> {
  const result = queue.then(() => renderNow(request, path));
  queue = result.catch(() => undefined);
  return result;
}

async function renderNow(request: RenderRequest, path: string): Promise<Rendered[]> {
  const child = renderer?.connected ? renderer : await start();
  renderer = child;
  const answer = await nextMessage(child, PATIENCE_MS, () => child.send(request));
  if ("message" in answer) return answer.message as Rendered[];
  renderer = undefined;
  child.kill("SIGKILL");
  if (answer.failure === "interrupt") throw new SteeringError("E_ABORTED", `the rendering of the chat template of ${path} was interrupted`);
  throw new SteeringError("E_BAD_GGUF", `the chat template of ${path} ${answer.failure === "time"
    ? `does not finish within ${PATIENCE_MS / 1000} s`
    : `needs more than ${MEGABYTES} MB of memory, or ends the process that renders it`}`);
}

async function start(): Promise<ChildProcess> {
  const child = startNode();
  let reason: string | undefined;
  child.on("error", ({ message }) => { reason ??= message; });
  const answer = await nextMessage(child, START_MS, () => undefined);
  if ("message" in answer && answer.message === READY) return child;
  child.kill("SIGKILL");
  const failure = "failure" in answer ? answer.failure : undefined;
  if (failure === "interrupt") throw new SteeringError("E_ABORTED", "the start of the process that renders chat templates was interrupted");
  const isLate = failure === "time";
  throw cannotStart(reason ?? (isLate ? `it does not answer within ${START_MS / 1000} s` : "it ended at once"));
}

/** What a child said, or why it said nothing. */
type Answer = { message: unknown } | { failure: "time" | "end" | "interrupt" };

function startNode(): ChildProcess {
  try {
    return startChild(new URL("./template-child.js", import.meta.url), [String(MEGABYTES)], { flags: [`--max-old-space-size=${MEGABYTES}`] });
  } catch (error) {
    throw cannotStart((error as Error).message);
  }
}

/** The next message, or why there is none. Only while it is waited for does the child keep this process alive. */
function nextMessage(child: ChildProcess, milliseconds: number, ask: () => void): Promise<Answer> {
  return new Promise((resolve) => {
    const settle = (answer: Answer): void => {
      stopWaiting();
      child.off("message", onMessage).off("error", onError).off("exit", onEnd);
      child.unref();
      child.channel?.unref();
      resolve(answer);
    };
    const onMessage = (message: unknown): void => settle({ message });
    const onError = (): void => settle({ failure: "end" });
    const onEnd = (code: number | null, signal: string | null): void => settle({ failure: isInterrupt(signal ?? code) ? "interrupt" : "end" });
    const stopWaiting = afterTicks(() => milliseconds, () => settle({ failure: "time" }));
    child.on("message", onMessage).on("error", onError).on("exit", onEnd);
    child.ref();
    child.channel?.ref();
    ask();
  });
}

function cannotStart(why: string): SteeringError {
  return new SteeringError("E_NATIVE", `the process that renders chat templates cannot be started: ${why}. ${adviceOnChildren()}`);
}
