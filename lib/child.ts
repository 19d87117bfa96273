import { fork, type ChildProcess, type SerializationType } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { unpacked } from "#native/prebuilt";

// Anything that may loop forever, exhaust memory or crash (untrusted models, templates and files; device drivers) runs in its own
// process. A thread is not enough: V8 ends the whole process when a single allocation exceeds a thread's limit.

/** Path of the Node to start, for programs that are their own executable, e.g. Electron with the `runAsNode` fuse disabled. */
const NODE = "LLAMA_STEER_NODE";
/** Set in a child, because in a program that ships as its own executable `fork` would start that program again, endlessly. */
const MARK = "LLAMA_STEER_CHILD";
const TICK_MS = 100;
/** Ctrl-C reaches every process of a terminal, and a service's stop all of its processes; the number is Windows' STATUS_CONTROL_C_EXIT. */
const INTERRUPTS: ReadonlyArray<string | number | null> = ["SIGINT", "SIGTERM", "SIGHUP", 0xc000013a];

export interface ChildOptions {
  /** Flags for Node; the parent's own are not passed on (a debugger's port, for example). */
  flags?: readonly string[];
  /** Environment variables to add, or to remove if undefined. */
  env?: NodeJS.ProcessEnv;
  /** Pipe the child's stderr to the caller; default false: discard it. */
  stderr?: boolean;
  serialization?: SerializationType;
}

/** Starts a module of this package in its own process, with a message channel. Throws if this process is itself such a child. */
export function startChild(
  module: URL, args: readonly string[], { flags = [], env = {}, stderr = false, serialization = "json" }: ChildOptions = {},
): ChildProcess {
  if (process.env[MARK]) throw new Error("this process is itself a child, started in place of Node");
  return fork(unpacked(fileURLToPath(module)), args, {
    execPath: nodePath(), execArgv: [...plugAndPlayFlags(), ...flags], serialization,
    env: { ...process.env, ...env, [MARK]: "1", [NODE]: undefined, NODE_OPTIONS: undefined },
    stdio: ["ignore", "ignore", stderr ? "pipe" : "ignore", "ipc"],
  });
}

/** Flags that let a child find packages under Yarn's Plug'n'Play, which has no node_modules. Yarn passes them in NODE_OPTIONS. */
function plugAndPlayFlags(): string[] {
  if (process.versions["pnp"] === undefined) return [];
  const resolver = createRequire(import.meta.url).resolve("pnpapi");
  const loader = pathToFileURL(join(dirname(resolver), ".pnp.loader.mjs")).href;
  return ["--require", resolver, "--experimental-loader", loader];
}

/** True if a child was interrupted from outside, so its input is not at fault. `end`: the signal or, without one, the exit code. */
export function isInterrupt(end: string | number | null): boolean {
  return INTERRUPTS.includes(end);
}

/** Path of the Node that runs the children. */
export function nodePath(): string {
  return process.env[NODE] || process.execPath;
}

/** Advice for an error message when a child cannot be started. */
export function adviceOnChildren(): string {
  if (process.env[NODE]) return `${NODE} must be the path of a Node 20.19 or later.`;
  const isElectron = process.versions["electron"] !== undefined;
  const why = isElectron ? "Electron with the runAsNode fuse disabled" : "A program that ships as its own executable";
  return `${why} starts itself again instead of Node: set ${NODE} to the path of a Node 20.19 or later (docs/electron.md).`;
}

/**
 * Calls `act` once the time is up; returns a function that cancels it. Time is counted in ticks, so a period in which this process was
 * stopped or the computer asleep counts as at most one tick.
 */
export function afterTicks(milliseconds: () => number, act: () => void): () => void {
  let ticks = 0;
  const timer = setInterval(() => {
    if (++ticks * TICK_MS < milliseconds()) return;
    clearInterval(timer);
    act();
  }, TICK_MS);
  return () => clearInterval(timer);
}
