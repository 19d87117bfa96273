import { SteeringError } from "../errors.js";
import type { NativeEmbedder } from "../native/index.js";
import type { ModelFingerprint } from "../vector/index.js";
import { fileFingerprint } from "./fingerprint.js";
import type { ModelInfo } from "./model-info.js";
import { openTextModel, rowsOf, type TextModelOptions } from "./text-model.js";
import { TextQueue } from "./text-queue.js";
import type { ThreadCount } from "./threads.js";
import { checkWords } from "./words.js";

/**
 * Loads an embedding model: a GGUF that declares how it pools a text into one vector (`ARCHITECTURE.pooling_type` mean, cls or last), such
 * as nomic-embed-text, BGE, or Qwen3-Embedding.
 *
 * @param nameOrPath as in `loadModel`
 * @throws SteeringError E_NOT_FOUND, E_BAD_GGUF (not an embedding model), E_BAD_ARGUMENT, E_LLAMA, E_NATIVE, E_ABORTED
 */
export async function loadEmbedder(nameOrPath: string, options: TextModelOptions = {}): Promise<Embedder> {
  return openTextModel(nameOrPath, options, async ({ model, info, threads }) => {
    const native = await model.createEmbedder({ nThreads: threads.most }).catch((error: Error) => {
      throw Object.assign(error, { message: `${info.path}: ${error.message}` });
    });
    return new Embedder(native, info, threads);
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
    const rows = await rowsOf(texts, this.width, (some) => {
      this.native.setThreads(this.threads.now());
      return this.native.embed(some);
    }, signal);
    return rows.map(normalised);
  }
}

function normalised(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  if (length > 0 && Number.isFinite(length)) return vector.map((value) => value / length);
  throw new SteeringError("E_NOT_FINITE", "the embedding of a text is zero or not finite: the model's weights are broken");
}
