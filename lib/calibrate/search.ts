import type { KlPoint } from "./measure-kl.js";

/** Default budget: KL in nats per token (docs/method.md §8). */
export const KL_BUDGET = 1;
/** Steps of the coarse scan: alphas that differ by this factor. */
const FACTOR = 4;
/** The first scan. The scan goes on below or above it where the budget lies elsewhere, to these limits. */
const FIRST = [1 / 64, 1 / 16, 1 / 4, 1];
const [LEAST, MOST] = [2 ** -20, 2 ** 10];
/** Alphas between the two that enclose the budget. */
const BETWEEN = 3;

type Measure = (alphas: readonly number[]) => Promise<KlPoint[]>;

/** What of the KLs per token is held against a budget. */
export type KlStatistic = "mean" | "p95";
export const KL_STATISTICS: readonly KlStatistic[] = ["mean", "p95"];

/** The alpha whose KL is the budget, and all points measured on the way, by ascending alpha. */
export interface BudgetSearch {
  /** Undefined if the KL stays below the budget, or exceeds it, at all alphas. */
  alpha: number | undefined;
  curve: KlPoint[];
}

/**
 * Finds the lowest alpha at which the KL reaches the budget: a scan by factors of four, more points between the two that
 * enclose the budget, then a line through the logarithms of the nearest two. At small alphas the KL grows with the square of alpha, so
 * that line is nearly straight. Where the KL explodes from one point to the next, the lower of them is taken.
 */
export async function searchBudget(measure: Measure, budget: number, of: KlStatistic = "mean"): Promise<BudgetSearch> {
  const curve = await scan(measure, budget, of);
  const coarse = bracketOf(curve, budget, of);
  if (!coarse) return { alpha: undefined, curve };
  curve.push(...await measure(between(coarse[0].alpha, coarse[1].alpha, BETWEEN)));
  curve.sort((a, b) => a.alpha - b.alpha);
  const [low, high] = bracketOf(curve, budget, of)!;
  const share = logRatio(low[of], budget) / logRatio(low[of], high[of]); // 0 where the higher one broke the model down
  return { alpha: rounded(low.alpha * (high.alpha / low.alpha) ** share), curve };
}

async function scan(measure: Measure, budget: number, of: KlStatistic): Promise<KlPoint[]> {
  let curve = await measure(FIRST);
  while (curve[0]![of] >= budget && curve[0]!.alpha > LEAST) {
    const below = FIRST.map((_, index) => curve[0]!.alpha / FACTOR ** (FIRST.length - index));
    curve = [...await measure(below), ...curve];
  }
  while (curve.at(-1)![of] < budget && curve.at(-1)!.alpha < MOST) {
    curve = [...curve, ...await measure([curve.at(-1)!.alpha * FACTOR, curve.at(-1)!.alpha * FACTOR ** 2])];
  }
  return curve;
}

/** The first neighbours that enclose the budget, from below. */
function bracketOf(curve: readonly KlPoint[], budget: number, of: KlStatistic): [KlPoint, KlPoint] | undefined {
  const above = curve.findIndex((point) => point[of] >= budget);
  return above > 0 ? [curve[above - 1]!, curve[above]!] : undefined;
}

/** `n` values between two others, in equal ratios. */
export function between(low: number, high: number, n: number): number[] {
  return Array.from({ length: n }, (_, index) => low * (high / low) ** ((index + 1) / (n + 1)));
}

/** ln(high / low); a KL of 0 counts as a tiny one. */
function logRatio(low: number, high: number): number {
  return Math.log(high / Math.max(low, 1e-9));
}

/** To two significant digits: the measurement is no better. */
export function rounded(value: number): number {
  return Number(value.toPrecision(2));
}
