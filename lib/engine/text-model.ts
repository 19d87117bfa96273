import { resolve } from "node:path";
import { resolveModel } from "../models/index.js";
import { addon, callAsync, type NativeModel, type NativeModelInfo } from "../native/index.js";
import { throwIfAborted } from "./abort.js";
import type { LoadModelOptions } from "./load-options.js";
import type { ModelInfo } from "./model-info.js";
import { quantisationName } from "./quantisation.js";
import { defaultThreads, ThreadCount } from "./threads.js";
import { vetModel } from "./vetting/vet.js";

/** Texts per native call; the work can be aborted between calls. */
const TEXTS_PER_CALL = 64;

/** How a GGUF that reads whole texts is loaded. */
export type TextModelOptions = Pick<LoadModelOptions, "gpuLayers" | "mmap" | "threads" | "vet" | "signal">;

/** A loaded GGUF that reads whole texts, from which a classifier, an embedder or a translator is made. */
export interface OpenedTextModel {
  /** Freed afterwards: what is made of it keeps the weights alive. */
  model: NativeModel;
  labels: NativeModelInfo["labels"];
  isEncoderDecoder: boolean;
  info: ModelInfo;
  threads: ThreadCount;
}

/** Loads a GGUF, and makes something of it other than a language model. Throws what `loadModel` throws, and what `make` throws. */
export async function openTextModel<T>(
  nameOrPath: string, { gpuLayers = "all", mmap = true, vet = true, threads, signal }: TextModelOptions,
  make: (opened: OpenedTextModel) => Promise<T>,
): Promise<T> {
  const path = resolve(await resolveModel(nameOrPath));
  if (vet) await vetModel(path, signal);
  const count = new ThreadCount(threads ?? defaultThreads(), threads !== undefined);
  return callAsync(async () => {
    const model = await addon().loadModel(path, { nGpuLayers: gpuLayers === "all" ? -1 : gpuLayers, useMmap: mmap });
    try {
      throwIfAborted(signal);
      const { labels, isCausal: _isCausal, isEncoderDecoder, ...info } = model.info();
      const known = { ...info, path, quantisation: quantisationName(info.fileType) };
      return await make({ model, labels, isEncoderDecoder, info: known, threads: count });
    } finally {
      model.dispose();
    }
  });
}

/** Computes one row of `width` values per text, some texts at a time. Throws E_ABORTED, and what `compute` throws. */
export async function rowsOf(
  texts: readonly string[], width: number, compute: (some: string[]) => Promise<Float32Array>, signal: AbortSignal | undefined,
): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  while (rows.length < texts.length) {
    throwIfAborted(signal);
    const some = texts.slice(rows.length, rows.length + TEXTS_PER_CALL);
    const values = await callAsync(() => compute(some));
    for (let i = 0; i < some.length; i++) rows.push(values.subarray(i * width, (i + 1) * width));
  }
  return rows;
}
