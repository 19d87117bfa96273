import { spawn, type ChildProcessByStdio } from "node:child_process";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

const CLI = fileURLToPath(new URL("../../bin/llama-steer.js", import.meta.url));

export interface Outcome {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  cwd: string;
  /** Sent as soon as stderr matches. */
  interrupt?: { when: RegExp; signal: NodeJS.Signals };
  /** Killed outright after so many milliseconds. */
  killAfter?: number;
  env?: NodeJS.ProcessEnv;
  /** Standard input; empty by default. */
  input?: Buffer;
}

/** Run the command line in a process of its own. */
export function runCommand(args: readonly string[], { cwd, interrupt, killAfter, env, input }: CommandOptions): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...args], { cwd, env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined, ...env } });
    child.stdin.on("error", () => undefined).end(input); // one that ends early does not read it
    const timer = killAfter === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), killAfter);
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (data: Buffer) => { stdout += data.toString(); });
    child.stderr.on("data", (data: Buffer) => {
      stderr += data.toString();
      if (!child.killed && interrupt?.when.test(stderr)) child.kill(interrupt.signal);
    });
    child.on("error", reject).on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout, stderr });
    });
  });
}

/** Starts the command line and returns at once; the test ends it. */
export function startCommand(args: readonly string[], env: NodeJS.ProcessEnv): ChildProcessByStdio<null, Readable, Readable> {
  return spawn(process.execPath, [CLI, ...args], {
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined, ...env }, stdio: ["ignore", "pipe", "pipe"],
  });
}

/** The first address in what a command prints. */
export async function addressFrom(output: Readable): Promise<string> {
  let said = "";
  for await (const data of output.iterator({ destroyOnReturn: false })) {
    said += String(data);
    const address = /http:\/\/\S+(?=\s)/.exec(said)?.[0];
    if (address !== undefined) return address;
  }
  throw new Error(`no address in: ${said}`);
}
