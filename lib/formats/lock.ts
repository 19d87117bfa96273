import { randomUUID } from "node:crypto";
import { link, mkdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { SteeringError } from "../errors.js";
import { cannotWrite } from "./atomic.js";
import { stateOf, thisProcess, UNKNOWN, type Owner } from "./owner.js";
import { withPartial } from "./partial.js";
import { readFileUpTo } from "./text-file.js";

/** Held until `release`. */
export interface Lock {
  /** Throws E_BUSY where another process has taken it over: this one did not touch it for too long. */
  assertHeld(): Promise<void>;
  release(): Promise<void>;
}

/** A holder touches its lock this often, in milliseconds… */
const TOUCH_MS = 10_000;
/** …so that one of another machine or container that has not for this long is gone, or stands still. */
const GONE_MS = 60_000;
/** Time between creating a lock and writing into it, at most, where it cannot be created with its content. */
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
 * Take `<file>.lock`, which says which process holds it, so that only one process writes the file; what a process that has
 * ended left behind is taken over. `does`: what the holder does, for the message of E_BUSY. Throws E_BUSY, E_WRITE.
 */
export async function lockFile(file: string, does: string): Promise<Lock> {
  const path = `${file}.lock`;
  const { pid, scope, started } = thisProcess();
  const content = `${pid} ${hostname()} ${scope} ${started} ${randomUUID()}\n`;
  await mkdir(dirname(path), { recursive: true }).catch((cause: NodeJS.ErrnoException) => { throw cannotWrite(path, cause); });
  await takeLock(path, content, does);
  const isHeld = async (): Promise<boolean> => (await contentOf(path)) === content;
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
      if (await isHeld()) await remove(path);
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
  if (guardAge > TOUCH_MS) await remove(guard); // its owner ended in the middle of this
  if (!await createFile(guard, content)) return false;
  try {
    if (!isStale(await readHolder(path))) return false;
    await remove(path);
    return await createFile(path, content);
  } finally {
    await remove(guard);
  }
}

async function remove(path: string): Promise<void> {
  await rm(path, { force: true }).catch((cause: NodeJS.ErrnoException) => { throw cannotWrite(path, cause); });
}

/** Create a file with its content at once: one that is there is whole, even if the disk is full. Returns false if there is one already. */
async function createFile(path: string, content: string): Promise<boolean> {
  try {
    await withPartial(dirname(path), async (partial) => {
      await writeFile(partial, content, { flag: "wx" });
      await link(partial, path).catch((error: NodeJS.ErrnoException) => {
        if (!NO_LINKS.includes(error.code ?? "")) throw error;
        return createInPlace(path, content);
      });
    });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw cannotWrite(path, error as NodeJS.ErrnoException);
  }
}

/**
 * What file systems without hard links answer, such as those of USB sticks. EISDIR comes from exFAT under Windows: so libuv
 * translates ERROR_INVALID_FUNCTION.
 */
const NO_LINKS = ["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EMLINK", "EISDIR"];

async function createInPlace(path: string, content: string): Promise<void> {
  await writeFile(path, content, { flag: "wx" }).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") await rm(path, { force: true });
    throw error;
  });
}

interface Holder extends Owner {
  /** The pid is 0 if it could not be read. */
  host: string;
  touchedMs: number;
}

/** A lock is one line of five words, the longest of which is the host's name. */
const MAX_LOCK_BYTES = 4096;

/** Empty where it cannot be read. */
async function contentOf(path: string): Promise<string> {
  return readFileUpTo(path, "E_BUSY", MAX_LOCK_BYTES).then(String, () => "");
}

/** Undefined where there is no lock any more. */
async function readHolder(path: string): Promise<Holder | undefined> {
  const touched = await stat(path).catch(() => undefined);
  if (!touched) return undefined;
  const [pid = "", host = "", scope = UNKNOWN, started = UNKNOWN] = (await contentOf(path)).trim().split(" ");
  return { pid: /^[1-9]\d*$/.test(pid) ? Number(pid) : 0, host, scope, started, touchedMs: touched.mtimeMs };
}

function isStale(holder: Holder | undefined): boolean {
  if (!holder) return true;
  const untouchedMs = Date.now() - holder.touchedMs;
  if (holder.pid === 0) return untouchedMs > WRITE_MS; // its owner may be between creating and writing it
  const state = stateOf(holder);
  return state === "gone" || (state === "unknown" && untouchedMs > GONE_MS);
}
