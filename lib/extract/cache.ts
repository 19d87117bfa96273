import { createHash } from "node:crypto";
import { readdir, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { throwIfAborted } from "../errors.js";
import type { Engine } from "../engine/index.js";
import { homeFolder, MAX_SAFETENSORS_BYTES, readFileUpTo, writeFileAtomic } from "../formats/index.js";
import { decodeVector, encodeVector, SteeringVector } from "../vector/index.js";
import { extractionKey, optionsKey } from "./cache-key.js";
import type { ExtractionOptions } from "./extract.js";

/** Options of the cache of extracted vectors. */
export interface CacheOption {
  /**
   * Use the vector of an earlier extraction with the same model and options, and keep this one in the cache folder, which holds at most
   * 1 GiB of them. Default true, unless the environment has `LLAMA_STEER_NO_CACHE`.
   */
  cache?: boolean;
  /** Called with the path of the file if the vector comes from the cache. */
  onCached?: (path: string) => void;
}

/** When it holds more, the vectors that have not been used for longest are removed. */
const MOST_BYTES = 2 ** 30;
const KEY_DIGITS = 32;
/** What an extraction depends on, and its content: a damaged file does not have the content that its name promises. */
const NAME = /^[0-9a-f]{32}-([0-9a-f]{32})\.safetensors$/;

/**
 * The vector of an earlier extraction with the same model and options; else that of `make`, which is kept. A folder that cannot be read
 * or written only costs time. Throws what `make` throws, and E_ABORTED.
 */
export async function throughCache(
  model: Engine, options: ExtractionOptions, make: () => Promise<SteeringVector>, mostBytes = MOST_BYTES,
): Promise<SteeringVector> {
  const { cache = !process.env["LLAMA_STEER_NO_CACHE"], onCached, signal } = options;
  if (!cache) return make();
  const given = optionsKey(options);
  const folder = cacheFolder();
  const key = folder === undefined || given === undefined ? undefined : await extractionKey(model, given).catch(() => undefined);
  throwIfAborted(signal);
  if (folder === undefined || key === undefined) return make();
  const begin = key.slice(0, KEY_DIGITS);
  const found = await lookUp(folder, begin);
  throwIfAborted(signal);
  if (found) {
    onCached?.(found.path);
    return found.vector;
  }
  const vector = await make();
  if (optionsKey(options) !== given) return vector;
  const bytes = bytesOf(vector);
  if (!bytes) return vector;
  await store(folder, begin, bytes, mostBytes).catch(() => undefined);
  return new SteeringVector(decodeVector(bytes, folder)); // as it will be read: a file of either has the same bytes
}

/** Undefined if the user has no home folder. */
function cacheFolder(): string | undefined {
  try {
    return join(homeFolder(), "extracted");
  } catch {
    return undefined;
  }
}

async function lookUp(folder: string, begin: string): Promise<{ path: string; vector: SteeringVector } | undefined> {
  for (const name of await namesIn(folder)) {
    if (!name.startsWith(begin)) continue;
    const path = join(folder, name);
    try {
      const bytes = await readFileUpTo(path, "E_BAD_VECTOR", MAX_SAFETENSORS_BYTES, `vector file ${path}`);
      if (contentHash(bytes) === NAME.exec(name)![1]) {
        const vector = new SteeringVector(decodeVector(bytes, path));
        await utimes(path, new Date(), new Date()).catch(() => undefined);
        return { path, vector };
      }
    } catch {
      // As if it were not there: it is removed, and the vector extracted again.
    }
    await rm(path, { force: true }).catch(() => undefined);
  }
  return undefined;
}

/** Undefined for a vector that cannot be stored. */
function bytesOf(vector: SteeringVector): Buffer | undefined {
  try {
    return Buffer.from(encodeVector(vector, "the cache"));
  } catch {
    return undefined;
  }
}

async function store(folder: string, begin: string, bytes: Buffer, mostBytes: number): Promise<void> {
  if (bytes.byteLength > mostBytes) return;
  await writeFileAtomic(join(folder, `${begin}-${contentHash(bytes)}.safetensors`), bytes);
  await shrink(folder, mostBytes);
}

/** Removes the vectors that have not been used for longest, until the others have at most `mostBytes`. */
async function shrink(folder: string, mostBytes: number): Promise<void> {
  const files = await Promise.all((await namesIn(folder)).map(async (name) => {
    const path = join(folder, name);
    const { size, mtimeMs } = await stat(path).catch(() => ({ size: 0, mtimeMs: 0 })); // another process may just have removed it
    return { path, size, mtimeMs };
  }));
  let bytes = 0;
  for (const { path, size } of files.sort((a, b) => b.mtimeMs - a.mtimeMs)) {
    bytes += size;
    if (bytes > mostBytes) await rm(path, { force: true }).catch(() => undefined);
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).filter((name) => NAME.test(name));
}

function contentHash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex").slice(0, KEY_DIGITS);
}
