import { judgementMetrics, fitLogistic, logit, sigmoid, softplus, standardise, unstandardised, type Design, type LogisticFit, type LogisticModel, shuffled } from "../maths/index.js";

/** What a probe is trained on: a row per text. */
export interface LabelledRows {
  rows: readonly Float32Array[];
  labels: readonly boolean[];
}

/** Quality of the predictions for rows that a fit has not seen, over all folds. */
export interface FoldsResult {
  lambda: number;
  accuracy: number;
  auc: number;
  /** Mean, in nats. */
  logLoss: number;
}

/** To choose a λ, a fit need not be exact to the last digit. */
const TOLERANCE = 1e-6;

/** The fold of each row, from 0: rows of one group are never in two. */
export function groupedFolds(groups: readonly string[], nFolds: number, seed: number): number[] {
  const foldOf = new Map(shuffled([...new Set(groups)], seed).map((group, i) => [group, i % nFolds]));
  return groups.map((group) => foldOf.get(group)!);
}

/**
 * For every λ: each row judged by a fit to the rows of all other folds. `pause` is called between fits, which take
 * their time. Throws what `fitLogistic` throws.
 */
export async function crossValidate({ rows, labels }: LabelledRows, folds: readonly number[], lambdas: readonly number[], pause: () => Promise<void>): Promise<FoldsResult[]> {
  const descending = [...lambdas].sort((a, b) => b - a); // each fit begins at the one before, which is the smoother one
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

/** What a stronger penalty may cost in log loss, in nats. */
const PENALTY_COST = 0.02;

/**
 * The best by log loss among those of the strongest penalty that costs next to nothing: where both sorts can be told apart
 * perfectly the least loss has none, and such a probe is sure of everything, of texts unlike the training data too.
 */
export function mostCautious<Result extends { logLoss: number; lambda: number }>(results: readonly Result[]): Result {
  const least = Math.min(...results.map(({ logLoss }) => logLoss));
  const good = results.filter(({ logLoss }) => logLoss <= least + PENALTY_COST);
  const lambda = Math.max(...good.map((result) => result.lambda));
  return good.filter((result) => result.lambda === lambda).reduce((best, result) => (result.logLoss < best.logLoss ? result : best));
}

/** A model of the rows as they are. */
export function fitted({ rows, labels }: LabelledRows, lambda: number): LogisticModel {
  const design: Design = standardise(rows);
  return unstandardised(design, fitLogistic(design, labels, { lambda }));
}
