/** Typed mirror of what a decode takes and returns (native/step_arguments.cc, native/context_wrap.cc). */

declare const nativeKind: unique symbol;
/** Opaque native objects that JavaScript holds and passes back; they are freed when they are garbage-collected. */
export interface VectorHandle { readonly [nativeKind]: "vector" }
export interface CaptureHandle { readonly [nativeKind]: "capture" }
export interface GateHandle { readonly [nativeKind]: "gate" }
export interface SamplerHandle { readonly [nativeKind]: "sampler" }

/** The numbers of the operators. */
export const OPERATOR_NUMBERS = { add: 0, ablate: 1, project: 2, clamp: 3 } as const;
/** Added to an operator's number where the norm is kept. */
export const KEEPS_NORM = 4;

/**
 * One entry per term: adds `alphas[i]` times step `steps[i]` of `vectors[indices[i]]` to row `rows[i]`, or does with them what
 * `operators[i]` says (undefined: all add). The step after the last is the mean of all steps.
 */
export interface NativeTerms {
  vectors: VectorHandle[];
  rows: Int32Array;
  indices: Int32Array;
  steps: Int32Array;
  alphas: Float32Array;
  operators: Int8Array | undefined;
  /** Per term the index of its gate in `NativeStep.gates`, whose value multiplies its alpha; −1 = none. Default: no gates. */
  gates?: Int32Array;
}

/**
 * One entry per gate that is read at a row, before anything is added at the same place: `gates[indices[i]]` at row `rows[i]`.
 * `wereOpen`: 1 if it was open at the row's last token.
 */
export interface NativeGateRows {
  gates: GateHandle[];
  rows: Int32Array;
  indices: Int32Array;
  wereOpen: Int8Array;
}

/** One entry per captured row: its capture, its token step and its weight in the mean. */
export interface NativeCaptureRows {
  captures: CaptureHandle[];
  rows: Int32Array;
  indices: Int32Array;
  steps: Int32Array;
  weights: Float64Array;
}

/** One entry per KL: the rows of P and S in this decode, and how to reduce (0 mean, 1 sum). */
export interface NativeAlphaRequests {
  baselines: Int32Array;
  strong: Int32Array;
  /** What was added to the rows of S; only guesses use it. */
  strongAlphas: Float64Array;
  topP: Float64Array;
  alphaMax: Float64Array;
  reductions: Int8Array;
}

/**
 * One entry per choice of a budget: the row without its steering, the end of its candidates among all, the strongest first, and the
 * largest KL that one may have from that row. The first within it is chosen; if none is, the row itself. A choice whose row without its
 * steering is one of an earlier choice is only made if that row was chosen.
 */
export interface NativeBudgets {
  baselines: Int32Array;
  candidates: Int32Array;
  ends: Int32Array;
  nats: Float64Array;
}

/** Which tokens a sampler may pick, one bit each, 32 to a number; null: all. */
type Allowed = Int32Array | null;

/** The input of a decode, and what to read from its logits. */
export interface NativeStep {
  tokens: Int32Array;
  positions: Int32Array;
  sequences: Int32Array;
  outputs: Int8Array;
  terms: NativeTerms | undefined;
  gates: NativeGateRows | undefined;
  captures: NativeCaptureRows | undefined;
  alphas: NativeAlphaRequests | undefined;
  budgets: NativeBudgets | undefined;
  /**
   * Rows to pick a next token for (−1 − b: the row that choice b and those after it choose), with the sampler or, if that is null,
   * greedily. `targets`: the tokens whose log probabilities to return (−1 = none, −2 = the picked token). `settles`: 1 for a row P whose
   * token is only picked if the alphas measured against P make P or one S the output row, or for the row of choices if each of them found a
   * candidate; otherwise the token is −2.
   */
  samples: {
    rows: Int32Array; samplers: Array<SamplerHandle | null>; targets: Int32Array; settles: Int8Array;
    allowed: Allowed[];
  } | undefined;
  /**
   * Rows P whose next token to guess, with the sampler's present state, from the mixture of P and of the rows S of all KLs with that P
   * (`alpha / strongAlpha` of each).
   */
  guesses: { rows: Int32Array; samplers: Array<SamplerHandle | null>; allowed: Allowed[] } | undefined;
}

export interface NativeStepResult {
  /** One per KL; NaN if a row's logits are not finite. */
  kls: Float64Array;
  alphas: Float64Array;
  /** One per choice: which of its candidates it chose; −1 if none, −2 if it was not made. */
  chosen: Int32Array;
  /** One per choice: the row that it and those after it chose. */
  chosenRows: Int32Array;
  /** One per candidate: KL(candidate || baseline) in nats; NaN if not finite, or not needed. */
  candidateKls: Float64Array;
  /** One per sample; −1 if a row's logits are not finite or its sampler allows no token, −2 if it was not settled. */
  tokens: Int32Array;
  /** One per sample: the token's log probability in nats; NaN if the target is −1. */
  logProbabilities: Float64Array;
  /** One per sample: 1 if the token ends a text. */
  ends: Int8Array;
  /** UTF-8 bytes of the samples' tokens, up to `pieceEnds[i]` each; none of those that end a text or were given as targets. */
  pieces: Int8Array;
  pieceEnds: Int32Array;
  /** One per gate that was read: the probe's probability, NaN if the activation is not finite, and the value that multiplied alphas. */
  probabilities: Float64Array;
  gates: Float32Array;
  /** One per guess, made after the samples; −1 if the mixture is not finite, or allows no token, or the text would end. */
  guesses: Int32Array;
}
