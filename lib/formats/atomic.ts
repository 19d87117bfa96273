import { createReadStream } from "node:fs";
import { access, constants, mkdir, open, rename, stat, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { SteeringError } from "../errors.js";
import { destinationOf, openStream, type StreamDestination } from "./destination.js";
import { withPartial } from "./partial.js";

/**
 * Write `data` to `path` so that a reader sees the old file or the whole new one, never a part, whoever else writes there.
 * A symbolic link is followed; a device or a pipe is written to. Throws E_WRITE.
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  await writeTo(path, (file) => file.writeFile(data), async (stream) => send(Readable.from([data]), stream));
}

/**
 * The same for what `write` writes, in as many pieces as it likes; what it throws of its own goes through. For a device or a
 * pipe, which takes no bytes at a position, they are collected in a temporary file that only this user can read.
 */
export async function writeAtomic(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  await writeTo(path, write, async (stream) => {
    await withPartial(await temporaryFolder(), async (partial) => {
      await writeNew(partial, write, 0o600);
      await send(createReadStream(partial), stream);
    });
  });
}

async function writeTo(
  path: string, toFile: (file: FileHandle) => Promise<void>, toStream: (stream: StreamDestination) => Promise<void>,
): Promise<void> {
  try {
    const destination = await destinationOf(path);
    if (destination.kind === "stream") return await toStream(destination);
    const folder = dirname(destination.path);
    await mkdir(folder, { recursive: true });
    await withPartial(folder, async (partial) => {
      await writeNew(partial, toFile, destination.mode);
      await land(partial, destination.path);
    });
  } catch (error) {
    throw error instanceof SteeringError ? error : cannotWrite(path, error as NodeJS.ErrnoException);
  }
}

/** Throws E_WRITE. */
async function temporaryFolder(): Promise<string> {
  const folder = tmpdir();
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
    return folder;
  } catch (error) {
    throw cannotWrite(folder, error as NodeJS.ErrnoException);
  }
}

async function send(bytes: Readable, destination: StreamDestination): Promise<void> {
  const { sink, end } = openStream(destination);
  await pipeline(bytes, sink, { end });
}

/** Rename a whole file to its final name, so that it is there after a power cut too. */
export async function land(partial: string, path: string): Promise<void> {
  await rename(partial, path);
  const folder = await open(dirname(path), "r").catch(() => undefined); // Windows opens no folders
  await folder?.sync().catch(() => undefined); // nor do all file systems flush them
  await folder?.close();
}

/** Write all bytes at a position: one call of the system may write less. */
export async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}

/** Write and flush a file that must not exist, with the permissions `mode` if given. */
async function writeNew(path: string, write: (file: FileHandle) => Promise<void>, mode: number | undefined): Promise<void> {
  const file = await open(path, "wx", mode ?? 0o666);
  try {
    if (mode !== undefined) await file.chmod(mode);
    await write(file);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** How GGUF files begin, and the entry that tells a control vector, the only kind that is written here. */
const GGUF = "GGUF";
const CONTROL_VECTOR = /general\.architecture\x08\0\0\0\x0d\0{7}controlvector/;
const HEAD_BYTES = 65_536;

/**
 * Find out before long work whether its result can be written. Makes the folder. Throws E_WRITE; also where the result
 * would take the place of a model, or of one of the `inputs` that it is made of. `inPieces`: it will be written by `writeAtomic`.
 */
export async function assertWritable(path: string, inputs: readonly string[] = [], { inPieces = false } = {}): Promise<void> {
  try {
    await assertReachable(path, inPieces);
  } catch (error) {
    throw error instanceof SteeringError ? error : cannotWrite(path, error as NodeJS.ErrnoException);
  }
  const existing = await stat(path).catch(() => undefined);
  if (!existing?.isFile()) return;
  const begin = await headOf(path);
  if (begin.startsWith(GGUF) && !CONTROL_VECTOR.test(begin)) throw new SteeringError("E_WRITE", `cannot write ${path}: there is a model, which would be gone`);
  for (const input of inputs) {
    const other = await stat(input).catch(() => undefined);
    if (other?.ino === existing.ino && other.dev === existing.dev) throw new SteeringError("E_WRITE", `cannot write ${path}: it is read for this, and would be gone`);
  }
}

async function assertReachable(path: string, inPieces: boolean): Promise<void> {
  const destination = await destinationOf(path);
  if (destination.kind === "stream" && inPieces) await temporaryFolder();
  if (destination.kind === "stream") return destination.standard ? undefined : access(destination.path, constants.W_OK);
  await mkdir(dirname(destination.path), { recursive: true });
  await access(dirname(destination.path), constants.W_OK);
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
    EDQUOT: "the disk quota is used up", ENAMETOOLONG: "its name is too long", ERR_INVALID_ARG_VALUE: "its name holds a NUL character",
    ELOOP: "its symbolic links lead nowhere", EPIPE: "its reader is gone",
  };
  return new SteeringError("E_WRITE", `cannot write ${path}: ${reasons[cause.code ?? ""] ?? cause.message}`, { cause });
}
