import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/** Identifies a process to others that see its files. */
export interface Owner {
  pid: number;
  /** Where the pid is unique: one boot of one machine, and one container on it. `UNKNOWN` if the system does not say. */
  scope: string;
  /** Start time in kernel ticks: distinguishes it from a later process with the same pid. `UNKNOWN` if the system does not say. */
  started: string;
}

/** A scope or start time that cannot be determined. */
export const UNKNOWN = "0";
const SCOPE_DIGITS = 12;

let own: Owner | undefined;

/** This process. */
export function thisProcess(): Owner {
  own ??= { pid: process.pid, scope: ownScope(), started: startOf("self") };
  return own;
}

/** Whether a process still runs; `unknown` if it belongs to another machine or container, or if its pid may have been reused. */
export function stateOf({ pid, scope, started }: Owner): "alive" | "gone" | "unknown" {
  if (scope === UNKNOWN || scope !== thisProcess().scope) return "unknown";
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return "gone";
  }
  const now = startOf(String(pid));
  if (now === UNKNOWN || started === UNKNOWN) return "unknown";
  return now === started ? "alive" : "gone";
}

/**
 * Containers on a machine may share a host name and pids, and machines may share a host name; on Linux the boot id and the pid
 * namespace distinguish them. Other systems have neither, and no native containers.
 */
function ownScope(): string {
  if (process.platform !== "linux") return hashOf(process.platform, hostname());
  try {
    // In the /proc of another namespace these pids would be other processes.
    if (readlinkSync("/proc/self") !== String(process.pid)) return UNKNOWN;
    return hashOf(readFileSync("/proc/sys/kernel/random/boot_id", "utf8"), readlinkSync("/proc/self/ns/pid"), hostname());
  } catch {
    return UNKNOWN;
  }
}

function hashOf(...parts: string[]): string {
  return createHash("sha256").update(parts.join("\n")).digest("hex").slice(0, SCOPE_DIGITS);
}

/** Start time of a process: field 22 of /proc/<pid>/stat. The name in field 2 may contain spaces and brackets. */
function startOf(pid: string): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return /^\d+$/.exec(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "")?.[0] ?? UNKNOWN;
  } catch {
    return UNKNOWN;
  }
}
