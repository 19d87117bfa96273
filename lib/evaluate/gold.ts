import { requireInteger } from "../checks.js";
import { throwIfAborted } from "../errors.js";
import type { Dataset } from "../dataset/index.js";
import { agreement, auc } from "../maths/index.js";
import type { Evaluator } from "./evaluator.js";

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
  const scored = columns.flatMap(({ p }, index) => (typeof p === "number" ? [{ p, isPositive: rows[index]!.label === labels[0] }] : []));
  const area = scored.length === 0 ? NaN : auc(scored.map(({ p }) => p), scored.map(({ isPositive }) => isPositive));
  const known = (value: number): number | null => (Number.isNaN(value) ? null : value);
  return {
    n: agreed.n, undetermined: rows.length - agreed.n, share: known(agreed.share), kappa: known(agreed.kappa), auc: known(area),
  };
}
