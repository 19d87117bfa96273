import { call, callAsync, type NativeContext, type NativeContextOptions } from "../native/index.js";
import { onAbort, throwIfAborted } from "./abort.js";
import type { Batch } from "./batch.js";
import type { ThreadCount } from "./threads.js";

/** What a piece of work needs of a context. */
export interface ContextNeeds {
  /** KV cells in all. */
  nCtx: number;
  nSeqMax: number;
}

export interface MeasuredAlpha {
  alpha: number;
  /** KL(P || S) in nats, reduced. */
  kl: number;
}

/** What was read off the logits of a decode. */
export interface StepResult {
  /** One per `Batch.measure`; a KL of NaN where a row's logits are not finite. */
  alphas: MeasuredAlpha[];
  /** One per `Batch.sample`; −1 where a row's logits are not finite or its sampler allows no token. */
  tokens: number[];
  /** One per sample: log probability of the token in nats; NaN where it was not asked for. */
  logProbabilities: number[];
}

/** Cells over which ggml does not split attention: it does so from 512 on, and llama.cpp rounds their number up to multiples of 256. */
const UNSPLIT_CELLS = 256;

/** A llama.cpp context: a KV cache shared by sequences, and the hook that steers and captures. One call at a time. */
export class Context implements Disposable {
  private nThreads: number;
  /** Sequences that may have cells, and rows since none had any: llama.cpp takes the first free cells, so no later ones are in use. */
  private readonly filled = new Set<number>();
  private nRows = 0;

  /**
   * `threads`: how many compute; without it, always as many as the context was made with. `hasWholeSequences`: the model keeps a
   * state per sequence.
   */
  constructor(
    private readonly native: NativeContext, readonly options: Readonly<NativeContextOptions>, private readonly threads?: ThreadCount,
    private readonly hasWholeSequences = false,
  ) {
    this.nThreads = options.nThreads;
  }

  /**
   * Compute the rows of a batch, and what it asks to read off their logits. Throws E_ABORTED (KV cache rolled back),
   * E_CONTEXT_FULL, E_NO_KV_SLOT, E_NO_SITE.
   */
  async decode(batch: Batch, signal?: AbortSignal): Promise<StepResult> {
    throwIfAborted(signal);
    this.adjustThreads(batch);
    const forget = onAbort(signal, () => this.native.abort());
    try {
      const { kls, alphas, tokens, logProbabilities } = await callAsync(() => this.native.decode(batch.toNative()));
      return {
        alphas: Array.from(kls, (kl, index) => ({ kl, alpha: alphas[index]! })),
        tokens: Array.from(tokens),
        logProbabilities: Array.from(logProbabilities),
      };
    } finally {
      forget();
    }
  }

  private adjustThreads(batch: Batch): void {
    for (const sequence of batch.sequences) this.filled.add(sequence);
    this.nRows += batch.size;
    const wanted = this.threads?.now(this.isExact(batch)) ?? this.nThreads;
    if (wanted === this.nThreads) return;
    call(() => this.native.setThreads(wanted));
    this.nThreads = wanted;
  }

  /**
   * ggml splits flash attention of a single row over many cells among its threads; nothing else depends on their number
   * (test/native/threads.test.ts). With a state per sequence, a batch may be computed in parts, some of a single row.
   */
  private isExact(batch: Batch): boolean {
    return !this.options.flashAttention || this.nRows <= UNSPLIT_CELLS || (batch.size > 1 && !this.hasWholeSequences);
  }

  /** Stop the decode in flight, if any. */
  abort(): void {
    this.native.abort();
  }

  /** Copy of a row's logits `[nVocab]`. */
  logits(row: number): Float32Array {
    return call(() => this.native.logits(row));
  }

  /** How often the last decode stopped within its graph to synchronise and copy: never on the graph path. */
  stops(): number {
    return call(() => this.native.stops());
  }

  /**
   * llama.cpp's own control vector, `[nLayer − 1, nEmbd]` from layer 1, added at `resid_post` of every row; empty = none.
   * For comparisons: the graph path cannot be used beside it. Throws E_SHAPE, E_BAD_ARGUMENT.
   */
  setControlVector(data: Float32Array): void {
    call(() => this.native.setControlVector(data));
  }

  /** Let sequence `to` share the cells of `from` at positions `[begin, end)`; `end` −1 = to the last. */
  kvCopy(from: number, to: number, begin = 0, end = -1): void {
    call(() => this.native.kvCopy(from, to, begin, end));
    this.filled.add(to);
  }

  kvRemove(sequence: number, begin = 0, end = -1): void {
    call(() => this.native.kvRemove(sequence, begin, end));
    if (begin <= 0 && end < 0) this.filled.delete(sequence);
    if (this.filled.size === 0) this.nRows = 0;
  }

  kvClear(): void {
    call(() => this.native.kvClear());
    this.filled.clear();
    this.nRows = 0;
  }

  /** Free the context; a decode in flight is aborted. Calling it twice is harmless. */
  dispose(): void {
    this.native.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
