import { fdatasync, fsync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { promisify } from "node:util";

// By the files' numbers: under Yarn's Plug'n'Play, file handles have neither `sync` nor `datasync`.

const flushAll = promisify(fsync);
const flushData = promisify(fdatasync);

/** Waits until a file or folder is on disk. */
export async function flush({ fd }: FileHandle): Promise<void> {
  await flushAll(fd);
}

/** Waits until a file's content is on disk; its times may not be. */
export async function flushContent({ fd }: FileHandle): Promise<void> {
  await flushData(fd);
}
