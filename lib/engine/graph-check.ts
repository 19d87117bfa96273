import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterTicks, isInterrupt, startChild } from "../child.js";
import { SteeringError } from "../errors.js";
import { writeFileAtomic, homeFolder } from "../formats/index.js";
import { addon, findInstallation } from "../native/index.js";
import { abortError, onAbort, throwIfAborted } from "./abort.js";
import type { GraphCheckReport } from "./graph-check-child.js";

/** Increment when trials are added, to invalidate verdicts of earlier versions. */
const TRIALS_VERSION = 1;
/** The paths round differently at head_out of a quantised model; a broken path is off by as much as steering changes. */
const MAX_DIFFERENCE = 0.25;
/** Long, because some drivers compile their shaders on first use. */
const MAX_MS = 300_000;
/** Most drivers do not report their version, so verdicts expire to catch driver updates. */
const VERDICT_MS = 30 * 24 * 3600 * 1000;

/** The devices to try: those of a back end and of RPC servers. */
export interface Where {
  backend: string;
  rpc: readonly string[];
}

export type GraphCheck = { holds: true } | { holds: false; why: string };

const CHILD = new URL("./graph-check-child.js", import.meta.url);
/** One trial and the number of loads waiting for it; the last one to give up stops it. */
interface Trial {
  check: Promise<GraphCheck>;
  stop: AbortController;
  waiting: number;
}
const trials = new Map<string, Trial>();

/**
 * Checks that the graph path steers like the callback path on this machine's devices. The graph path changes operands in graphs that a
 * back end may copy, cache or send away, so it is tried with each back end in a separate process, and only used if it works. A good
 * verdict stays in the cache folder for 30 days, unless llama.cpp, the devices or NVIDIA's driver change. Throws E_ABORTED, also if that
 * process is interrupted.
 */
export async function checkGraphPath(where: Where, signal?: AbortSignal, child = CHILD): Promise<GraphCheck> {
  throwIfAborted(signal);
  const devices = addon().devices().map(({ name, description }) => ({ name, description }));
  const { llamaCpp } = findInstallation().built;
  const driver = nvidiaDriver();
  const stub = child === CHILD ? undefined : child.href;
  const state = `${JSON.stringify({ trials: TRIALS_VERSION, llamaCpp, ...where, devices, driver, child: stub }, null, 2)}\n`;
  const trial = trials.get(state) ?? begin(state, where, child);
  trial.waiting++;
  let forget = (): void => undefined;
  const givenUp = new Promise<never>((_, reject) => {
    forget = onAbort(signal, () => {
      reject(abortError(signal!));
      if (--trial.waiting > 0) return;
      trials.delete(state);
      trial.stop.abort();
    });
  });
  return Promise.race([trial.check, givenUp]).finally(forget);
}

function begin(state: string, where: Where, child: URL): Trial {
  const stop = new AbortController();
  const trial = { check: remembered(state, () => runCheck(where, child, stop.signal)), stop, waiting: 0 };
  trials.set(state, trial);
  const forget = (): void => void trials.delete(state);
  // Interrupted, or a server may come back: the next load tries again.
  trial.check.then(({ holds }) => { if (!holds && where.rpc.length > 0) forget(); }, forget);
  return trial;
}

/** True if there is a GPU that may compute, here or on an RPC server. */
export function hasDevice(backend = "auto", rpc: readonly string[] = []): boolean {
  return rpc.length > 0 || (backend !== "cpu" && addon().devices().some(({ kind }) => kind === "gpu" || kind === "igpu"));
}

/** Returns the version of NVIDIA's driver, on Linux. */
function nvidiaDriver(): string | undefined {
  try {
    return readFileSync("/proc/driver/nvidia/version", "utf8");
  } catch {
    return undefined;
  }
}

async function remembered(state: string, attempt: () => Promise<GraphCheck>): Promise<GraphCheck> {
  const path = join(homeFolder(), "graph-path", `${createHash("sha256").update(state).digest("hex").slice(0, 32)}.json`);
  const age = await stat(path).then(({ mtimeMs }) => Math.abs(Date.now() - mtimeMs), () => Infinity);
  if (age < VERDICT_MS && await readFile(path, "utf8").catch(() => undefined) === state) return { holds: true };
  const check = await attempt();
  // A bad verdict is not stored, so the next process tries again: a device may have been out of memory.
  if (check.holds) await writeFileAtomic(path, state).catch(() => undefined);
  return check;
}

async function runCheck(where: Where, module: URL, signal: AbortSignal): Promise<GraphCheck> {
  if (signal.aborted) return { holds: false, why: "it was aborted" };
  if (where.rpc.some((server) => usedServers.has(server))) return { holds: false, why: "this process uses its servers already" };
  const ended = await runChild(where, module, signal).catch((error: Error) => error);
  return ended instanceof Error ? { holds: false, why: ended.message } : verdict(ended);
}

/** RPC servers that this process has used: each serves one process at a time, and would keep another one waiting. */
const usedServers = new Set<string>();

/** Call this once a model on these servers is loaded. */
export function rememberServers(servers: readonly string[]): void {
  for (const server of servers) usedServers.add(server);
}

interface Ending {
  report: GraphCheckReport | undefined;
  /** The process's signal or, without one, its exit code. */
  end: string | number | null;
}

function runChild({ backend, rpc }: Where, module: URL, signal: AbortSignal): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const child = startChild(module, [backend, ...rpc], { env: { LLAMA_STEER_DEBUG: undefined } });
    let report: GraphCheckReport | undefined;
    onAbort(signal, () => child.kill("SIGKILL"));
    const stopWaiting = afterTicks(MAX_MS, () => child.kill("SIGKILL"));
    child.on("message", (message: GraphCheckReport) => { report = message; });
    child.on("error", reject);
    child.once("close", (code, killedBy) => {
      stopWaiting();
      resolve({ report, end: killedBy ?? code });
    });
  });
}

function verdict({ report, end }: Ending): GraphCheck {
  if (report && "refusal" in report) throw new SteeringError("E_NATIVE", report.refusal);
  if (isInterrupt(end)) throw new SteeringError("E_ABORTED", `testing this machine's devices was interrupted (${end})`);
  if (end !== 0) return { holds: false, why: `the process that tests it ended with ${end}` };
  if (!report) return { holds: false, why: "the process that tests it sent no result" };
  const { difference } = report;
  if (typeof difference !== "number") return { holds: false, why: "its results are not finite" }; // JSON has no NaN
  if (difference < MAX_DIFFERENCE) return { holds: true };
  return { holds: false, why: `its results are off by ${difference.toPrecision(2)} of the change that steering makes` };
}
