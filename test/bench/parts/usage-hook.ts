// Loaded before a program (node --import): writes what it used to a file when it ends.
import { writeFileSync } from "node:fs";

/** Processor seconds of all threads, and the peak of the resident memory in bytes. */
export interface Usage {
  seconds: number;
  bytes: number;
}

/** Names the file. */
export const USAGE_FILE = "LLAMA_STEER_BENCH_USAGE";

process.on("exit", () => {
  const path = process.env[USAGE_FILE];
  if (path === undefined) return;
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  const usage: Usage = { seconds: (userCPUTime + systemCPUTime) / 1e6, bytes: maxRSS * 1024 };
  writeFileSync(path, JSON.stringify(usage));
});
