import { SteeringError } from "../errors.js";
import { KEEPS_NORM, OPERATOR_NUMBERS } from "../native/index.js";
import type {
  CaptureHandle, GateHandle, NativeAlphaRequests, NativeBudgets, NativeCaptureRows, NativeGateRows, NativeStep, NativeTerms, SamplerHandle,
  VectorHandle,
} from "../native/index.js";
import type { KlReduction, Operation } from "../steering/index.js";

/** Makes an Int32Array. Throws E_BAD_ARGUMENT for numbers that it would silently truncate or wrap. */
export function int32s(values: readonly number[], what: string): Int32Array {
  const wrong = values.find((value) => (value | 0) !== value);
  if (wrong !== undefined) throw new SteeringError("E_BAD_ARGUMENT", `${what}: ${wrong} is not a 32-bit whole number`);
  return Int32Array.from(values);
}

/**
 * A term to add to one row: alpha times the direction of `step` (nSteps = the mean of all steps). Other operators do something else with
 * both (docs/method.md §4, Operators); an alpha of 0 changes nothing.
 */
export interface Term extends Operation {
  /** From `Engine.vectorHandle`. */
  vector: VectorHandle;
  step: number;
  alpha: number;
  /** Read at the same row, before the vector is added; its value multiplies alpha. */
  gate?: GateRequest;
}

/** A gate to read at one row. Terms name it, and its reading is found, by this very object. */
export interface GateRequest {
  /** From `Engine.createGate`. */
  gate: GateHandle;
  /** Whether it was open at the row's last token. */
  wasOpen: boolean;
}

/** The capture that a row's activations go to, with their token step and weight. */
export interface RowCapture {
  into: CaptureHandle;
  step: number;
  weight: number;
}

export interface RowOptions {
  /** Compute logits for this row. */
  output?: boolean;
  terms?: readonly Term[];
  /** Add this row's activations to a capture. */
  capture?: RowCapture;
}

/** Targets that are not tokens (native/engine/decode_step.h). */
const [NO_TARGET, OWN_TARGET] = [-1, -2];
/** A term without a gate (native/engine/steering_terms.h). */
const NO_GATE = -1;
/** The token of a sample that settles, if its row is not found. */
export const UNSETTLED = -2;

/** How to sample a token: with a sampler or, without one, the likeliest. `allowed`: the tokens that it may pick, one bit each. */
export interface Picking {
  sampler?: SamplerHandle | null;
  allowed?: Int32Array | undefined;
}

interface SampleRequest extends Picking {
  /**
   * The row is one of P: pick the token that follows the output row, if the alphas measured against P in this batch make that row P
   * (all are 0) or one S (the only other one is its strong alpha). Only where all share one history. Or the row is the choice of
   * budgets: pick its token if each of them found a candidate. Otherwise the token is `UNSETTLED`, and the sampler stays as it is.
   */
  settles?: boolean;
}

/** A KL to measure between two rows, and the settings that turn it into an alpha (docs/method.md §4, Dyn). */
export interface AlphaRequest {
  /** Row of the unsteered stream P. */
  baseline: number;
  /** Row of the strongly steered stream S. */
  strong: number;
  /** The alpha that steers S; only guesses need it. */
  strongAlpha?: number;
  topP: number;
  alphaMax: number;
  klReduction: KlReduction;
}

/** Rows that are steered ever less, of which the strongest one within a budget is taken (docs/method.md §4, Budget). */
export interface BudgetRequest {
  /** The row without the steering, which is taken if no candidate is within the budget. */
  baseline: number;
  /** Rows with the steering, the strongest first. */
  candidates: readonly number[];
  /** The most that KL(candidate || baseline) may be, over the whole vocabulary. */
  nats: number;
}

/**
 * The rows of one decode: each row's token, position and sequence, what to do with its activations, and what to read from its logits.
 */
