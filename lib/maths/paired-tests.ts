import { requireInteger, requireNumber } from "../checks.js";
import { SteeringError } from "../errors.js";
import { seededRandom } from "./random.js";

const DRAWS = 10_000;
const SEED = 1;
/** Above this many differences, all sign patterns are more than `DRAWS`. */
const MOST_ENUMERATED = 13;
/** Sums of the same values in another order differ by rounding. */
const ROUNDING = 1e-12;

/**
 * Exact sign test, two-sided: the probability of counts at least as uneven if both were equally likely. With the pairs in which only one
 * of two settings has a property, this is McNemar's exact test. 1 without pairs. Throws E_BAD_ARGUMENT unless both are whole numbers.
 */
export function signTest(above: number, below: number): number {
  requireInteger("above", above, { min: 0 });
  requireInteger("below", below, { min: 0 });
  const n = above + below;
  let logChoose = 0; // ln C(n, k)
  let tail = 0;
  for (let k = 0; k <= Math.min(above, below); k++) {
    tail += Math.exp(logChoose - n * Math.LN2);
    logChoose += Math.log((n - k) / (k + 1));
  }
  return Math.min(1, 2 * tail);
}

/**
 * Paired permutation test of the mean, two-sided: the probability of a mean difference at least as far from 0 if each difference could as
 * well have the other sign. All sign patterns for up to 13 differences, otherwise 10,000 seeded draws, the observed pattern counted
 * among them. 1 without differences. Throws E_BAD_ARGUMENT if a difference is not finite.
 */
export function signFlipTest(differences: readonly number[]): number {
  const wrong = differences.find((each) => !Number.isFinite(each));
  if (wrong !== undefined) throw new SteeringError("E_BAD_ARGUMENT", `a difference is ${wrong}; expected finite numbers`);
  const size = differences.reduce((sum, each) => sum + Math.abs(each), 0);
  const observed = Math.abs(differences.reduce((sum, each) => sum + each, 0)) - ROUNDING * size;
  const isAsFar = (isFlipped: (index: number) => boolean): boolean =>
    Math.abs(differences.reduce((sum, each, index) => sum + (isFlipped(index) ? -each : each), 0)) >= observed;
  if (differences.length <= MOST_ENUMERATED) {
    const nPatterns = 2 ** differences.length;
    const found = Array.from({ length: nPatterns }, (_, pattern) => isAsFar((index) => (pattern >> index) % 2 === 1));
    return found.filter(Boolean).length / nPatterns;
  }
  const random = seededRandom(SEED);
  const found = Array.from({ length: DRAWS }, () => isAsFar(() => random() < 0.5));
  return (1 + found.filter(Boolean).length) / (1 + DRAWS);
}

/**
 * Holm's correction for several tests: each probability as it must be compared with the wanted level, so that the chance of any false
 * finding among all of them stays below it. In the order of the input. Throws E_BAD_ARGUMENT if one is not from 0 to 1.
 */
export function holm(probabilities: readonly number[]): number[] {
  for (const each of probabilities) requireNumber("a probability", each, { min: 0, max: 1 });
  const order = [...probabilities.keys()].sort((a, b) => probabilities[a]! - probabilities[b]!);
  const adjusted = [...probabilities];
  let most = 0;
  for (const [rank, index] of order.entries()) {
    most = Math.max(most, Math.min(1, (order.length - rank) * probabilities[index]!));
    adjusted[index] = most;
  }
  return adjusted;
}
