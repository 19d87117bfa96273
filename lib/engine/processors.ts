import { readFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join, posix } from "node:path";

/** Processor times since the machine started, and this process's since it started, in milliseconds. */
export interface ProcessorTimes {
  /** When the times were read, on any clock. */
  at: number;
  /** Idle time of the processors that this process may use, summed over them. */
  idle: number;
  /** CPU time of this process, summed over its threads. */
  own: number;
}

/** Number of whole processors that this process may use, by its affinity and its control groups' CPU quotas; at least 1. */
export function availableProcessors(root = "/"): number {
  return Math.max(1, Math.floor(Math.min(allowedProcessors(root), cpuQuota(root))));
}

/**
 * Number of processors that this process's affinity allows, whatever its CPU quotas. Linux is asked, not Node: since libuv 1.49,
 * `availableParallelism` takes quotas into account, and in libuv 1.49 and 1.50 (Node 22.12) a control group's weight as well. `root`: the
 * folder with /proc, for tests.
 */
export function allowedProcessors(root = "/"): number {
  return idleTicks(root)?.length || availableParallelism();
}

/** Reads the processors' times; undefined if the system does not report them. */
export function processorTimes(): ProcessorTimes | undefined {
  const idle = process.platform === "linux" ? idleOnLinux() : cpus().reduce((sum, { times }) => sum + times.idle, 0);
  if (idle === undefined || idle === 0) return undefined;
  const { user, system } = process.cpuUsage();
  return { at: performance.now(), idle, own: (user + system) / 1000 };
}

/** Ticks of /proc/stat, fixed by the kernel's interface whatever its internal tick is. */
const MS_PER_TICK = 10;

function idleOnLinux(): number | undefined {
  const ticks = idleTicks("/");
  return ticks && MS_PER_TICK * ticks.reduce((sum, each) => sum + each, 0);
}

/** Idle times of the processors that are online and that the affinity allows, since this process cannot use the others. */
function idleTicks(root: string): number[] | undefined {
  const stat = read(join(root, "proc/stat"));
  const status = read(join(root, "proc/self/status"));
  if (stat === undefined || status === undefined) return undefined;
  const allowed = parseProcessorList(/^Cpus_allowed_list:\s*(.*)$/m.exec(status)?.[1] ?? "");
  return [...stat.matchAll(/^cpu(\d+) \d+ \d+ \d+ (\d+)/gm)]
    .filter(([, name]) => allowed.some(([first, last]) => Number(name) >= first && Number(name) <= last)).map(([, , idle]) => Number(idle));
}

/** Parses a list such as "0-3,8" into pairs of first and last. */
export function parseProcessorList(text: string): Array<[number, number]> {
  return text.split(",").map((range) => {
    const [first = "", last = first] = range.split("-");
    return [Number(first), Number(last)];
  });
}

/** A line of mountinfo for a control group: root, mount point, version and options. */
const CGROUP_MOUNT = /^\d+ \d+ \S+ (\S+) (\S+) .*? - (cgroup2?) \S+ (\S+)$/;

/**
 * Returns the smallest CPU quota, in processors, of the control groups that this process is in; Infinity without one. Before libuv 1.49
 * (Node 20), `availableParallelism` ignores these quotas. `root`: the folder with /proc and the groups, for tests.
 */
export function cpuQuota(root = "/"): number {
  const mounts = read(join(root, "proc/self/mountinfo")) ?? "";
  const groups = (read(join(root, "proc/self/cgroup")) ?? "").split("\n").map((line) => /^\d+:([^:]*):(.*)$/.exec(line));
  let least = Infinity;
  for (const line of mounts.split("\n")) {
    const [, mountRoot = "", mountPoint = "", kind = "", options = ""] = CGROUP_MOUNT.exec(line) ?? [];
    if (kind === "" || (kind === "cgroup" && !options.split(",").includes("cpu"))) continue;
    const group = groups.find((found) => found && (kind === "cgroup2" ? found[1] === "" : found[1]!.split(",").includes("cpu")))?.[2];
    for (const folder of foldersOf(group ?? "/", mountRoot)) {
      least = Math.min(least, quotaIn(join(root, unescaped(mountPoint), folder), kind));
    }
  }
  return least;
}

/** A group and its ancestors, as folders below the mount; only the mount itself if the group is outside it. */
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
  return processors > 0 ? processors : Infinity; // "max", −1 or missing
}

/** Decodes mountinfo's octal escapes, e.g. \040 for a space. */
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
