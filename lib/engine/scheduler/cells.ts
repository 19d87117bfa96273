import type { Term } from "../batch.js";

const NO_TERMS: readonly Term[] = [];

/**
 * What the first cells of a sequence are computed from: tokens, and the terms added to their rows. Sequences whose tokens and terms begin
 * alike begin with the same cells, and can share them.
 */
export interface Cells {
  readonly tokens: readonly number[];
  /** Default: no terms anywhere. */
  termsAt?(position: number): readonly Term[];
}

/** Number of cells, at most `most`, with which both sequences begin. */
export function sharedCells(a: Cells, b: Cells, most: number): number {
  const end = Math.min(most, a.tokens.length, b.tokens.length);
  let length = 0;
  while (length < end && a.tokens[length] === b.tokens[length]
    && addsTheSame(a.termsAt?.(length) ?? NO_TERMS, b.termsAt?.(length) ?? NO_TERMS)) length++;
  return length;
}

/** True if both lists add the same to a row. */
export function addsTheSame(a: readonly Term[], b: readonly Term[]): boolean {
  if (a.length === 0 && b.length === 0) return true;
  const [left, right] = [a.filter(({ alpha }) => alpha !== 0), b.filter(({ alpha }) => alpha !== 0)];
  return left.length === right.length && left.every(({ vector, step, alpha, gate, operator = "add", keepNorm = false }, index) => {
    const other = right[index]!;
    return vector === other.vector && step === other.step && alpha === other.alpha && gate === other.gate
      && operator === (other.operator ?? "add") && keepNorm === (other.keepNorm ?? false);
  });
}
