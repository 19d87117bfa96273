import { SteeringError } from "../errors.js";

/** How well probabilities tell rows apart, and how far they can be believed. */
export interface JudgementMetrics {
  /** Rows, of both labels. */
  n: number;
  /** Share of rows whose probability lies on the side of their label; one half counts as false. */
  accuracy: number;
  /** Area under the ROC curve; NaN without rows of both labels. */
  auc: number;
  /** Expected calibration error over 10 bins. */
  ece: number;
  /** Mean square of the distance to the label: 0 is perfect, 0.25 is one half always. */
  brier: number;
}

const N_BINS = 10;

/** All of them. Throws E_SHAPE. */
export function judgementMetrics(probabilities: readonly number[], labels: readonly boolean[]): JudgementMetrics {
  return { n: labels.length, accuracy: accuracy(probabilities, labels), auc: auc(probabilities, labels), ece: calibrationError(probabilities, labels), brier: brierScore(probabilities, labels) };
}

/** Probability that a row of label true scores higher than one of label false, ties counting one half. NaN without rows of both. */
export function auc(scores: readonly number[], labels: readonly boolean[]): number {
  checkSizes(scores, labels);
  const order = scores.map((_, i) => i).sort((a, b) => scores[a]! - scores[b]!);
  let rankSum = 0;
  for (let begin = 0; begin < order.length;) {
    let end = begin + 1;
    while (end < order.length && scores[order[end]!] === scores[order[begin]!]) end++;
    const rank = (begin + 1 + end) / 2; // tied scores share the mean of their ranks, which count from 1
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

/** Over 10 bins of equal width: the mean distance between the mean probability of a bin and its share of label true, weighted by its rows. */
export function calibrationError(probabilities: readonly number[], labels: readonly boolean[]): number {
  checkSizes(probabilities, labels);
  const gaps = new Float64Array(N_BINS);
  probabilities.forEach((p, i) => { gaps[Math.min(N_BINS - 1, Math.floor(p * N_BINS))]! += p - Number(labels[i]); });
  return gaps.reduce((sum, gap) => sum + Math.abs(gap), 0) / labels.length;
}

function checkSizes(values: readonly number[], labels: readonly boolean[]): void {
  if (values.length !== labels.length) throw new SteeringError("E_SHAPE", `${values.length} values for ${labels.length} labels`);
  if (values.some(Number.isNaN)) throw new SteeringError("E_NOT_FINITE", "a score is not a number");
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
