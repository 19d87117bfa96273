import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { SteeringError } from "../errors.js";
import { modelFiles } from "../formats/index.js";
import type { ModelFingerprint } from "../vector/index.js";
import type { ModelInfo } from "./model-info.js";

const CHUNK_BYTES = 64 * 1024;
const N_CHUNKS = 64;

/** Identifies a model by its shape, its vocabulary and a hash of its file or files. Throws E_NOT_FOUND if a file is gone. */
export async function fileFingerprint(info: ModelInfo): Promise<ModelFingerprint> {
  return {
    architecture: info.architecture,
    nLayer: info.nLayer,
    nEmbd: info.nEmbd,
    nHead: info.nHead,
    tokenizerHash: info.tokenizerHash,
    fileHash: `sha256-sampled:${await modelHash(info.path)}`,
    quantisation: info.quantisation,
  };
}

/** The hash of a model is that of its file or, if it is split, the hash of its parts' hashes in order. */
async function modelHash(path: string): Promise<string> {
  const hashes: string[] = [];
  for (const file of modelFiles(path)) hashes.push(await sampledHash(file));
  return hashes.length === 1 ? hashes[0]! : createHash("sha256").update(hashes.join("\n")).digest("hex");
}

/**
 * SHA-256 over the file's size and 64 evenly spaced chunks of 64 KiB, including the first and the last. It distinguishes fine-tunes and
 * quantisations of a model in milliseconds; hashing 40 GB would take a minute.
 */
async function sampledHash(path: string): Promise<string> {
  const file = await open(path, "r").catch((cause: NodeJS.ErrnoException) => {
    throw new SteeringError("E_NOT_FOUND",
      `${path} can no longer be read (${cause.code}), but vectors are bound to its content. Restore the file`, { cause });
  });
  try {
    const { size } = await file.stat();
    const hash = createHash("sha256").update(`${size}\n`);
    const buffer = Buffer.alloc(CHUNK_BYTES);
    const lastStart = Math.max(0, size - CHUNK_BYTES);
    for (let chunk = 0; chunk < N_CHUNKS; chunk++) {
      const start = Math.floor((lastStart * chunk) / (N_CHUNKS - 1));
      const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, start);
      hash.update(buffer.subarray(0, bytesRead));
    }
    return hash.digest("hex");
  } finally {
    await file.close();
  }
}
