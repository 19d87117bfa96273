// The process that `runBounded` starts. The main thread calls the function, which may block it; a worker thread kills the
// process if the call takes too much memory or time, or if the parent has exited.
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { SteeringError } from "../errors.js";
import { onParentMessage, sendToParent } from "../parent.js";
import type { BoundedMessage, BoundedReport } from "./bounded.js";

const WATCH_MS = 20;
/** The parent enforces the time limits; this margin is for when it no longer can. */
const GRACE_MS = 5000;
const [bytes, startMilliseconds, milliseconds] = process.argv.slice(2).map(Number) as [number, number, number];

if (isMainThread) await work();
else watch();

function watch(): void {
  const parent = process.ppid;
  let end = performance.now() + startMilliseconds + GRACE_MS;
  parentPort!.once("message", () => { end = performance.now() + milliseconds + GRACE_MS; });
  setInterval(() => {
    if (process.memoryUsage.rss() > bytes || process.ppid !== parent || performance.now() > end) process.kill(process.pid, "SIGKILL");
  }, WATCH_MS);
}

async function work(): Promise<void> {
  dieFirst();
  const asked = new Promise<{ module: string; input: unknown }>(onParentMessage);
  // An unawaited promise that rejects deep in a library fails the whole call.
  process.on("unhandledRejection", (error) => report({ error: described(error) }));
  process.on("uncaughtException", (error) => report({ error: described(error) }));
  const watcher = new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) });
  await once(watcher, "online");
  const { module, input } = await asked;
  const name = new URL(module).hash.slice(1) || "default";
  try {
    const { [name]: call } = await import(module) as Record<string, (input: unknown) => unknown>;
    await sendToParent("ready" satisfies BoundedMessage);
    watcher.postMessage("ready");
    report({ output: await call!(input) });
  } catch (error) {
    report({ error: described(error) });
  }
}

/** The parent kills this process once it has the report. */
function report(message: BoundedReport): void {
  void sendToParent(message);
}

function described(error: unknown): { code?: SteeringError["code"]; message: string } {
  if (error instanceof SteeringError) return { code: error.code, message: error.message };
  return { message: error instanceof Error ? error.message : String(error) };
}

/** If memory runs out, Linux should kill this process rather than its parent. */
function dieFirst(): void {
  try {
    writeFileSync("/proc/self/oom_score_adj", "1000");
  } catch {
    // Other systems do not have this file.
  }
}
