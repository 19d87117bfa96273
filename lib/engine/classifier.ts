import { SteeringError } from "../errors.js";
import type { NativeClassifier } from "../native/index.js";
import type { ModelFingerprint } from "../vector/index.js";
import { fileFingerprint } from "./fingerprint.js";
import type { ModelInfo } from "./model-info.js";
import { openTextModel, rowsOf, type TextModelOptions } from "./text-model.js";
import { TextQueue } from "./text-queue.js";
import type { ThreadCount } from "./threads.js";
import { checkWords } from "./words.js";

/** A classifier's result for one text. */
export interface Classification {
  /** The likeliest label. */
  label: string;
  /** Softmax of the logits, by label. */
  probabilities: Record<string, number>;
  /** In the order of the classifier's labels. */
  logits: number[];
}

/**
 * Loads a GGUF with a classification head and at least two labels: XLM-R, RoBERTa, DistilBERT and other encoders. llama.cpp's converter
 * omits the pooler of the original BERT, so the scores of such a file differ from those of its original.
 *
 * @param nameOrPath as in `loadModel`
 * @throws SteeringError E_NOT_FOUND, E_BAD_GGUF, E_BAD_ARGUMENT, E_LLAMA, E_NATIVE, E_ABORTED
 */
export async function loadClassifier(nameOrPath: string, options: TextModelOptions = {}): Promise<Classifier> {
  return openTextModel(nameOrPath, options, async ({ model, labels, info, threads }) => {
    checkLabels(info.path, labels);
    return new Classifier(await model.createClassifier({ nThreads: threads.most }), labels, info, threads);
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
    const rows = await rowsOf(texts, this.labels.length, (some) => {
      this.native.setThreads(this.threads.now());
      return this.native.classify(some);
    }, signal);
    return rows.map((row) => this.read(Array.from(row)));
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
