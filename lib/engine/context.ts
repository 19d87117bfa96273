import { call, callAsync, type NativeContext, type NativeContextOptions, type NativeStepResult } from "../native/index.js";
import { onAbort, throwIfAborted } from "./abort.js";
import type { Batch, GateRequest } from "./batch.js";
import { likeliest, type Candidate } from "./candidates.js";
import type { ThreadCount } from "./threads.js";

/** The size of context that a piece of work needs. */
export interface ContextNeeds {
  /** KV cells in total. */
  nCtx: number;
  nSeqMax: number;
}

export interface MeasuredAlpha {
  alpha: number;
  /** KL(P || S) in nats, reduced. */
  kl: number;
}

/** The index of a choice whose baseline another one did not choose. */
export const UNREACHED = -2;

/** What a budget chose. */
export interface Chosen {
  /** The row that was chosen in the end, by this budget and those after it. */
  row: number;
  /** Which of its candidates it chose; −1 for the baseline, or `UNREACHED`. */
  index: number;
  /** KL(candidate || baseline) of each candidate, in nats; NaN if it is not finite, or after the chosen one. */
  kls: number[];
}

/** The token that follows a row. */
export interface Sample {
  /** −1 if the row's logits are not finite or its sampler allows no token; `UNSETTLED` if it is none of the rows measured. */
  token: number;
  /** In nats; NaN if not requested. */
  logProbability: number;
  /** True if the token ends a text. */
  isEnd: boolean;
  /** Its UTF-8 bytes, which may end inside a character; none if it ends a text or was given. */
  bytes: Uint8Array;
}

/** What a gate read at one row. */
export interface GateReading {
  /** NaN if the activation is not finite. */
  probability: number;
  /** What multiplied the alphas of the terms that name it; 0 = shut. */
  value: number;
}

/** The values read from a decode. */
export interface StepResult {
  /** One per `Batch.measure`; the KL is NaN if a row's logits are not finite. */
  alphas: MeasuredAlpha[];
  /** One per `Batch.choose`. */
  chosen: Chosen[];
  /** One per `Batch.sample` and `Batch.score`. */
  samples: Sample[];
  /** One per gate that was read. */
  gates: ReadonlyMap<GateRequest, GateReading>;
  /** One per `Batch.guess`; −1 if there is none, or if it would end the text. */
  guesses: number[];
  /** One list per `Batch.rank`, the likeliest token first. */
  candidates: Candidate[][];
}

/** What an RPC back end says when its server has gone away (native/rpc-source.mjs). */
const LOST = "the RPC server no longer answers";

/** As `callAsync`, and calls `onLost` if an RPC server has gone away. */
export async function watched<T>(body: () => Promise<T>, onLost: () => void): Promise<T> {
  return callAsync(body).catch((error: Error) => {
    if (error.message.includes(LOST)) onLost();
    throw error;
  });
}

/** Up to this many cells, ggml does not split attention: it does from 512 on, and llama.cpp rounds up to multiples of 256. */
const UNSPLIT_CELLS = 256;

/** A llama.cpp context: a KV cache that sequences share, and the hook that steers and captures. Make one call at a time. */
export class Context implements Disposable {
  private nThreads: number;
  /** Sequences that may have cells. */
  private readonly filled = new Set<number>();
  /** Rows since no sequence had cells: llama.cpp takes the first free cells, so no cell beyond this number is in use. */
  private nRows = 0;

  /**
   * `threads`: decides how many threads compute; default: always as many as the context was created with. `hasWholeSequences`: the model
   * keeps a state per sequence. `onLost`: called when an RPC server of the model has gone away.
   */
  constructor(
    private readonly native: NativeContext, readonly options: Readonly<NativeContextOptions>, private readonly threads?: ThreadCount,
    private readonly hasWholeSequences = false, private readonly onLost: () => void = () => undefined,
  ) {
    this.nThreads = options.nThreads;
  }