export class Batch {
  private readonly tokens: number[] = [];
  private readonly positions: number[] = [];
  /** Sequence of each row. */
  readonly sequences: number[] = [];
  private readonly outputs: number[] = [];
  private readonly terms: Array<Term & { row: number }> = [];
  /** Gates to read, in the order of the native results, each with its row. */
  readonly gates = new Map<GateRequest, number>();
  private readonly captures: Array<RowCapture & { row: number }> = [];
  private readonly alphas: AlphaRequest[] = [];
  /** Choices of budgets in this decode. */
  readonly budgets: BudgetRequest[] = [];
  private readonly samples: Array<SampleRequest & { row: number; target: number }> = [];
  private readonly guesses: Array<Picking & { row: number }> = [];
  /** Rows whose likeliest next tokens to return. */
  readonly candidates: Array<{ row: number; n: number }> = [];

  get size(): number {
    return this.tokens.length;
  }

  /** Appends a row; returns its index in this batch. */
  add(token: number, position: number, sequence: number, options: RowOptions = {}): number {
    const row = this.tokens.push(token) - 1;
    this.positions.push(position);
    this.sequences.push(sequence);
    this.outputs.push(options.output ? 1 : 0);
    for (const term of options.terms ?? []) {
      this.terms.push({ row, ...term });
      if (term.gate) this.readGate(row, term.gate);
    }
    if (options.capture) this.capture(row, options.capture);
    return row;
  }

  /** Reads a gate at a row, whether or not a term needs it. */
  readGate(row: number, request: GateRequest): void {
    this.gates.set(request, row);
  }

  /** Adds a row's activations to a capture. A row can go to several captures, but to each only once. */
  capture(row: number, capture: RowCapture): void {
    this.captures.push({ row, ...capture });
  }

  /** Requests a KL; returns its index in `StepResult.alphas`. */
  measure(request: AlphaRequest): number {
    return this.alphas.push(request) - 1;
  }

  /**
   * Requests the choice of a row by its KL: index i in `StepResult.chosen`. A choice whose baseline is a row of earlier ones is only made
   * if they chose that row. In `sample`, `score` and `rank`, −1 − i stands for the row that choice i and those after it choose.
   */
  choose(request: BudgetRequest): number {
    return this.budgets.push(request) - 1;
  }

  /**
   * Requests the token that follows a row. `logProbability`: also request its log probability before sampling. Returns the index in
   * `StepResult.samples`.
   */
  sample(row: number, { logProbability = false, ...how }: SampleRequest & { logProbability?: boolean } = {}): number {
    return this.samples.push({ ...how, row, target: logProbability ? OWN_TARGET : NO_TARGET }) - 1;
  }

  /**
   * Requests the log probability of a given next token, which the sampler records as if it had picked it; returns its index in
   * `StepResult.samples`.
   */
  score(row: number, target: number, how: SampleRequest = {}): number {
    return this.samples.push({ ...how, row, target }) - 1;
  }

  /**
   * Requests a guess of the token that will follow a row of P, steered with the alphas measured against it in this batch. It leaves the
   * sampler as it is. Returns the index in `StepResult.guesses`.
   */
  guess(baseline: number, how: Picking = {}): number {
    return this.guesses.push({ ...how, row: baseline }) - 1;
  }

  /** Requests the `n` likeliest tokens after a row, for which its logits are copied; returns the index in `StepResult.candidates`. */
  rank(row: number, n: number): number {
    return this.candidates.push({ row, n }) - 1;
  }

  toNative(): NativeStep {
    return {
      tokens: int32s(this.tokens, "tokens"),
      positions: int32s(this.positions, "positions"),
      sequences: int32s(this.sequences, "sequences"),
      outputs: Int8Array.from(this.outputs),
      terms: this.nativeTerms(),
      gates: this.gateRows(),
      captures: this.captureRows(),
      alphas: this.alphaRequests(),
      budgets: this.budgetRequests(),
      samples: this.samples.length === 0 ? undefined
        : {
          ...picking(this.samples),
          targets: int32s(this.samples.map(({ target }) => target), "targets"),
          settles: Int8Array.from(this.samples, ({ settles }) => (settles ? 1 : 0)),
        },
      guesses: this.guesses.length === 0 ? undefined : picking(this.guesses),
    };
  }

