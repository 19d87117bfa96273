import { createReadStream } from "node:fs";
import { access, constants, mkdir, open, rename, stat, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, resolve } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { SteeringError } from "../errors.js";
import { destinationOf, openStream, type StreamDestination } from "./destination.js";
import { flush } from "./flush.js";
import { withPartial } from "./partial.js";

/**
 * Write `data` to `path` atomically: a reader sees either the old file or the complete new one, even if others write there too.
 * Follows symbolic links; writes directly to devices and pipes. Throws E_WRITE.
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  await writeTo(path, (file) => file.writeFile(data), async (stream) => send(Readable.from([data]), stream));
}

/**
 * Like `writeFileAtomic`, but `write` may write the content in any number of pieces; its own SteeringErrors pass through.
 * Devices and pipes are not seekable, so their content is first collected in a temporary file that only this user can read. `check` gets
 * the path of the written file before it replaces the old one; if it throws, the old one stays.
 */
export async function writeAtomic(
  path: string, write: (file: FileHandle) => Promise<void>, check: (written: string) => Promise<void> = async () => undefined,
): Promise<void> {
  await writeTo(path, write, async (stream) => {
    await withPartial(await temporaryFolder(), async (partial) => {
      await writeNew(partial, write, 0o600);
      await check(partial);
      await send(createReadStream(partial), stream);
    });
  }, check);
}

/** Characters of lines that are written at once. */
const BLOCK = 2 ** 20;

/** Like `writeFileAtomic`, but for lines that would be too long for V8 in one text. */
export async function writeLinesAtomic(path: string, lines: Iterable<string>): Promise<void> {
  await writeAtomic(path, async (file) => {
    let block = "";
    for (const line of lines) {
      block += line;
      if (block.length < BLOCK) continue;
      await file.writeFile(block);
      block = "";
    }
    await file.writeFile(block);
  });
}

async function writeTo(
  path: string, toFile: (file: FileHandle) => Promise<void>, toStream: (stream: StreamDestination) => Promise<void>,
  check?: (written: string) => Promise<void>,
): Promise<void> {
  try {
    const destination = await destinationOf(path);
    if (destination.kind === "stream") return await toStream(destination);
    const folder = dirname(destination.path);
    await mkdir(folder, { recursive: true });
    await withPartial(folder, async (partial) => {
      await writeNew(partial, toFile, destination.mode);
      await check?.(partial);
      await land(partial, destination.path);
    });
  } catch (error) {
    throw error instanceof SteeringError ? error : cannotWrite(path, error as NodeJS.ErrnoException);
  }
}

/** The system's temporary folder, created if missing. Throws E_WRITE unless it is writable. */
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

/** Rename a complete file to its final name, durably: the rename survives a power cut. */
export async function land(partial: string, path: string): Promise<void> {
  await rename(partial, path);
  const folder = await open(dirname(path), "r").catch(() => undefined); // Windows cannot open folders
  if (!folder) return;
  await flush(folder).catch(() => undefined); // some file systems cannot flush them
  await folder.close();
}

/** Write all bytes at a position: a single system call may write fewer. */
export async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}

/** Write and flush a file that must not exist yet, with permissions `mode` if given. */
async function writeNew(path: string, write: (file: FileHandle) => Promise<void>, mode: number | undefined): Promise<void> {
  const file = await open(path, "wx", mode ?? 0o666);
  try {
    if (mode !== undefined) await file.chmod(mode);
    await write(file);
    await flush(file);
  } finally {
    await file.close();
  }
}

/** The magic of GGUF files, and the metadata entry of control vectors, the only GGUF files that we write. */
const GGUF = "GGUF";
const CONTROL_VECTOR = /general\.architecture\x08\0\0\0\x0d\0{7}controlvector/;
const HEAD_BYTES = 65_536;

/**
 * Check before a long computation that its result can be written; returns the outermost folder that writing it will create, if any. Creates
 * none itself. `inPieces`: `writeAtomic` will write it. Throws E_WRITE, also if the result would overwrite a model or one of its own
 * `inputs`.
 */
export async function assertWritable(path: string, inputs: readonly string[] = [], { inPieces = false } = {}): Promise<string | undefined> {
  let created: string | undefined;
  try {
    created = await assertReachable(path, inPieces);
  } catch (error) {
    throw error instanceof SteeringError ? error : cannotWrite(path, error as NodeJS.ErrnoException);
  }
  const existing = await stat(path).catch(() => undefined);
  if (!existing?.isFile()) return created;
  const begin = await headOf(path);
  if (begin.startsWith(GGUF) && !CONTROL_VECTOR.test(begin)) {
    throw new SteeringError("E_WRITE", `cannot write ${path}: refusing to overwrite a model file; choose another path`);
  }
  for (const input of inputs) {
    const other = await stat(input).catch(() => undefined);
    if (other?.ino === existing.ino && other.dev === existing.dev) {
      throw new SteeringError("E_WRITE", `cannot write ${path}: refusing to overwrite its own input; choose another path`);
    }
  }
  return undefined;
}

/** Returns the outermost folder that is missing. */
async function assertReachable(path: string, inPieces: boolean): Promise<string | undefined> {
  const destination = await destinationOf(path);
  if (destination.kind === "stream" && inPieces) await temporaryFolder();
  if (destination.kind === "stream") {
    if (!destination.standard) await access(destination.path, constants.W_OK);
    return undefined;
  }
  const folder = resolve(dirname(destination.path));
  let [existing, missing]: [string, string | undefined] = [folder, undefined];
  for (; !await isThere(existing); existing = dirname(existing)) missing = existing;
  if (!(await stat(existing)).isDirectory()) throw Object.assign(new Error(`${existing} is not a folder`), { code: "ENOTDIR" });
  await access(existing, constants.W_OK);
  return missing;
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(() => true, (error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" && dirname(path) !== path) return false;
    throw error;
  });
}

async function headOf(path: string): Promise<string> {
  const file = await open(path, "r").catch(() => undefined); // an unreadable file can still be replaced
  if (!file) return "";
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.toString("latin1", 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** The E_WRITE error for a system error, with the reason in words. */
export function cannotWrite(path: string, cause: NodeJS.ErrnoException): SteeringError {
  const reasons: Record<string, string> = {
    EACCES: "permission denied", EPERM: "permission denied", EROFS: "the file system is read-only", ENOSPC: "the disk is full",
    EISDIR: "it is a folder", ENOTDIR: "a part of its path is a file", EEXIST: "a part of its path is a file",
    EDQUOT: "the disk quota is exceeded", ENAMETOOLONG: "its name is too long",
    ERR_INVALID_ARG_VALUE: "its name contains a NUL character", ELOOP: "its symbolic links form a loop", EPIPE: "its reader has closed it",
  };
  return new SteeringError("E_WRITE", `cannot write ${path}: ${reasons[cause.code ?? ""] ?? cause.message}`, { cause });
}
