import { SteeringError } from "../errors.js";
import { call, callAsync, type NativeCapture, type NativeContext, type NativeContextOptions } from "../native/index.js";
import type { HookSite, KlReduction, SteeringVector } from "../steering/index.js";
import { int32s, type Batch } from "./batch.js";

/** One KL to measure on the rows of the last decode. */
export interface AlphaRequest {
  /** Row of the unsteered stream P. */
  baseline: number;
  /** Row of the strongly steered stream S. */
  strong: number;
  topP: number;
  alphaMax: number;
  klReduction: KlReduction;
}

export interface MeasuredAlpha {
  alpha: number;
  /** KL(P || S) in nats, reduced. */
  kl: number;
}

/** A llama.cpp context: a KV cache shared by sequences, and the hook that steers and captures. One call at a time. */
export class Context {
  constructor(private readonly native: NativeContext, readonly options: Readonly<NativeContextOptions>) {}

  /**
   * Compute the rows of a batch. Throws E_ABORTED (KV cache rolled back), E_CONTEXT_FULL, E_NO_KV_SLOT, E_NO_SITE.
   */
  async decode(batch: Batch, signal?: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    const abort = () => this.native.abort();
    signal?.addEventListener("abort", abort, { once: true });
    try {
      await callAsync(() => this.native.decode(...batch.toNative()));
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Likeliest token of each row of the last decode; the lowest id among equals. Throws E_NOT_FINITE. */
  async sampleGreedy(rows: readonly number[]): Promise<number[]> {
    return Array.from(await callAsync(() => this.native.sample(int32s(rows, "rows"))));
  }

  /** KL over the top-p set and the alpha that follows from it (REFERENCE §4, Dyn), for many pairs of rows at once. */
  async composeAlpha(requests: readonly AlphaRequest[]): Promise<MeasuredAlpha[]> {
    const { alphas, kls } = await callAsync(() => this.native.composeAlpha({
      baselines: int32s(requests.map((request) => request.baseline), "baseline"),
      strong: int32s(requests.map((request) => request.strong), "strong"),
      topP: Float64Array.from(requests, (request) => request.topP),
      alphaMax: Float64Array.from(requests, (request) => request.alphaMax),
      reductions: Int8Array.from(requests, (request) => (request.klReduction === "mean" ? 0 : 1)),
    }));
    return requests.map((_, index) => ({ alpha: alphas[index]!, kl: kls[index]! }));
  }

  /** Copy of a row's logits `[nVocab]`. */
  logits(row: number): Float32Array {
    return call(() => this.native.logits(row));
  }

  /** Let sequence `to` share the cells of `from` at positions `[begin, end)`; `end` −1 = to the last. */
  kvCopy(from: number, to: number, begin = 0, end = -1): void {
    call(() => this.native.kvCopy(from, to, begin, end));
  }

  kvRemove(sequence: number, begin = 0, end = -1): void {
    call(() => this.native.kvRemove(sequence, begin, end));
  }

  kvClear(): void {
    call(() => this.native.kvClear());
  }

  /** Copy a vector to the native side; the id is for `Term.vector`. Throws E_SHAPE, E_NOT_FINITE, E_NO_SITE. */
  addVector(vector: SteeringVector): number {
    const { site, layers, nSteps, width, data } = vector;
    return call(() => this.native.addVector({ site, layers: int32s(layers, "layers"), nSteps, width, data }));
  }

  /** Harmless on a disposed context, which has no vectors. */
  removeVector(id: number): void {
    call(() => this.native.removeVector(id));
  }

  /** Start empty sums `[nLayer, nSteps, width]` for rows with a `capture`. */
  beginCapture(site: HookSite, nSteps: number): void {
    call(() => this.native.beginCapture(site, nSteps));
  }

  /** The sums so far; ends the capture. */
  takeCapture(): NativeCapture {
    return call(() => this.native.takeCapture());
  }

  /** Free the context; a decode in flight is aborted. Calling it twice is harmless. */
  dispose(): void {
    this.native.dispose();
  }
}

/** What the promise gives, or E_ABORTED as soon as the signal fires. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  throwIfAborted(signal);
  if (!signal) return promise;
  let abort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(abortError(signal));
    signal.addEventListener("abort", abort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Throws E_ABORTED when the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}

function abortError(signal: AbortSignal): SteeringError {
  return new SteeringError("E_ABORTED", "the work was stopped before its end", { cause: signal.reason });
}
