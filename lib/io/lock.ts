import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { SteeringError } from "../errors.js";

/**
 * Run `task` while `<file>.lock` holds this process's id, so that only one process writes `<file>.partial`;
 * E_BUSY names the process that holds the lock already.
 */
export async function withLock<T>(file: string, task: () => Promise<T>): Promise<T> {
  const lock = `${file}.lock`;
  await mkdir(dirname(lock), { recursive: true });
  await takeLock(lock);
  try {
    return await task();
  } finally {
    await rm(lock, { force: true });
  }
}

async function takeLock(lock: string): Promise<void> {
  if (await createLock(lock)) return;
  const holder = (await readFile(lock, "utf8").catch(() => "")).trim();
  if (await isStale(lock, Number(holder))) {
    await rm(lock, { force: true });
    if (await createLock(lock)) return;
  }
  throw new SteeringError("E_BUSY",
    `process ${holder || "?"} is downloading this model already; wait for it, or delete ${lock} if that process is not llama-steer`);
}

async function createLock(lock: string): Promise<boolean> {
  try {
    await writeFile(lock, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function isStale(lock: string, pid: number): Promise<boolean> {
  // Its owner may be between creating and writing it.
  if (!Number.isInteger(pid) || pid <= 0) return false;
  if (pid === process.pid) return isOlderThanThisProcess(lock);
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/** In containers every run has the same small pid: a lock from before our start is not ours. */
async function isOlderThanThisProcess(lock: string): Promise<boolean> {
  const created = await stat(lock).then((found) => found.mtimeMs, () => 0);
  return created < Date.now() - process.uptime() * 1000;
}
