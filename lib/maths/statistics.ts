import { seededRandom } from "./random.js";

/** A value with its 95 % interval. */
export interface Estimate {
  value: number;
  low: number;
  high: number;
}

const RESAMPLES = 2000;
const SEED = 1;
/** Two-sided 95 % quantile of the normal distribution. */
const Z = 1.959964;

/** Quantile of values in any order, interpolated linearly; NaN for an empty list. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = Float64Array.from(values).sort();
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)] ?? NaN;
  const above = sorted[Math.ceil(at)] ?? NaN;
  return below === above ? below : below + (above - below) * (at - Math.floor(at));
}

/** A statistic with its percentile bootstrap interval (2,000 resamples, seeded, so that the same values give the same interval). */
export function bootstrap(values: readonly number[], statistic: (sample: readonly number[]) => number): Estimate {
  const random = seededRandom(SEED);
  const found = Array.from({ length: RESAMPLES }, () => statistic(values.map(() => values[Math.floor(random() * values.length)]!)));
  return { value: statistic(values), low: quantile(found, 0.025), high: quantile(found, 0.975) };
}

/** Mean; NaN for an empty list. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Median with its bootstrap interval. */
export function median(values: readonly number[]): Estimate {
  return bootstrap(values, (sample) => quantile(sample, 0.5));
}

/** A share with its Wilson interval, which is accurate for small samples and for shares of 0 and 1. */
export function share(hits: number, n: number): Estimate {
  const p = hits / n;
  const centre = (p + Z ** 2 / (2 * n)) / (1 + Z ** 2 / n);
  const half = (Z / (1 + Z ** 2 / n)) * Math.sqrt((p * (1 - p)) / n + Z ** 2 / (4 * n ** 2));
  return { value: p, low: Math.max(0, centre - half), high: Math.min(1, centre + half) };
}
