// How a process that `startChild` started talks to its parent: over Node's channel, or over the port of Electron's utility processes.
// Only for modules of such processes: importing it starts the port.
import { EventEmitter } from "node:events";
import { RECEIVED } from "./utility-child.js";

interface ParentPort {
  on(event: "message", listener: (event: { data: object }) => void): void;
  postMessage(message: object): void;
}

const port = (process as { parentPort?: ParentPort }).parentPort;
const messages = new EventEmitter();
/** Resolves the promises of messages that the parent has not answered yet, in order. */
const unanswered: Array<() => void> = [];
port?.on("message", ({ data }) => {
  if (data as unknown === RECEIVED) unanswered.shift()?.();
  else messages.emit("message", data);
});

/** Sends a message. Resolves once the parent will get it even if this process crashes. */
export function sendToParent(message: object | string): Promise<void> {
  return new Promise((resolve) => {
    if (!port) return void process.send!(message, () => resolve());
    unanswered.push(resolve);
    port.postMessage(message as object);
  });
}

export function onParentMessage(listener: (message: never) => void): void {
  (port ? messages : process).on("message", listener as (message: unknown) => void);
}

/** Kills this process when the parent has exited. Electron does so to its utility processes, even while they compute. */
export function endWithParent(): void {
  if (!port) process.once("disconnect", () => process.kill(process.pid, "SIGKILL"));
}
