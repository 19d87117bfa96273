import { fork, type SerializationType } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { isMainThread } from "node:worker_threads";
import { unpacked } from "#native/prebuilt";
import { UtilityChild } from "./utility-child.js";

// Anything that may loop forever, exhaust memory or crash (untrusted models, templates and files; device drivers) runs in its own
// process. A thread is not enough: V8 ends the whole process when a single allocation exceeds a thread's limit. It is a Node, or, in
// Electron's main process, a utility process: those also start with the `runAsNode` fuse off.

/** Path of the Node to start, for programs that are their own executable, e.g. Electron with the `runAsNode` fuse disabled. */
const NODE = "LLAMA_STEER_NODE";
/** Set in a child, because in a program that ships as its own executable `fork` would start that program again, endlessly. */
const MARK = "LLAMA_STEER_CHILD";
/** Time for a child to start and to load its modules: with Yarn's Plug'n'Play, that took over a minute on a machine with a load of 20. */
export const START_MS = 300_000;
const TICK_MS = 100;
/** Ctrl-C reaches every process of a terminal, and a service's stop all of its processes; the number is Windows' STATUS_CONTROL_C_EXIT. */
const INTERRUPTS: ReadonlyArray<string | number | null> = ["SIGINT", "SIGTERM", "SIGHUP", 0xc000013a];

export interface ChildOptions {
  /** Flags for Node; the parent's own are not passed on (a debugger's port, for example). Utility processes take none. */
  flags?: readonly string[];
  /** Environment variables to add, or to remove if undefined. */
  env?: NodeJS.ProcessEnv;
  /** Gets what the child prints to stderr; default: discard it. */
  onStderr?: (text: string) => void;
  /** How Node copies messages; utility processes copy as "advanced" does. */
  serialization?: SerializationType;
}

interface ChildEvents {
  message: [message: never];
  error: [error: Error];
  close: [code: number | null, signal: NodeJS.Signals | null];
}

/** A process of our own; its module uses lib/parent.ts. Emits "error" if it cannot be started, and "close" when it has ended. */
export interface Child {
  readonly connected: boolean;
  on<Event extends keyof ChildEvents>(event: Event, listener: (...args: ChildEvents[Event]) => void): this;
  once<Event extends keyof ChildEvents>(event: Event, listener: (...args: ChildEvents[Event]) => void): this;
  off<Event extends keyof ChildEvents>(event: Event, listener: (...args: ChildEvents[Event]) => void): this;
  send(message: object, sent?: () => void): unknown;
  kill(signal: "SIGKILL"): unknown;
  /** Whether this process waits for the child, like its channel. */
  ref(): void;
  unref(): void;
  readonly channel?: { ref(): void; unref(): void } | null;
}

/** Starts a module of this package in its own process, with a message channel. Throws if this process is itself such a child. */
export function startChild(
  module: URL, args: readonly string[], { flags = [], env = {}, onStderr, serialization = "json" }: ChildOptions = {},
): Child {
  if (process.env[MARK]) throw new Error("this process is itself a child, started in place of Node");
  const path = fileURLToPath(readableByChildren(module));
  const environment = { ...process.env, ...env, [MARK]: "1", [NODE]: undefined, NODE_OPTIONS: undefined };
  if (!process.env[NODE] && isElectronMain()) return new UtilityChild(path, args, environment, onStderr);
  const child = fork(path, args, {
    execPath: nodePath(), execArgv: [...plugAndPlayFlags(), ...flags], serialization, env: environment,
    stdio: ["ignore", "ignore", onStderr ? "pipe" : "ignore", "ipc"],
  });
  if (onStderr) child.stderr?.setEncoding("utf8").on("data", onStderr);
  return child;
}

/** The URL of a module where children can read it: Electron reads asar archives, which hold what the module imports, and Node does not. */
export function readableByChildren(module: URL): URL {
  return process.env[NODE] ? new URL(unpacked(module.href)) : module;
}

function isElectronMain(): boolean {
  return process.versions["electron"] !== undefined && (process as { type?: string }).type === "browser" && isMainThread;
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
  if (isElectronMain()) return "See docs/electron.md.";
  const node = `set ${NODE} to the path of a Node 20.19 or later (docs/electron.md).`;
  const isElectron = process.versions["electron"] !== undefined;
  if (!isElectron) return `A program that ships as its own executable starts itself instead of Node: ${node}`;
  return `With the runAsNode fuse disabled, only Electron's main process can start others: load models there, or ${node}`;
}

/**
 * Calls `act` once the time is up; returns a function that cancels it. Time is counted in ticks, so a period in which this process was
 * stopped or the computer asleep counts as at most one tick.
 */
export function afterTicks(milliseconds: number, act: () => void): () => void {
  let ticks = 0;
  const timer = setInterval(() => {
    if (++ticks * TICK_MS < milliseconds) return;
    clearInterval(timer);
    act();
  }, TICK_MS);
  return () => clearInterval(timer);
}

/** Time limits of a child, in milliseconds. */
export interface ChildLimits {
  /** Default: `START_MS`. */
  startMilliseconds?: number;
  /** Time from the child's first message, which it sends once it has loaded its modules. */
  milliseconds: number;
}

/** Calls `act` if the child exceeds one of its time limits, counted in ticks; returns a function that cancels this. */
export function limitChild(child: Child, { startMilliseconds = START_MS, milliseconds }: ChildLimits, act: () => void): () => void {
  let cancel = afterTicks(startMilliseconds, act);
  const onStarted = (): void => {
    cancel();
    cancel = afterTicks(milliseconds, act);
  };
  child.once("message", onStarted);
  return () => {
    child.off("message", onStarted);
    cancel();
  };
}
