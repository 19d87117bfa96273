import { resolve } from "node:path";
import { SteeringError } from "../errors.js";
import { resolveModel } from "../models/index.js";
import { addon, callAsync, type NativeEmbedder } from "../native/index.js";
import type { ModelFingerprint } from "../vector/index.js";
import { throwIfAborted } from "./abort.js";
import { fileFingerprint } from "./fingerprint.js";
import type { ModelInfo } from "./model-info.js";
import type { LoadModelOptions } from "./load-options.js";
import { checkWords } from "./words.js";
import { quantisationName } from "./quantisation.js";
import { defaultThreads, ThreadCount } from "./threads.js";
import { vetModel } from "./vetting/vet.js";
import { TextQueue } from "./text-queue.js";

/** Texts per native call; the work can be aborted between calls. */
const TEXTS_PER_CALL = 64;

/**
 * Loads an embedding model: a GGUF that declares how it pools a text into one vector (`ARCHITECTURE.pooling_type` mean, cls or last), such
 * as nomic-embed-text, BGE, or Qwen3-Embedding.
 *
 * @param nameOrPath as in `loadModel`
 * @throws SteeringError E_NOT_FOUND, E_BAD_GGUF (not an embedding model), E_BAD_ARGUMENT, E_LLAMA, E_NATIVE, E_ABORTED
 */
export async function loadEmbedder(
  nameOrPath: string, options: Pick<LoadModelOptions, "gpuLayers" | "mmap" | "threads" | "vet" | "signal"> = {},
): Promise<Embedder> {
  const path = resolve(await resolveModel(nameOrPath));
  const { gpuLayers = "all", mmap = true, vet = true, threads, signal } = options;
  if (vet) await vetModel(path, signal);
  const count = new ThreadCount(threads ?? defaultThreads(), threads !== undefined);
  return callAsync(async () => {
    const model = await addon().loadModel(path, { nGpuLayers: gpuLayers === "all" ? -1 : gpuLayers, useMmap: mmap });
    try {
      throwIfAborted(signal);
      const { labels: _labels, isCausal: _isCausal, ...info } = model.info();
      const native = await model.createEmbedder({ nThreads: count.most }).catch((error: Error) => {
        throw Object.assign(error, { message: `${path}: ${error.message}` });
      });
      return new Embedder(native, { ...info, path, quantisation: quantisationName(info.fileType) }, count);
    } finally {
      model.dispose(); // the embedding model's context keeps the weights alive
    }
  });
}

/**
 * Turns texts into vectors: the closer the meaning of two texts, the smaller the angle. Free it with `dispose()` or `using`.
 *
 * @hideconstructor
 */
export class Embedder implements Disposable {
  /** Length of the vectors. */
  readonly width: number;
  /** How the states of a text's tokens become one vector: their mean, that of the first (`cls`) or of the last token. */
  readonly pooling: "mean" | "cls" | "last";
  private readonly queue = new TextQueue();

  constructor(private readonly native: NativeEmbedder, readonly info: Readonly<ModelInfo>, private readonly threads: ThreadCount) {
    ({ width: this.width, pooling: this.pooling } = native.info());
  }

  /** Identifies the model. */
  fingerprint(): Promise<ModelFingerprint> {
    return fileFingerprint(this.info);
  }

  /**
   * Returns one vector `[width]` of length 1 per text, in order. Concurrent calls run one after the other.
   *
   * @throws SteeringError E_BAD_ARGUMENT (an empty text, or a word of more than 16,384 characters), E_CONTEXT_FULL (a text that is too
   *   long), E_NOT_FINITE, E_LLAMA, E_ABORTED, E_DISPOSED
   */
  embed(texts: readonly string[], { signal }: { signal?: AbortSignal } = {}): Promise<Float32Array[]> {
    return this.queue.run(texts, (own) => this.embedAll(own, signal));
  }

  /** Frees the model and aborts work in flight. Calling it twice is harmless. */
  dispose(): void {
    this.native.dispose();
  }

  /** For `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  private async embedAll(texts: readonly string[], signal: AbortSignal | undefined): Promise<Float32Array[]> {
    texts.forEach(checkWords);
    const found: Float32Array[] = [];
    while (found.length < texts.length) {
      throwIfAborted(signal);
      const some = texts.slice(found.length, found.length + TEXTS_PER_CALL);
      const vectors = await callAsync(() => {
        this.native.setThreads(this.threads.now());
        return this.native.embed(some);
      });
      for (let i = 0; i < some.length; i++) found.push(normalised(vectors.subarray(i * this.width, (i + 1) * this.width)));
    }
    return found;
  }
}

function normalised(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  if (length > 0 && Number.isFinite(length)) return vector.map((value) => value / length);
  throw new SteeringError("E_NOT_FINITE", "the embedding of a text is zero or not finite: the model's weights are broken");
}
