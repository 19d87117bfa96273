import { fork, type ChildProcess, type SerializationType } from "node:child_process";
import { fileURLToPath } from "node:url";
import { unpacked } from "#native/prebuilt";

// What may loop for ever, exhaust memory or end its process (foreign models, templates and files, a device's driver) runs in a
// process of its own. A thread would not do: V8 ends the whole process where one allocation exceeds a thread's limit.

/** Names a Node to start, for programs that are their own executable: Electron with the fuse `runAsNode` off, a single executable. */
const NODE = "LLAMA_STEER_NODE";
/** Set in a child: a program that is its own executable would be started again by `fork`, without end. */
const MARK = "LLAMA_STEER_CHILD";
const TICK_MS = 100;
/** Ctrl-C reaches all processes of a terminal, a service's end all of the service; the number is Windows' STATUS_CONTROL_C_EXIT. */
const INTERRUPTS: ReadonlyArray<string | number | null> = ["SIGINT", "SIGTERM", "SIGHUP", 0xc000013a];

export interface ChildOptions {
  /** Flags for Node; the caller's own are not passed on: a debugger's port, for one. */
  flags?: readonly string[];
  /** Variables to add, or to leave out where undefined. */
  env?: NodeJS.ProcessEnv;
  /** Read what the child prints to stderr. Default: nobody does. */
  stderr?: boolean;
  serialization?: SerializationType;
}

/** Start a module of this package in a process of its own, with a channel for messages. Throws where this process is such a child. */
export function startChild(module: URL, args: readonly string[], { flags = [], env = {}, stderr = false, serialization = "json" }: ChildOptions = {}): ChildProcess {
  if (process.env[MARK]) throw new Error("this process is itself a child that was started in place of Node");
  return fork(unpacked(fileURLToPath(module)), args, {
    execPath: nodePath(), execArgv: [...flags], serialization,
    env: { ...process.env, ...env, [MARK]: "1", [NODE]: undefined, NODE_OPTIONS: undefined },
    stdio: ["ignore", "ignore", stderr ? "pipe" : "ignore", "ipc"],
  });
}

/** True where a child ended because somebody stopped it: what it worked on is not at fault. `end`: its signal, or else its exit code. */
export function isInterrupt(end: string | number | null): boolean {
  return INTERRUPTS.includes(end);
}

/** Path of the Node that children run on. */
export function nodePath(): string {
  return process.env[NODE] || process.execPath;
}

/** What to do where a child cannot be started. */
export function adviceOnChildren(): string {
  if (process.env[NODE]) return `${NODE} must be the path of a Node 20.19 or later.`;
  const why = process.versions["electron"] === undefined ? "A program that is its own executable" : "Electron with the fuse runAsNode off";
  return `${why} starts itself again instead of Node: set ${NODE} to the path of a Node 20.19 or later (docs/electron.md).`;
}

/** Call `act` once the time is over; returns what stops that. Counted in ticks: time in which this process was stopped, or the computer asleep, makes one at most. */
export function afterTicks(milliseconds: () => number, act: () => void): () => void {
  let ticks = 0;
  const timer = setInterval(() => {
    if (++ticks * TICK_MS < milliseconds()) return;
    clearInterval(timer);
    act();
  }, TICK_MS);
  return () => clearInterval(timer);
}
