// The process that `runBounded` starts. Its first thread calls the function, which may block it; its second one ends the
// process when that takes too much memory or time, or when the parent is gone.
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { isMainThread, Worker } from "node:worker_threads";
import { SteeringError } from "../errors.js";
import type { BoundedReport } from "./bounded.js";

const WATCH_MS = 20;
/** The parent counts the time; this is for one that cannot any more. */
const GRACE_MS = 5000;
const [bytes, milliseconds] = process.argv.slice(2).map(Number) as [number, number];

if (isMainThread) await work();
else watch();

function watch(): void {
  const parent = process.ppid;
  const end = performance.now() + milliseconds + GRACE_MS;
  setInterval(() => {
    if (process.memoryUsage.rss() > bytes || process.ppid !== parent || performance.now() > end) process.kill(process.pid, "SIGKILL");
  }, WATCH_MS);
}

async function work(): Promise<void> {
  dieFirst();
  // A promise that nobody waits for, deep in a library, is a failure of the whole call.
  process.on("unhandledRejection", (error) => report({ error: described(error) }));
  process.on("uncaughtException", (error) => report({ error: described(error) }));
  const asked = once(process, "message") as Promise<[{ module: string; input: unknown }]>;
  await once(new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) }), "online");
  const [{ module, input }] = await asked;
  const name = new URL(module).hash.slice(1) || "default";
  try {
    const { [name]: call } = await import(module) as Record<string, (input: unknown) => unknown>;
    report({ output: await call!(input) });
  } catch (error) {
    report({ error: described(error) });
  }
}

/** The parent ends this process when it has the report. */
function report(message: BoundedReport): void {
  process.send?.(message);
}

function described(error: unknown): { code?: SteeringError["code"]; message: string } {
  if (error instanceof SteeringError) return { code: error.code, message: error.message };
  return { message: error instanceof Error ? error.message : String(error) };
}

/** Where memory runs out, Linux should end this process and not the one that asked. */
function dieFirst(): void {
  try {
    writeFileSync("/proc/self/oom_score_adj", "1000");
  } catch {
    // Other systems have no such file.
  }
}
