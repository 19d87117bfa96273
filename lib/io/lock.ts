import { mkdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { SteeringError } from "../errors.js";

/** Held until `release`. */
export interface Lock {
  release(): Promise<void>;
}

/** A holder touches its lock this often, in milliseconds… */
const TOUCH_MS = 10_000;
/** …so that one on another machine, where its process cannot be looked for, is gone when it has not for this long. */
const GONE_MS = 60_000;

/** Run `task` while holding the lock of a file. Throws E_BUSY. */
export async function withLock<T>(file: string, task: () => Promise<T>, does: string): Promise<T> {
  const lock = await lockFile(file, does);
  try {
    return await task();
  } finally {
    await lock.release();
  }
}

/**
 * Take `<file>.lock`, which holds this process's id and host, so that only one process writes the file; what a process
 * that has ended left behind is taken over. `does`: what the holder is at, for the message of E_BUSY.
 */
export async function lockFile(file: string, does: string): Promise<Lock> {
  const lock = `${file}.lock`;
  await mkdir(dirname(lock), { recursive: true });
  await takeLock(lock, does);
  const touch = setInterval(() => {
    const now = new Date();
    utimes(lock, now, now).catch(() => undefined);
  }, TOUCH_MS);
  touch.unref();
  return {
    release: async () => {
      clearInterval(touch);
      await rm(lock, { force: true });
    },
  };
}

async function takeLock(lock: string, does: string): Promise<void> {
  if (await createLock(lock)) return;
  const [holder = "", host = ""] = (await readFile(lock, "utf8").catch(() => "")).trim().split(" ");
  if (await isStale(lock, Number(holder), host) && await takeOver(lock)) return;
  const where = host && host !== hostname() ? ` on ${host}` : "";
  throw new SteeringError("E_BUSY", `process ${holder || "?"}${where} ${does} already; wait for it, or delete ${lock} if that process is not llama-steer`);
}

/** Remove a stale lock and take it: one process at a time, or the second would remove the first one's new lock. */
async function takeOver(lock: string): Promise<boolean> {
  const guard = `${lock}.takeover`;
  const age = Date.now() - await stat(guard).then((found) => found.mtimeMs, () => Date.now());
  if (age > TOUCH_MS) await rm(guard, { force: true }); // its owner ended in the middle of this
  if (!await createLock(guard)) return false;
  try {
    const [holder, host = ""] = (await readFile(lock, "utf8").catch(() => "")).trim().split(" ");
    if (holder !== undefined && holder !== "" && !await isStale(lock, Number(holder), host)) return false;
    await rm(lock, { force: true });
    return await createLock(lock);
  } finally {
    await rm(guard, { force: true });
  }
}

async function createLock(lock: string): Promise<boolean> {
  try {
    await writeFile(lock, `${process.pid} ${hostname()}`, { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function isStale(lock: string, pid: number, host: string): Promise<boolean> {
  // Its owner may be between creating and writing it.
  if (!Number.isInteger(pid) || pid <= 0) return false;
  const touched = await stat(lock).then((found) => found.mtimeMs, () => 0);
  if (host && host !== hostname()) return touched < Date.now() - GONE_MS;
  // In containers every run has the same small pid: a lock from before our start is not ours.
  if (pid === process.pid) return touched < Date.now() - process.uptime() * 1000;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
