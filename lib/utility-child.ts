import { EventEmitter } from "node:events";
import { createRequire } from "node:module";
import { constants } from "node:os";
import type { Readable } from "node:stream";

/** The answer to every message of a utility process, which may have crashed since. */
export const RECEIVED = "llama-steer: received";

/** What we use of Electron. */
interface Electron {
  app: { isReady(): boolean };
  utilityProcess: { fork(path: string, args: readonly string[], options: object): UtilityProcess };
}

interface UtilityProcess extends EventEmitter {
  readonly stderr: Readable | null;
  postMessage(message: unknown): void;
  /** Returns false if the process has not been spawned. */
  kill(): boolean;
}

/** Time for the end of stderr after a process has ended: a process that it started may keep it open. */
const REST_MS = 1000;

/** A utility process of Electron, with the part of a ChildProcess's interface that we use. Only Electron's main process can start one. */
export class UtilityChild extends EventEmitter {
  connected = true;
  private readonly child: UtilityProcess;
  private isKilled = false;

  /** Throws before Electron's `ready` event: Electron would crash. */
  constructor(path: string, args: readonly string[], env: NodeJS.ProcessEnv, onStderr?: (text: string) => void) {
    super();
    const { app, utilityProcess } = createRequire(import.meta.url)("electron") as Electron;
    if (!app.isReady()) throw new Error("Electron is not ready: wait for app.whenReady() before the first call");
    this.child = utilityProcess.fork(path, args, {
      serviceName: "llama-steer", env: withoutUndefined(env), stdio: ["ignore", "ignore", onStderr ? "pipe" : "ignore"],
    });
    const { stderr } = this.child;
    stderr?.setEncoding("utf8").on("data", onStderr!);
    this.child.on("message", (message) => {
      this.child.postMessage(RECEIVED);
      this.emit("message", message);
    });
    this.child.on("error", () => undefined); // V8 ran out of memory, for example; "exit" follows
    this.child.once("exit", (code: number) => {
      this.connected = false;
      const close = (): void => {
        clearTimeout(timer);
        this.emit("close", ...(this.isKilled ? [null, "SIGKILL"] : endOf(code)));
      };
      const timer = setTimeout(close, stderr && !stderr.readableEnded ? REST_MS : 0);
      // After this event Electron removes the listeners of stderr, which may hold more.
      process.nextTick(() => {
        stderr?.off("data", onStderr!).on("data", onStderr!).once("end", close);
      });
    });
  }

  /** Sends a copy. Throws if the message cannot be copied. */
  send(message: object): void {
    if (this.connected) this.child.postMessage(structuredClone(message));
  }

  kill(): void {
    this.isKilled = true;
    if (!this.child.kill()) this.child.once("spawn", () => this.child.kill());
  }

  /** An application ends when it quits, whatever its processes do. */
  ref(): void {}

  unref(): void {}
}

function withoutUndefined(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined));
}

/** Exit code and signal. Except on Windows, Electron gives the exit code or what `waitpid` says: a signal, or 256 times the exit code. */
function endOf(status: number): [code: number | null, signal: NodeJS.Signals | null] {
  if (process.platform === "win32") return [status >>> 0, null];
  if (status > 255) return [status >> 8, null];
  // The signal 1, SIGHUP, is an uncaught error's exit code. Bit 7 tells that there is a core dump.
  const signal = Object.entries(constants.signals).find(([, number]) => number > 1 && number === (status & 127));
  return signal ? [null, signal[0] as NodeJS.Signals] : [status, null];
}
