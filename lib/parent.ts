// How a process that `startChild` started talks to its parent: over Node's channel, or over the port of Electron's utility processes.
import { RECEIVED } from "./utility-child.js";

interface ParentPort {
  on(event: "message", listener: (event: { data: unknown }) => void): void;
  postMessage(message: object): void;
}

const port = (process as { parentPort?: ParentPort }).parentPort;
/** Resolves the promises of messages that the parent has not answered yet, in order. */
const unanswered: Array<() => void> = [];
let expectsAnswers = false;

/** Sends a message. Resolves once the parent will get it even if this process crashes. */
export function sendToParent(message: object | string): Promise<void> {
  return new Promise((resolve) => {
    if (!port) return void process.send!(message, () => resolve());
    if (!expectsAnswers) port.on("message", ({ data }) => { if (data === RECEIVED) unanswered.shift()?.(); });
    expectsAnswers = true;
    unanswered.push(resolve);
    port.postMessage(message as object);
  });
}

/** Call this before the first message is sent: without a listener, messages stay at the port. */
export function onParentMessage(listener: (message: never) => void): void {
  if (!port) process.on("message", listener as (message: unknown) => void);
  else port.on("message", ({ data }) => { if (data !== RECEIVED) listener(data as never); });
}

/** Kills this process when the parent has exited. Electron does so to its utility processes, even while they compute. */
export function endWithParent(): void {
  if (!port) process.once("disconnect", () => process.kill(process.pid, "SIGKILL"));
}
