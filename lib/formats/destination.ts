import { createWriteStream, constants } from "node:fs";
import { readlink, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Writable } from "node:stream";

/** Where output to a path goes. */
export type Destination =
  /** A regular file; `mode`: the permissions of an existing one. */
  | { kind: "file"; path: string; mode: number | undefined }
  /** A device, a pipe or an open file: written sequentially. */
  | StreamDestination;
export interface StreamDestination {
  kind: "stream";
  path: string;
  standard: "stdout" | "stderr" | undefined;
}

/** Linux follows this many symbolic links. */
const MAX_LINKS = 40;
const STANDARD = { 1: "stdout", 2: "stderr" } as const;

/** Follow the symbolic links of a path and classify the result. Throws file system errors. */
export async function destinationOf(asked: string): Promise<Destination> {
  let path = asked;
  for (let links = 0; ; links++) {
    const folder = await realpath(dirname(path)).catch(() => dirname(path));
    // The target of such a link is either symbolic ("pipe:[42]") or a file that others append to.
    if (isDescriptors(folder)) return { kind: "stream", path, standard: ownStandard(folder, basename(path)) };
    const target = await readlink(path).catch(() => undefined);
    if (target === undefined) break;
    if (links === MAX_LINKS) throw Object.assign(new Error("too many symbolic links"), { code: "ELOOP" });
    path = resolve(folder, target);
  }
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    return undefined;
  });
  if (!found || found.isFile()) return { kind: "file", path, mode: found && found.mode & 0o777 };
  if (found.isDirectory()) throw Object.assign(new Error("is a directory"), { code: "EISDIR" });
  if (found.isBlockDevice()) throw Object.assign(new Error("it is a disk"), { code: "EINVAL" });
  return { kind: "stream", path, standard: undefined };
}

/** Open a destination of kind `stream`; `end` is false for this process's own outputs, which must stay open. */
export function openStream({ path, standard }: StreamDestination): { sink: Writable; end: boolean } {
  if (standard) return { sink: process[standard], end: false };
  return { sink: createWriteStream(path, { flags: (constants.O_WRONLY | constants.O_APPEND) as unknown as string }), end: true };
}

/** Whether a folder is /dev/fd, or what it links to on Linux. */
function isDescriptors(folder: string): boolean {
  return /^(\/dev|\/proc\/[^/]+(\/task\/\d+)?)\/fd$/.test(folder);
}

function ownStandard(folder: string, descriptor: string): "stdout" | "stderr" | undefined {
  const isOwn = folder === "/dev/fd" || folder === join("/proc", String(process.pid), "fd");
  return isOwn ? STANDARD[Number(descriptor) as 1 | 2] : undefined;
}