  private nativeTerms(): NativeTerms | undefined {
    if (this.terms.length === 0) return undefined;
    const { handles, indices } = withoutRepeats(this.terms.map((term) => term.vector));
    return {
      vectors: handles,
      indices,
      rows: int32s(this.terms.map((term) => term.row), "row"),
      steps: int32s(this.terms.map((term) => term.step), "step"),
      alphas: Float32Array.from(this.terms, (term) => term.alpha),
      operators: this.terms.every((term) => operatorNumber(term) === 0) ? undefined : Int8Array.from(this.terms, operatorNumber),
      ...(this.gates.size > 0 && { gates: int32s(this.gatesOfTerms(), "gates") }),
    };
  }

  private gatesOfTerms(): number[] {
    const indexOf = new Map([...this.gates.keys()].map((request, index) => [request, index]));
    return this.terms.map(({ gate }) => (gate === undefined ? NO_GATE : indexOf.get(gate)!));
  }

  private gateRows(): NativeGateRows | undefined {
    if (this.gates.size === 0) return undefined;
    const requests = [...this.gates.keys()];
    const { handles, indices } = withoutRepeats(requests.map(({ gate }) => gate));
    return {
      gates: handles, indices, rows: int32s([...this.gates.values()], "row"),
      wereOpen: Int8Array.from(requests, ({ wasOpen }) => (wasOpen ? 1 : 0)),
    };
  }

  private budgetRequests(): NativeBudgets | undefined {
    if (this.budgets.length === 0) return undefined;
    let end = 0;
    return {
      baselines: int32s(this.budgets.map(({ baseline }) => baseline), "baseline"),
      candidates: int32s(this.budgets.flatMap(({ candidates }) => candidates), "candidates"),
      ends: int32s(this.budgets.map(({ candidates }) => (end += candidates.length)), "ends"),
      nats: Float64Array.from(this.budgets, ({ nats }) => nats),
    };
  }

  private captureRows(): NativeCaptureRows | undefined {
    if (this.captures.length === 0) return undefined;
    const { handles, indices } = withoutRepeats(this.captures.map((capture) => capture.into));
    return {
      captures: handles,
      indices,
      rows: int32s(this.captures.map((capture) => capture.row), "row"),
      steps: int32s(this.captures.map((capture) => capture.step), "step"),
      weights: Float64Array.from(this.captures, (capture) => capture.weight),
    };
  }

  private alphaRequests(): NativeAlphaRequests | undefined {
    if (this.alphas.length === 0) return undefined;
    return {
      baselines: int32s(this.alphas.map((request) => request.baseline), "baseline"),
      strong: int32s(this.alphas.map((request) => request.strong), "strong"),
      strongAlphas: Float64Array.from(this.alphas, (request) => request.strongAlpha ?? 0),
      topP: Float64Array.from(this.alphas, (request) => request.topP),
      alphaMax: Float64Array.from(this.alphas, (request) => request.alphaMax),
      reductions: Int8Array.from(this.alphas, (request) => (request.klReduction === "mean" ? 0 : 1)),
    };
  }
}

function operatorNumber({ operator = "add", keepNorm }: Operation): number {
  return OPERATOR_NUMBERS[operator] + (keepNorm ? KEEPS_NORM : 0);
}

function picking(requests: ReadonlyArray<Picking & { row: number }>): NonNullable<NativeStep["guesses"]> {
  return {
    rows: int32s(requests.map(({ row }) => row), "rows"),
    samplers: requests.map(({ sampler }) => sampler ?? null),
    allowed: requests.map(({ allowed }) => allowed ?? null),
  };
}

/** Deduplicates handles; returns each handle once, and the index of every entry's handle. */
function withoutRepeats<Handle>(entries: readonly Handle[]): { handles: Handle[]; indices: Int32Array } {
  const indexOf = new Map<Handle, number>();
  for (const handle of entries) if (!indexOf.has(handle)) indexOf.set(handle, indexOf.size);
  return { handles: [...indexOf.keys()], indices: Int32Array.from(entries, (handle) => indexOf.get(handle)!) };
}
