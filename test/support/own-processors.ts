/**
 * Runs before each suite (jest.config.mjs). Where two suites run at a time, each gets half of the processors. llama.cpp's threads wait
 * for each other by spinning: two suites that shared the processors would take many times as long as one after the other.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect } from "@jest/globals";
import { parseProcessorList } from "../../lib/engine/processors.js";

/** Half of the processors that jest itself may use, by the worker's number; all of them for a suite that needs them. */
function ownProcessors(): number[] {
  const list = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync(`/proc/${process.ppid}/status`, "utf8"))![1]!;
  const all = parseProcessorList(list).flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
  if (expect.getState().testPath!.endsWith(".alone.test.js")) return all;
  const half = Math.ceil(all.length / 2);
  return Number(process.env["JEST_WORKER_ID"]) % 2 === 1 ? all.slice(0, half) : all.slice(-half);
}

// Jest starts workers only if it runs several suites at a time, and only a worker has a channel to its parent.
if (process.platform === "linux" && process.send !== undefined) {
  execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", ownProcessors().join(","), String(process.pid)], { stdio: "ignore" });
}
