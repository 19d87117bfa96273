import { readFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join, posix } from "node:path";

/** What the processors did since the machine started, and this process since it started; in milliseconds. */
export interface ProcessorTimes {
  /** On any clock. */
  at: number;
  /** Time in which the processors that this process may use had nothing to do, summed over them. */
  idle: number;
  /** Time that this process computed, summed over its threads. */
  own: number;
}

/** Processors that this process may use at once: its affinity, and the CPU quotas of its control groups; not a whole number where a quota is none. */
export function availableProcessors(root = "/"): number {
  return Math.min(availableParallelism(), cpuQuota(root));
}

/** The processors' times now; undefined where the system does not tell. */
export function processorTimes(): ProcessorTimes | undefined {
  const idle = process.platform === "linux" ? idleOnLinux() : cpus().reduce((sum, { times }) => sum + times.idle, 0);
  if (idle === undefined || idle === 0) return undefined;
  const { user, system } = process.cpuUsage();
  return { at: performance.now(), idle, own: (user + system) / 1000 };
}

/** Ticks of /proc/stat: a part of the kernel's interface, whatever the kernel's own are. */
const MS_PER_TICK = 10;

/** Of the processors that the affinity allows: another's idle time is of no use. */
function idleOnLinux(): number | undefined {
  const stat = read("/proc/stat");
  const status = read("/proc/self/status");
  if (stat === undefined || status === undefined) return undefined;
  const allowed = parseProcessorList(/^Cpus_allowed_list:\s*(.*)$/m.exec(status)?.[1] ?? "");
  let ticks = 0;
  for (const [, name, idle] of stat.matchAll(/^cpu(\d+) \d+ \d+ \d+ (\d+)/gm)) {
    if (allowed.some(([first, last]) => Number(name) >= first && Number(name) <= last)) ticks += Number(idle);
  }
  return ticks * MS_PER_TICK;
}

/** "0-3,8" as pairs of first and last. */
function parseProcessorList(text: string): Array<[number, number]> {
  return text.split(",").map((range) => {
    const [first = "", last = first] = range.split("-");
    return [Number(first), Number(last)];
  });
}

/**
 * The smallest CPU quota of the control groups that this process is in, in processors; Infinity without one. Node's
 * `availableParallelism` does not know of it before libuv 1.49. `root`: where /proc and the groups are, for tests.
 */
export function cpuQuota(root = "/"): number {
  const mounts = read(join(root, "proc/self/mountinfo")) ?? "";
  const groups = (read(join(root, "proc/self/cgroup")) ?? "").split("\n").map((line) => /^\d+:([^:]*):(.*)$/.exec(line));
  let least = Infinity;
  for (const line of mounts.split("\n")) {
    const [, mountRoot = "", mountPoint = "", kind = "", options = ""] = /^\d+ \d+ \S+ (\S+) (\S+) .*? - (cgroup2?) \S+ (\S+)$/.exec(line) ?? [];
    if (kind === "" || (kind === "cgroup" && !options.split(",").includes("cpu"))) continue;
    const group = groups.find((found) => found && (kind === "cgroup2" ? found[1] === "" : found[1]!.split(",").includes("cpu")))?.[2];
    for (const folder of foldersOf(group ?? "/", mountRoot)) {
      least = Math.min(least, quotaIn(join(root, unescaped(mountPoint), folder), kind));
    }
  }
  return least;
}

/** A group and those above it, as folders below the mount; the mount's own where the group lies outside of it. */
function foldersOf(group: string, mountRoot: string): string[] {
  const below = posix.relative(mountRoot, group);
  const parts = below === "" || below.startsWith("..") ? [] : below.split("/");
  return [".", ...parts.map((_, index) => parts.slice(0, index + 1).join("/"))];
}

function quotaIn(folder: string, kind: string): number {
  const [quota, period] = kind === "cgroup2"
    ? (read(join(folder, "cpu.max")) ?? "max").trim().split(" ")
    : [read(join(folder, "cpu.cfs_quota_us")), read(join(folder, "cpu.cfs_period_us"))];
  const processors = Number(quota) / Number(period);
  return processors > 0 ? processors : Infinity; // "max", −1 and what is missing
}

/** mountinfo writes a space as \040. */
function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(parseInt(code, 8)));
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
