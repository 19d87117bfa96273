import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "@jest/globals";

const STEER = resolve("dist", "bin", "llama-steer.js");
/** Where control groups with CPU quotas usually are, of version 1 and 2, and how half a processor is written there. */
const PLACES = [
  ["/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "50000"], ["/sys/fs/cgroup/cpu,cpuacct", "cpu.cfs_quota_us", "50000"],
  ["/sys/fs/cgroup", "cpu.max", "50000 100000"],
] as const;

/** A control group that may use half a processor; undefined, and said aloud, on a machine where none can be made. */
function halfAProcessor(): string | undefined {
  const reasons: string[] = [];
  for (const [place, file, half] of PLACES.filter(([folder]) => existsSync(folder))) {
    const group = join(place, `llama-steer-test-${process.pid}`);
    try {
      mkdirSync(group);
      writeFileSync(join(group, file), half);
      return group;
    } catch (error) {
      reasons.push((error as Error).message);
      if (existsSync(group)) rmdirSync(group);
    }
  }
  const why = reasons.join("; ") || "there are none";
  process.stderr.write(`\n*** NOT TESTED: a real CPU quota, because no control group for it can be made: ${why} ***\n\n`);
  return undefined;
}

const group = halfAProcessor();
afterAll(() => { if (group !== undefined) rmdirSync(group); });

(group === undefined ? test.skip : test)("doctor sees the CPU quota of a real control group", () => {
  const script = 'echo $$ > "$0/cgroup.procs" && exec "$@"';
  const { stdout, stderr } = spawnSync("sh", ["-c", script, group!, process.execPath, STEER, "doctor", "--json"], { encoding: "utf8" });
  expect(stderr).toBe("");
  const checks = JSON.parse(stdout) as Array<{ name: string; found: string }>;
  expect(checks.find(({ name }) => name === "threads")!.found)
    .toMatch(/^at most 1: the control group's CPU quota is 0\.5 processors of \d+\. Fewer /);
}, 60_000);
