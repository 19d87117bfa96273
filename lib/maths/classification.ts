import { SteeringError } from "../errors.js";

/** Discrimination and calibration of probabilities. */
export interface JudgementMetrics {
  /** Number of rows, of both labels. */
  n: number;
  /** Share of rows whose probability is on the side of their label; exactly one half counts as false. */
  accuracy: number;
  /** Area under the ROC curve; NaN without rows of both labels. */
  auc: number;
  /** Expected calibration error over 10 bins. */
  ece: number;
  /** Mean squared difference from the label: 0 is perfect; a constant probability of one half gives 0.25. */
  brier: number;
}

const N_BINS = 10;

/** Compute all metrics. Throws E_SHAPE. */
export function judgementMetrics(probabilities: readonly number[], labels: readonly boolean[]): JudgementMetrics {
  return {
    n: labels.length,
    accuracy: accuracy(probabilities, labels),
    auc: auc(probabilities, labels),
    ece: calibrationError(probabilities, labels),
    brier: brierScore(probabilities, labels),
  };
}

/** Probability that a row labelled true scores higher than one labelled false; ties count one half. NaN without rows of both. */
export function auc(scores: readonly number[], labels: readonly boolean[]): number {
  checkSizes(scores, labels);
  const order = scores.map((_, i) => i).sort((a, b) => scores[a]! - scores[b]!);
  let rankSum = 0;
  for (let begin = 0; begin < order.length;) {
    let end = begin + 1;
    while (end < order.length && scores[order[end]!] === scores[order[begin]!]) end++;
    const rank = (begin + 1 + end) / 2; // tied scores share their mean rank, counted from 1
    for (let i = begin; i < end; i++) if (labels[order[i]!]) rankSum += rank;
    begin = end;
  }
  const nTrue = labels.filter((label) => label).length;
  return (rankSum - (nTrue * (nTrue + 1)) / 2) / (nTrue * (labels.length - nTrue));
}

export function accuracy(probabilities: readonly number[], labels: readonly boolean[]): number {
  checkSizes(probabilities, labels);
  return mean(probabilities.map((p, i) => Number((p > 0.5) === labels[i])));
}

export function brierScore(probabilities: readonly number[], labels: readonly boolean[]): number {
  checkSizes(probabilities, labels);
  return mean(probabilities.map((p, i) => (p - Number(labels[i])) ** 2));
}

/**
 * Expected calibration error: the mean distance between a bin's mean probability and its share of rows labelled true, weighted by
 * its number of rows, over 10 bins of equal width.
 */
export function calibrationError(probabilities: readonly number[], labels: readonly boolean[]): number {
  checkSizes(probabilities, labels);
  const gaps = new Float64Array(N_BINS);
  probabilities.forEach((p, i) => { gaps[Math.min(N_BINS - 1, Math.floor(p * N_BINS))]! += p - Number(labels[i]); });
  return gaps.reduce((sum, gap) => sum + Math.abs(gap), 0) / labels.length;
}

function checkSizes(values: readonly number[], labels: readonly boolean[]): void {
  if (values.length !== labels.length) {
    throw new SteeringError("E_SHAPE", `${values.length} values for ${labels.length} labels; expected one per label`);
  }
  if (values.some(Number.isNaN)) throw new SteeringError("E_NOT_FINITE", "a score is NaN; expected numbers");
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
