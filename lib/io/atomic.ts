import { access, constants, mkdir, open, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { SteeringError } from "../errors.js";

/**
 * Write `data` to `path` so that a reader sees the old file or the whole new one, never a part. Throws E_WRITE.
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  await writeAtomic(path, (file) => file.writeFile(data));
}

/** The same for what `write` writes, in as many pieces as it likes; what it throws of its own goes through. */
export async function writeAtomic(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const partial = `${path}.${process.pid}.partial`;
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(partial, "w");
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true }).catch(() => undefined); // the first error is the one to report
    throw error instanceof SteeringError ? error : cannotWrite(path, error as NodeJS.ErrnoException);
  }
}

/** How GGUF files begin, and the entry that tells a control vector, the only kind that is written here. */
const GGUF = "GGUF";
const CONTROL_VECTOR = /general\.architecture\x08\0\0\0\x0d\0{7}controlvector/;
const HEAD_BYTES = 65_536;

/**
 * Find out before long work whether its result can be written. Makes the folder. Throws E_WRITE; also where the result
 * would take the place of a model, or of one of the `inputs` that it is made of.
 */
export async function assertWritable(path: string, inputs: readonly string[] = []): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await access(dirname(path), constants.W_OK);
  } catch (error) {
    throw cannotWrite(path, error as NodeJS.ErrnoException);
  }
  const existing = await stat(path).catch(() => undefined);
  if (!existing) return;
  if (existing.isDirectory()) throw new SteeringError("E_WRITE", `cannot write ${path}: it is a folder`);
  const begin = existing.isFile() ? await headOf(path) : "";
  if (begin.startsWith(GGUF) && !CONTROL_VECTOR.test(begin)) throw new SteeringError("E_WRITE", `cannot write ${path}: there is a model, which would be gone`);
  for (const input of inputs) {
    const other = await stat(input).catch(() => undefined);
    if (other?.ino === existing.ino && other.dev === existing.dev) throw new SteeringError("E_WRITE", `cannot write ${path}: it is read for this, and would be gone`);
  }
}

async function headOf(path: string): Promise<string> {
  const file = await open(path, "r").catch(() => undefined); // one that cannot be read can be replaced all the same
  if (!file) return "";
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.toString("latin1", 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** E_WRITE with the reason in words. */
export function cannotWrite(path: string, cause: NodeJS.ErrnoException): SteeringError {
  const reasons: Record<string, string> = {
    EACCES: "permission denied", EPERM: "permission denied", EROFS: "the file system is read-only", ENOSPC: "the disk is full",
    EISDIR: "it is a folder", ENOTDIR: "a part of its path is a file", EEXIST: "a part of its path is a file",
  };
  return new SteeringError("E_WRITE", `cannot write ${path}: ${reasons[cause.code ?? ""] ?? cause.message}`, { cause });
}
