import { resolve } from "node:path";
import { SteeringError } from "../errors.js";
import { resolveModel } from "../models/index.js";
import { addon, callAsync, type NativeClassifier } from "../native/index.js";
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

/** A classifier's result for one text. */
export interface Classification {
  /** The likeliest label. */
  label: string;
  /** Softmax of the logits, by label. */
  probabilities: Record<string, number>;
  /** In the order of the classifier's labels. */
  logits: number[];
}

/** Texts per native call; a classification can be aborted between calls. */
const TEXTS_PER_CALL = 64;

/**
 * Loads a GGUF with a classification head and at least two labels: XLM-R, RoBERTa, DistilBERT and other encoders. llama.cpp's converter
 * omits the pooler of the original BERT, so the scores of such a file differ from those of its original.
 *
 * @param nameOrPath as in `loadModel`
 * @throws SteeringError E_NOT_FOUND, E_BAD_GGUF, E_BAD_ARGUMENT, E_LLAMA, E_NATIVE, E_ABORTED
 */
export async function loadClassifier(
  nameOrPath: string, options: Pick<LoadModelOptions, "gpuLayers" | "mmap" | "threads" | "vet" | "signal"> = {},
): Promise<Classifier> {
  const path = resolve(await resolveModel(nameOrPath));
  const { gpuLayers = "all", mmap = true, vet = true, threads, signal } = options;
  if (vet) await vetModel(path, signal);
  const count = new ThreadCount(threads ?? defaultThreads(), threads !== undefined);
  return callAsync(async () => {
    const model = await addon().loadModel(path, { nGpuLayers: gpuLayers === "all" ? -1 : gpuLayers, useMmap: mmap });
    try {
      throwIfAborted(signal);
      const { labels, isCausal: _isCausal, ...info } = model.info();
      checkLabels(path, labels);
      const native = await model.createClassifier({ nThreads: count.most });
      return new Classifier(native, labels, { ...info, path, quantisation: quantisationName(info.fileType) }, count);
    } finally {
      model.dispose(); // the classifier keeps the weights alive
    }
  });
}

function checkLabels(path: string, labels: readonly string[]): void {
  if (labels.length === 0) {
    throw new SteeringError("E_BAD_GGUF",
      `${path} is not a classifier: it has no classification head. To load a language model, use loadModel`);
  }
  if (new Set(labels).size >= Math.max(2, labels.length)) return;
  throw new SteeringError("E_BAD_GGUF", `${path} has the labels ${labels.join(", ")}; expected at least two, all different`);
}

/**
 * Classifies texts by its labels. Free it with `dispose()` or `using`.
 *
 * @hideconstructor
 */
export class Classifier implements Disposable {
  private readonly queue = new TextQueue();

  constructor(
    private readonly native: NativeClassifier, readonly labels: readonly string[], readonly info: Readonly<ModelInfo>,
    private readonly threads: ThreadCount,
  ) {}

  /** Identifies the classifier. */
  fingerprint(): Promise<ModelFingerprint> {
    return fileFingerprint(this.info);
  }

  /**
   * Returns one classification per text, in order. Concurrent calls run one after the other.
   *
   * @throws SteeringError E_BAD_ARGUMENT (an empty text, or a word of more than 16,384 characters), E_CONTEXT_FULL (a text that is too
   *   long), E_NOT_FINITE, E_LLAMA, E_ABORTED, E_DISPOSED
   */
  classify(texts: readonly string[], { signal }: { signal?: AbortSignal } = {}): Promise<Classification[]> {
    return this.queue.run(texts, (own) => this.classifyAll(own, signal));
  }

  /** Frees the classifier and aborts work in flight. Calling it twice is harmless. */
  dispose(): void {
    this.native.dispose();
  }

  /** For `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  private async classifyAll(texts: readonly string[], signal: AbortSignal | undefined): Promise<Classification[]> {
    texts.forEach(checkWords);
    const found: Classification[] = [];
    while (found.length < texts.length) {
      throwIfAborted(signal);
      const some = texts.slice(found.length, found.length + TEXTS_PER_CALL);
      const logits = await callAsync(() => {
        this.native.setThreads(this.threads.now());
        return this.native.classify(some);
      });
      const n = this.labels.length;
      for (let i = 0; i < some.length; i++) found.push(this.read(Array.from(logits.subarray(i * n, (i + 1) * n))));
    }
    return found;
  }

  private read(logits: number[]): Classification {
    const largest = Math.max(...logits);
    if (!Number.isFinite(largest)) {
      throw new SteeringError("E_NOT_FINITE", "the classifier's scores are not finite: its weights are broken");
    }
    const weights = logits.map((logit) => Math.exp(logit - largest));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return {
      label: this.labels[logits.indexOf(largest)]!,
      probabilities: Object.fromEntries(this.labels.map((label, i) => [label, weights[i]! / total])),
      logits,
    };
  }
}
