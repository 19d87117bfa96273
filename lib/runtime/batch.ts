import { SteeringError } from "../errors.js";
import type { NativeCaptureRows, NativePlan } from "../native/index.js";

/** Whole numbers of 32 bits as an Int32Array, which would silently bend any others. Throws E_BAD_ARGUMENT. */
export function int32s(values: readonly number[], what: string): Int32Array {
  const wrong = values.find((value) => (value | 0) !== value);
  if (wrong !== undefined) throw new SteeringError("E_BAD_ARGUMENT", `${what}: ${wrong} is not a whole number of 32 bits`);
  return Int32Array.from(values);
}

/** One steering term of a row: alpha times the direction of `step` (nSteps = the mean of all steps). */
export interface Term {
  /** Id from `Context.addVector`. */
  vector: number;
  step: number;
  alpha: number;
}

export interface RowOptions {
  /** Compute logits for this row. */
  output?: boolean;
  terms?: readonly Term[];
  /** Add this row's activations to the running capture, at this token step and with this weight. */
  capture?: { step: number; weight: number };
}

/** Rows of one decode: which token at which position of which sequence, and what happens to its activations. */
export class Batch {
  private readonly tokens: number[] = [];
  private readonly positions: number[] = [];
  private readonly sequences: number[] = [];
  private readonly outputs: number[] = [];
  private readonly terms: Array<Term & { row: number }> = [];
  private readonly captures: Array<{ row: number; step: number; weight: number }> = [];

  get size(): number {
    return this.tokens.length;
  }

  /** Append a row; returns its index in this batch. */
  add(token: number, position: number, sequence: number, options: RowOptions = {}): number {
    const row = this.tokens.push(token) - 1;
    this.positions.push(position);
    this.sequences.push(sequence);
    this.outputs.push(options.output ? 1 : 0);
    for (const term of options.terms ?? []) this.terms.push({ row, ...term });
    if (options.capture) this.captures.push({ row, ...options.capture });
    return row;
  }

  /** Arguments of the addon's `decode`. */
  toNative(): [Int32Array, Int32Array, Int32Array, Int8Array, NativePlan | undefined, NativeCaptureRows | undefined] {
    return [
      int32s(this.tokens, "tokens"), int32s(this.positions, "positions"), int32s(this.sequences, "sequences"),
      Int8Array.from(this.outputs), this.plan(), this.captureRows(),
    ];
  }

  private plan(): NativePlan | undefined {
    if (this.terms.length === 0) return undefined;
    return {
      rows: int32s(this.terms.map((term) => term.row), "row"),
      vectors: int32s(this.terms.map((term) => term.vector), "vector"),
      steps: int32s(this.terms.map((term) => term.step), "step"),
      alphas: Float32Array.from(this.terms, (term) => term.alpha),
    };
  }

  private captureRows(): NativeCaptureRows | undefined {
    if (this.captures.length === 0) return undefined;
    return {
      rows: int32s(this.captures.map((capture) => capture.row), "row"),
      steps: int32s(this.captures.map((capture) => capture.step), "step"),
      weights: Float64Array.from(this.captures, (capture) => capture.weight),
    };
  }
}
