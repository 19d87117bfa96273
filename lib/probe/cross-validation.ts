import {
  judgementMetrics, fitLogistic, logit, sigmoid, softplus, standardise, unstandardised, type Design, type LogisticFit, type LogisticModel,
  shuffled,
} from "../maths/index.js";

/** Training data of a probe: one row per text. */
export interface LabelledRows {
  rows: readonly Float32Array[];
  labels: readonly boolean[];
}

/** Quality of the predictions for held-out rows, over all folds. */
export interface FoldsResult {
  lambda: number;
  accuracy: number;
  auc: number;
  /** Mean, in nats. */
  logLoss: number;
}

/** Choosing λ does not require fits that are exact to the last digit. */
const TOLERANCE = 1e-6;

/** The fold of each row, counted from 0. All rows of a group are in the same fold. */
export function groupedFolds(groups: readonly string[], nFolds: number, seed: number): number[] {
  const foldOf = new Map(shuffled([...new Set(groups)], seed).map((group, i) => [group, i % nFolds]));
  return groups.map((group) => foldOf.get(group)!);
}

/**
 * Cross-validate every λ: each row is predicted by a fit to the rows of all other folds. Fits are slow, so `pause` is called before
 * each one. Throws the errors of `fitLogistic`.
 */
export async function crossValidate(
  { rows, labels }: LabelledRows, folds: readonly number[], lambdas: readonly number[], pause: () => Promise<void>,
): Promise<FoldsResult[]> {
  const descending = [...lambdas].sort((a, b) => b - a); // each fit starts from the previous, more strongly regularised one
  const logits = descending.map(() => new Array<number>(rows.length));
  for (const fold of new Set(folds)) {
    const inside = folds.map((other) => other !== fold);
    const design = standardise(rows.filter((_, i) => inside[i]));
    let start: LogisticFit | undefined;
    for (const [index, lambda] of descending.entries()) {
      await pause();
      start = fitLogistic(design, labels.filter((_, i) => inside[i]), { lambda, tolerance: TOLERANCE, ...(start && { start }) });
      const model = unstandardised(design, start);
      rows.forEach((row, i) => { if (!inside[i]) logits[index]![i] = logit(model, row); });
    }
  }
  return descending.map((lambda, index) => {
    const found = logits[index]!;
    const { accuracy, auc } = judgementMetrics(found.map(sigmoid), labels);
    return { lambda, accuracy, auc, logLoss: found.reduce((sum, z, i) => sum + softplus(labels[i] ? -z : z), 0) / found.length };
  });
}

/** Largest acceptable increase in log loss for a stronger penalty, in nats. */
const PENALTY_COST = 0.02;

/**
 * The result with the strongest penalty that costs at most `PENALTY_COST`, and among those the lowest log loss. On perfectly
 * separable data the lowest loss has hardly any penalty, and such a probe is overconfident on texts unlike its training data.
 */
export function mostCautious<Result extends { logLoss: number; lambda: number }>(results: readonly Result[]): Result {
  const least = Math.min(...results.map(({ logLoss }) => logLoss));
  const good = results.filter(({ logLoss }) => logLoss <= least + PENALTY_COST);
  const lambda = Math.max(...good.map((result) => result.lambda));
  return good.filter((result) => result.lambda === lambda).reduce((best, result) => (result.logLoss < best.logLoss ? result : best));
}

/** Fit a model to rows, without the standardisation in its weights: it applies to raw activations. */
export function fitted({ rows, labels }: LabelledRows, lambda: number): LogisticModel {
  const design: Design = standardise(rows);
  return unstandardised(design, fitLogistic(design, labels, { lambda }));
}
