import { randomUUID } from "node:crypto";
import { mkdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { SteeringError } from "../errors.js";
import { cannotWrite } from "./atomic.js";

/** Held until `release`. */
export interface Lock {
  /** Throws E_BUSY where another process has taken it over: this one did not touch it for too long. */
  assertHeld(): Promise<void>;
  release(): Promise<void>;
}

/** A holder touches its lock this often, in milliseconds… */
const TOUCH_MS = 10_000;
/** …so that one that has not for this long is gone, or stands still. */
const GONE_MS = 60_000;
/** Time between creating a lock and writing into it, at most. */
const WRITE_MS = 5_000;

/** Run `task` while holding the lock of a file. Throws E_BUSY, E_WRITE. */
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
 * that has ended left behind is taken over. `does`: what the holder is at, for the message of E_BUSY. Throws E_WRITE.
 */
export async function lockFile(file: string, does: string): Promise<Lock> {
  const path = `${file}.lock`;
  const content = `${process.pid} ${hostname()} ${randomUUID()}`;
  await mkdir(dirname(path), { recursive: true }).catch((cause: NodeJS.ErrnoException) => { throw cannotWrite(path, cause); });
  await takeLock(path, content, does);
  const isHeld = async (): Promise<boolean> => (await readFile(path, "utf8").catch(() => "")) === content;
  const touch = setInterval(() => void (async () => {
    if (await isHeld()) await utimes(path, new Date(), new Date()).catch(() => undefined);
  })(), TOUCH_MS);
  touch.unref();
  return {
    assertHeld: async () => {
      if (!await isHeld()) throw new SteeringError("E_BUSY", `another process has taken over ${path}: this one stood still for too long`);
    },
    release: async () => {
      clearInterval(touch);
      if (await isHeld()) await rm(path, { force: true });
    },
  };
}

async function takeLock(path: string, content: string, does: string): Promise<void> {
  if (await createFile(path, content)) return;
  const holder = await readHolder(path);
  if (isStale(holder) && await takeOver(path, content)) return;
  const where = holder?.host && holder.host !== hostname() ? ` on ${holder.host}` : "";
  throw new SteeringError("E_BUSY", `process ${holder?.pid || "?"}${where} ${does} already; wait for it, or delete ${path} if that process is not llama-steer`);
}

/** Remove a stale lock and take it: one process at a time, or the second would remove the first one's new lock. */
async function takeOver(path: string, content: string): Promise<boolean> {
  const guard = `${path}.takeover`;
  const guardAge = Date.now() - await stat(guard).then((found) => found.mtimeMs, () => Date.now());
  if (guardAge > TOUCH_MS) await rm(guard, { force: true }); // its owner ended in the middle of this
  if (!await createFile(guard, content)) return false;
  try {
    if (!isStale(await readHolder(path))) return false;
    await rm(path, { force: true });
    return await createFile(path, content);
  } finally {
    await rm(guard, { force: true });
  }
}

async function createFile(path: string, content: string): Promise<boolean> {
  try {
    await writeFile(path, content, { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw cannotWrite(path, error as NodeJS.ErrnoException);
  }
}

interface Holder {
  /** 0 where it could not be read. */
  pid: number;
  host: string;
  touchedMs: number;
}

/** Undefined where there is no lock any more. */
async function readHolder(path: string): Promise<Holder | undefined> {
  const touched = await stat(path).catch(() => undefined);
  if (!touched) return undefined;
  const [pid = "", host = ""] = (await readFile(path, "utf8").catch(() => "")).trim().split(" ");
  return { pid: /^[1-9]\d*$/.test(pid) ? Number(pid) : 0, host, touchedMs: touched.mtimeMs };
}

function isStale(holder: Holder | undefined): boolean {
  if (!holder) return true;
  const untouchedMs = Date.now() - holder.touchedMs;
  if (untouchedMs > GONE_MS) return true;
  if (holder.pid === 0) return untouchedMs > WRITE_MS; // its owner may be between creating and writing it
  if (holder.host && holder.host !== hostname()) return false;
  // In containers every run has the same small pid: a lock from before our start is not ours.
  if (holder.pid === process.pid) return holder.touchedMs < Date.now() - process.uptime() * 1000;
  try {
    process.kill(holder.pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
