import { resolve } from "node:path";
import { SteeringError } from "../errors.js";
import { resolveModel } from "../models/index.js";
import { addon, callAsync, type NativeClassifier } from "../native/index.js";
import type { ModelFingerprint } from "../vector/index.js";
import { throwIfAborted } from "./abort.js";
import { fileFingerprint } from "./fingerprint.js";
import type { ModelInfo } from "./model-info.js";
import type { LoadModelOptions } from "./load-options.js";
import { checkWords } from "./engine.js";
import { quantisationName } from "./quantisation.js";
import { defaultThreads, ThreadCount } from "./threads.js";
import { vetModel } from "./vetting/vet.js";
import { TextQueue } from "./text-queue.js";

/** What a classifier says of a text. */
export interface Classification {
  /** The likeliest label. */
  label: string;
  /** Softmax of the logits, by label. */
  probabilities: Record<string, number>;
  /** In the order of the classifier's labels. */
  logits: number[];
}

/** Texts of one native call: between calls a classification can be stopped. */
const TEXTS_PER_CALL = 64;

/**
 * Load a GGUF with a classification head and two labels or more: XLM-R, RoBERTa, DistilBERT and other encoders. Of BERT
 * itself llama.cpp's converter leaves out the pooler: such a file gives other scores than its original.
 *
 * @param nameOrPath as in `loadModel`
 * @throws SteeringError E_NOT_FOUND, E_BAD_GGUF, E_BAD_ARGUMENT, E_LLAMA, E_NATIVE, E_ABORTED
 */
export async function loadClassifier(nameOrPath: string, options: Pick<LoadModelOptions, "gpuLayers" | "mmap" | "threads" | "vet" | "signal"> = {}): Promise<Classifier> {
  const path = resolve(await resolveModel(nameOrPath));
  const { gpuLayers = "all", mmap = true, vet = true, threads, signal } = options;
  if (vet) await vetModel(path, signal);
  const count = new ThreadCount(threads ?? defaultThreads(), threads !== undefined);
  return callAsync(async () => {
    const model = await addon().loadModel(path, { nGpuLayers: gpuLayers === "all" ? -1 : gpuLayers, useMmap: mmap });
    try {
      throwIfAborted(signal);
      const { labels, isCausal: _isCausal, ...info } = model.info();
      if (labels.length === 0) throw new SteeringError("E_BAD_GGUF", `${path} has no classification head: it is no classifier. A language model is loaded by loadModel`);
      if (new Set(labels).size < Math.max(2, labels.length)) throw new SteeringError("E_BAD_GGUF", `${path} has the labels ${labels.join(", ")}; two different ones at least are needed`);
      return new Classifier(await model.createClassifier({ nThreads: count.most }), labels, { ...info, path, quantisation: quantisationName(info.fileType) }, count);
    } finally {
      model.dispose(); // the classifier holds on to the weights
    }
  });
}

/**
 * Says of texts which of its labels they have. Free it with `dispose()` or `using`.
 *
 * @hideconstructor
 */
export class Classifier implements Disposable {
  private readonly queue = new TextQueue();

  constructor(private readonly native: NativeClassifier, readonly labels: readonly string[], readonly info: Readonly<ModelInfo>, private readonly threads: ThreadCount) {}

  /** Tells classifiers apart. */
  fingerprint(): Promise<ModelFingerprint> {
    return fileFingerprint(this.info);
  }

  /**
   * One classification per text, in their order. Calls wait for one another.
   *
   * @throws SteeringError E_BAD_ARGUMENT (an empty text, or a word of more than 16,384 characters), E_CONTEXT_FULL
   *   (a text that is too long), E_NOT_FINITE, E_LLAMA, E_ABORTED, E_DISPOSED
   */
  classify(texts: readonly string[], { signal }: { signal?: AbortSignal } = {}): Promise<Classification[]> {
    return this.queue.run(texts, (own) => this.classifyAll(own, signal));
  }

  /** Free it; work in flight is aborted. Calling it twice is harmless. */
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
    if (!Number.isFinite(largest)) throw new SteeringError("E_NOT_FINITE", "the classifier's scores are not finite: its weights are broken");
    const weights = logits.map((logit) => Math.exp(logit - largest));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return {
      label: this.labels[logits.indexOf(largest)]!,
      probabilities: Object.fromEntries(this.labels.map((label, i) => [label, weights[i]! / total])),
      logits,
    };
  }
}
