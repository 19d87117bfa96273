import { randomUUID } from "node:crypto";
import { link, mkdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { SteeringError } from "../errors.js";
import { cannotWrite } from "./atomic.js";
import { stateOf, thisProcess, UNKNOWN, type Owner } from "./owner.js";
import { withPartial } from "./partial.js";
import { readFileUpTo } from "./text-file.js";

/** A lock, held until `release`. */
export interface Lock {
  /** Throws E_BUSY if another process has taken the lock over because this one did not refresh it in time. */
  assertHeld(): Promise<void>;
  release(): Promise<void>;
}

/** The holder refreshes its lock at this interval, in milliseconds… */
const TOUCH_MS = 10_000;
/** …so a holder on another machine or container that has not done so for this long has exited, or hangs. */
const GONE_MS = 60_000;
/** Longest time between creating and writing a lock on file systems that cannot do both at once. */
const WRITE_MS = 5_000;

/** Run `task` while holding the lock on a file. Throws E_BUSY, E_WRITE. */
export async function withLock<T>(file: string, task: () => Promise<T>, does: string): Promise<T> {
  const lock = await lockFile(file, does);
  try {
    return await task();
  } finally {
    await lock.release();
  }
}

/**
 * Take `<file>.lock`, which names the process that holds it, so that only one process writes the file. Takes over the lock of
 * a process that has exited. `does`: the holder's activity, quoted by E_BUSY. Throws E_BUSY, E_WRITE.
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
      if (!await isHeld()) throw new SteeringError("E_BUSY", `another process has taken over ${path}: this one did not refresh it in time`);
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
  const advice = `wait for it, or delete ${path} if that process is not llama-steer`;
  throw new SteeringError("E_BUSY", `process ${holder?.pid || "?"}${where} ${does} already; ${advice}`);
}

/** Replace a stale lock, one process at a time: otherwise the second process would remove the first one's new lock. */
async function takeOver(path: string, content: string): Promise<boolean> {
  const guard = `${path}.takeover`;
  const guardAge = Date.now() - await stat(guard).then((found) => found.mtimeMs, () => Date.now());
  if (guardAge > TOUCH_MS) await remove(guard); // its owner exited during a takeover
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

/** Create a file together with its content, so that it is never partial, even on a full disk. Returns false if one exists. */
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
 * Error codes of file systems without hard links, such as those of USB sticks. EISDIR is how libuv translates
 * ERROR_INVALID_FUNCTION, which exFAT returns on Windows.
 */
const NO_LINKS = ["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EMLINK", "EISDIR"];

async function createInPlace(path: string, content: string): Promise<void> {
  await writeFile(path, content, { flag: "wx" }).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") await rm(path, { force: true });
    throw error;
  });
}

interface Holder extends Owner {
  /** Host name; if the lock cannot be read, this is empty and the pid is 0. */
  host: string;
  touchedMs: number;
}

/** A lock is one line of five words; the longest is the host name. */
const MAX_LOCK_BYTES = 4096;

/** The content of a lock, or an empty text if it cannot be read. */
async function contentOf(path: string): Promise<string> {
  return readFileUpTo(path, "E_BUSY", MAX_LOCK_BYTES).then(String, () => "");
}

/** The holder of a lock; undefined if the lock no longer exists. */
async function readHolder(path: string): Promise<Holder | undefined> {
  const touched = await stat(path).catch(() => undefined);
  if (!touched) return undefined;
  const [pid = "", host = "", scope = UNKNOWN, started = UNKNOWN] = (await contentOf(path)).trim().split(" ");
  return { pid: /^[1-9]\d*$/.test(pid) ? Number(pid) : 0, host, scope, started, touchedMs: touched.mtimeMs };
}

function isStale(holder: Holder | undefined): boolean {
  if (!holder) return true;
  const untouchedMs = Date.now() - holder.touchedMs;
  if (holder.pid === 0) return untouchedMs > WRITE_MS; // its owner may have created it without having written it yet
  const state = stateOf(holder);
  return state === "gone" || (state === "unknown" && untouchedMs > GONE_MS);
}
