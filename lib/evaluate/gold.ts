import { requireInteger } from "../checks.js";
import { throwIfAborted } from "../errors.js";
import type { Dataset } from "../dataset/index.js";
import { agreement, auc, quantile, sigmoid } from "../maths/index.js";
import type { Evaluator } from "./evaluator.js";

/** Probabilities of exactly 0 and 1 have no logit. */
const MARGIN = 1e-9;

/** Answers whose label is known, from the first rows of two datasets. */
export interface GoldSides {
  /** The dataset whose answers have the label, and the label as the evaluator calls it. */
  positive: { dataset: Dataset; label: string };
  negative: { dataset: Dataset; label: string };
}

/** Options of `goldAgreement`. */
export interface GoldOptions {
  /** Largest number of answers of each dataset; default 16. */
  n?: number;
  signal?: AbortSignal;
}

/** How far an evaluator agrees with known labels. */
export interface GoldAgreement {
  /** Answers with a label of the evaluator. */
  n: number;
  /** Answers that it could not judge. */
  undetermined: number;
  /** Share of the `n` answers that it labels correctly; null without any. */
  share: number | null;
  /** Cohen's kappa; null without answers of both labels. */
  kappa: number | null;
  /** Area under the ROC curve of its column `p`, the probability of the positive label; null without one. */
  auc: number | null;
  /** The same with a threshold of `p` that was fitted to the labels; null without `p` for both labels. */
  fitted: FittedAgreement | null;
}

/** Agreement with a fitted threshold (docs/method.md §11). */
export interface FittedAgreement {
  /** The value of `p` from which an answer has the positive label, from all answers. */
  threshold: number;
  /** As in `GoldAgreement`, for thresholds from one half of the answers and labels of the other. */
  n: number;
  share: number | null;
  kappa: number | null;
}

interface Scored {
  p: number;
  isPositive: boolean;
}

/** Let an evaluator judge answers whose label is known. Throws E_BAD_ARGUMENT and what the evaluator throws. */
export async function goldAgreement(evaluator: Evaluator, sides: GoldSides, { n = 16, signal }: GoldOptions = {}): Promise<GoldAgreement> {
  requireInteger("n", n, { min: 1 });
  const rows = [sides.positive, sides.negative].flatMap(({ dataset, label }) =>
    dataset.rows.slice(0, n).map(({ input, output }) => ({ label, answer: { question: input, text: output } })));
  const columns = [];
  for (let from = 0; from < rows.length; from += evaluator.batchSize) {
    throwIfAborted(signal);
    columns.push(...await evaluator.evaluate(rows.slice(from, from + evaluator.batchSize).map(({ answer }) => answer), signal));
  }
  const labels = [sides.positive.label, sides.negative.label];
  const found = columns.map(({ "": label }) => (labels.includes(label as string) ? label as string : null));
  const agreed = agreement(rows.map(({ label }) => label), found);
  const scored = columns.flatMap(({ p }, index): Scored[] =>
    (typeof p === "number" ? [{ p, isPositive: rows[index]!.label === labels[0] }] : []));
  const area = scored.length === 0 ? NaN : auc(scored.map(({ p }) => p), scored.map(({ isPositive }) => isPositive));
  return {
    n: agreed.n, undetermined: rows.length - agreed.n, share: known(agreed.share), kappa: known(agreed.kappa), auc: known(area),
    fitted: fitted(scored),
  };
}

function fitted(scored: readonly Scored[]): FittedAgreement | null {
  const threshold = thresholdOf(scored);
  if (threshold === null) return null;
  const half = (rest: number): Scored[] =>
    [true, false].flatMap((side) => scored.filter(({ isPositive }) => isPositive === side).filter((_, index) => index % 2 === rest));
  const [even, odd] = [half(0), half(1)];
  const judged = [[even, odd], [odd, even]].flatMap(([fit, test]) => {
    const own = thresholdOf(fit!);
    return own === null ? [] : test!.map(({ p, isPositive }) => ({ isPositive, found: p >= own }));
  });
  const { n, share, kappa } = agreement(judged.map(({ isPositive }) => isPositive), judged.map(({ found }) => found));
  return { threshold, n, share: known(share), kappa: known(kappa) };
}

/** Halfway between the medians of both labels, on the logit scale, to one decimal, so that rounding errors do not change it. */
function thresholdOf(scored: readonly Scored[]): number | null {
  const medianOf = (side: boolean): number =>
    quantile(scored.filter(({ isPositive }) => isPositive === side).map(({ p }) => logOdds(p)), 0.5);
  const middle = (medianOf(true) + medianOf(false)) / 2;
  return Number.isNaN(middle) ? null : sigmoid(Math.round(10 * middle) / 10);
}

function logOdds(p: number): number {
  const inside = Math.min(1 - MARGIN, Math.max(MARGIN, p));
  return Math.log(inside / (1 - inside));
}

function known(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}
