import { adviceOnChildren, afterTicks, isInterrupt, START_MS, startChild, type Child } from "../child.js";
import { SteeringError } from "../errors.js";
import { READY, type Rendered, type RenderRequest } from "./template-protocol.js";

/** Normally, rendering a chat takes milliseconds. */
const PATIENCE_MS = 5_000;
const MEGABYTES = 256;

/** One process renders for all models. It starts with the first chat, does not keep its parent alive, and ends with it. */
let renderer: Child | undefined;
let queue: Promise<unknown> = Promise.resolve();

/**
 * Renders a template in a separate process: templates come from untrusted files and may loop forever or exhaust memory, which can end the
 * whole process even if a thread has limits. Requests run one after the other.
 *
 * @returns one result per chat
 * @throws SteeringError E_BAD_GGUF if the template takes more than 5 seconds or 256 MB; E_NATIVE if no process starts; E_ABORTED if the
 *   process is interrupted, e.g. by Ctrl-C
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
  if (answer.failure === "interrupt") throw new SteeringError("E_ABORTED", `rendering the chat template of ${path} was interrupted`);
  throw new SteeringError("E_BAD_GGUF", `the chat template of ${path} ${answer.failure === "time"
    ? `does not finish within ${PATIENCE_MS / 1000} s`
    : `needs more than ${MEGABYTES} MB of memory, or crashes the process that renders it`}`);
}

async function start(): Promise<Child> {
  const child = startNode();
  let reason: string | undefined;
  child.on("error", ({ message }) => { reason ??= message; });
  const answer = await nextMessage(child, START_MS, () => undefined);
  if ("message" in answer && answer.message === READY) return child;
  child.kill("SIGKILL");
  const failure = "failure" in answer ? answer.failure : undefined;
  if (failure === "interrupt") throw new SteeringError("E_ABORTED", "starting the process that renders chat templates was interrupted");
  const isLate = failure === "time";
  throw cannotStart(reason ?? (isLate ? `it did not answer within ${START_MS / 1000} s` : "it exited immediately"));
}

/** A child's message, or why there was none. */
type Answer = { message: unknown } | { failure: "time" | "end" | "interrupt" };

function startNode(): Child {
  try {
    const flags = [`--max-old-space-size=${MEGABYTES}`];
    return startChild(new URL("./template-child.js", import.meta.url), [String(MEGABYTES)], { flags });
  } catch (error) {
    throw cannotStart((error as Error).message);
  }
}

/** Waits for the child's next message. The child keeps this process alive only during that wait. */
function nextMessage(child: Child, milliseconds: number, ask: () => void): Promise<Answer> {
  return new Promise((resolve) => {
    const settle = (answer: Answer): void => {
      stopWaiting();
      child.off("message", onMessage).off("error", onError).off("close", onEnd);
      child.unref();
      channelOf(child)?.unref?.();
      resolve(answer);
    };
    const onMessage = (message: unknown): void => settle({ message });
    const onError = (): void => settle({ failure: "end" });
    const onEnd = (code: number | null, signal: string | null): void =>
      settle({ failure: isInterrupt(signal ?? code) ? "interrupt" : "end" });
    const stopWaiting = afterTicks(milliseconds, () => settle({ failure: "time" }));
    child.on("message", onMessage).on("error", onError).on("close", onEnd);
    child.ref();
    channelOf(child)?.ref?.();
    ask();
  });
}

/** In Bun the channel has neither method; `child.unref()` is enough there. */
function channelOf({ channel }: Child): { ref?: () => void; unref?: () => void } | null | undefined {
  return channel;
}

function cannotStart(why: string): SteeringError {
  return new SteeringError("E_NATIVE", `the process that renders chat templates cannot be started: ${why}. ${adviceOnChildren()}`);
}
