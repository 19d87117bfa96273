import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/** A process, as other processes that see its files can recognise it. */
export interface Owner {
  pid: number;
  /** Where its pid means that process: one boot of one machine, and one container there. `UNKNOWN` if the system does not say. */
  scope: string;
  /** When it started, in the kernel's ticks: tells it from a later process of the same pid. `UNKNOWN` if the system does not say. */
  started: string;
}

/** Stands for a scope or a start that cannot be known. */
export const UNKNOWN = "0";
const SCOPE_DIGITS = 12;

let own: Owner | undefined;

/** This process. */
export function thisProcess(): Owner {
  own ??= { pid: process.pid, scope: ownScope(), started: startOf("self") };
  return own;
}

/** Whether a process still runs; `unknown` for one of another machine or container, or if its pid may be another's by now. */
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
 * Containers of one machine can have one host name and equal pids, and machines can have one host name: on Linux the boot
 * and the pid namespace tell them apart. Other systems have neither, and no containers of their own.
 */
function ownScope(): string {
  if (process.platform !== "linux") return hashOf(process.platform, hostname());
  try {
    // A /proc of another namespace would show other processes under these pids.
    if (readlinkSync("/proc/self") !== String(process.pid)) return UNKNOWN;
    return hashOf(readFileSync("/proc/sys/kernel/random/boot_id", "utf8"), readlinkSync("/proc/self/ns/pid"), hostname());
  } catch {
    return UNKNOWN;
  }
}

function hashOf(...parts: string[]): string {
  return createHash("sha256").update(parts.join("\n")).digest("hex").slice(0, SCOPE_DIGITS);
}

/** Field 22 of /proc/<pid>/stat; the name in field 2 may hold spaces and brackets. */
function startOf(pid: string): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return /^\d+$/.exec(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "")?.[0] ?? UNKNOWN;
  } catch {
    return UNKNOWN;
  }
}
