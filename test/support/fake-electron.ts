// Preloaded into a Node (`--import`), makes it look like Electron's main process: what it does was seen in Electron 33. Its utility
// processes are Nodes that preload fake-utility.ts. The variable FAKE_ELECTRON_READY=no is for an Electron that is not ready yet.
import { fork, type ChildProcess } from "node:child_process";
import { EventEmitter } from "node:events";
import Module from "node:module";
import { constants } from "node:os";
import { PassThrough, type Readable } from "node:stream";
import { isMainThread } from "node:worker_threads";

const { execPath } = process; // tests set another one
const isReady = process.env["FAKE_ELECTRON_READY"] !== "no";

class UtilityProcess extends EventEmitter {
  readonly stderr: PassThrough | null;
  private readonly child: ChildProcess;
  private isSpawned = false;

  constructor(path: string, args: string[], { env, stdio }: { env: NodeJS.ProcessEnv; stdio: Array<"ignore" | "pipe"> }) {
    super();
    if (!isReady) process.abort();
    if (Object.values(env).includes(undefined)) throw new TypeError("Error processing argument");
    const preload = new URL("./fake-utility.js", import.meta.url).href;
    const execArgv = ["--import", preload];
    this.child = fork(path, args, { env, execPath, execArgv, serialization: "advanced", stdio: [...stdio, "ipc"] });
    this.stderr = this.child.stderr && late(this.child.stderr);
    this.child.on("spawn", () => {
      this.isSpawned = true;
      this.emit("spawn");
    });
    this.child.on("message", (message) => this.emit("message", message));
    this.child.on("exit", (code, signal) => {
      this.emit("exit", signal ? constants.signals[signal] : code);
      this.stderr?.removeAllListeners("data").removeAllListeners("end");
    });
  }

  postMessage(message: object): void {
    this.child.send(message, () => undefined);
  }

  kill(): boolean {
    return this.isSpawned && this.child.kill("SIGKILL");
  }
}

/** What a process wrote before it crashed can arrive after its "exit". */
function late(stream: Readable): PassThrough {
  const output = new PassThrough();
  stream.on("data", (data) => setTimeout(() => output.write(data), 200)).on("end", () => setTimeout(() => output.end(), 201));
  return output;
}

if (isMainThread) {
  Object.assign(process, { type: "browser" });
  Object.defineProperty(process.versions, "electron", { value: "33.2.1" });
  const electron = {
    app: { isReady: () => isReady },
    utilityProcess: { fork: (...args: ConstructorParameters<typeof UtilityProcess>) => new UtilityProcess(...args) },
  };
  const modules = Module as unknown as { _load: (name: string, ...rest: unknown[]) => unknown };
  const load = modules._load;
  modules._load = (name, ...rest) => (name === "electron" ? electron : load(name, ...rest));
}
