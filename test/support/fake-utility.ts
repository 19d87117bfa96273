// Preloaded into a Node, makes it look like a utility process of Electron: messages go over a port, and those that have not left yet are
// lost in a crash. It ends with its parent, as Electron's do.
import { EventEmitter } from "node:events";
import { isMainThread } from "node:worker_threads";

if (isMainThread) {
  const send = process.send!.bind(process);
  const port = Object.assign(new EventEmitter(), { postMessage: (message: object): void => void setTimeout(() => send(message), 20) });
  process.once("disconnect", () => process.kill(process.pid, "SIGKILL"));
  port.once("newListener", () => process.on("message", (data) => port.emit("message", { data })));
  Object.assign(process, { type: "utility", parentPort: port, send: undefined });
}