  /**
   * Computes the rows of a batch and the values that it requests from their logits. Throws E_ABORTED (KV cache rolled back),
   * E_CONTEXT_FULL, E_NO_KV_SLOT, E_NO_SITE.
   */
  async decode(batch: Batch, signal?: AbortSignal): Promise<StepResult> {
    throwIfAborted(signal);
    this.adjustThreads(batch);
    const forget = onAbort(signal, () => this.native.abort());
    try {
      const result = await watched(() => this.native.decode(batch.toNative()), this.onLost);
      const chosen = chosenOf(batch, result);
      const rowOf = (row: number): number => (row < 0 ? chosen[-1 - row]!.row : row);
      return {
        chosen,
        alphas: Array.from(result.kls, (kl, index) => ({ kl, alpha: result.alphas[index]! })),
        samples: samplesOf(result),
        gates: gatesOf(batch, result),
        guesses: Array.from(result.guesses),
        candidates: batch.candidates.map(({ row, n }) => likeliest(this.logits(rowOf(row)), n)),
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
   * True if the result does not depend on the number of threads. Only one operation depends on it: ggml splits flash attention of a single
   * row over many cells among its threads (test/native/threads.alone.test.ts). With a state per sequence, a batch may be computed in parts,
   * some of which have a single row.
   */
  private isExact(batch: Batch): boolean {
    return !this.options.flashAttention || this.nRows <= UNSPLIT_CELLS || (batch.size > 1 && !this.hasWholeSequences);
  }

  /** Aborts the decode in flight, if any. */
  abort(): void {
    this.native.abort();
  }

  /** Returns a copy of a row's logits `[nVocab]`. */
  logits(row: number): Float32Array {
    return call(() => this.native.logits(row));
  }

  /**
   * Sets llama.cpp's own control vector, `[nLayer − 1, nEmbd]` from layer 1, added at `resid_post` of every row; empty = none. Only for
   * comparisons: the graph path cannot be used with it. Throws E_SHAPE, and E_BAD_ARGUMENT after the context's first decode.
   */
  setControlVector(data: Float32Array): void {
    call(() => this.native.setControlVector(data));
  }

  /** Makes sequence `to` share the cells of `from` at positions `[begin, end)`; `end` −1 = to the last. */
  kvCopy(from: number, to: number, begin = 0, end = -1): void {
    call(() => this.native.kvCopy(from, to, begin, end));
    this.filled.add(to);
  }

  /** Leaves in sequence `to` the cells of `from` before `position` and no others; it must have those before `position − 1` already. */
  kvFork(from: number, to: number, position: number): void {
    const begin = this.hasWholeSequences ? 0 : Math.max(0, position - 1);
    this.kvRemove(to, begin);
    this.kvCopy(from, to, begin, this.hasWholeSequences ? -1 : position);
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

  /** Frees the context and aborts a decode in flight. Calling it twice is harmless. */
  dispose(): void {
    this.native.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function gatesOf({ gates }: Batch, { probabilities, gates: values }: NativeStepResult): StepResult["gates"] {
  return new Map([...gates.keys()].map((request, index) => [request, { probability: probabilities[index]!, value: values[index]! }]));
}

function chosenOf({ budgets }: Batch, { chosen, chosenRows, candidateKls }: NativeStepResult): Chosen[] {
  let end = 0;
  return budgets.map(({ candidates }, budget) => ({
    row: chosenRows[budget]!, index: chosen[budget]!, kls: Array.from(candidateKls.subarray(end, end += candidates.length)),
  }));
}

function samplesOf({ tokens, logProbabilities, ends, pieces, pieceEnds }: NativeStepResult): Sample[] {
  const bytes = new Uint8Array(pieces.buffer);
  return Array.from(tokens, (token, index) => ({
    token, logProbability: logProbabilities[index]!, isEnd: ends[index] === 1,
    bytes: bytes.subarray(pieceEnds[index - 1] ?? 0, pieceEnds[index]),
  }));
}
