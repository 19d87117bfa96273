import { accuracy, auc, dot, fitLogistic, standardise, unstandardised, principalComponent, type PairedRows } from "../maths/index.js";
import type { PairMethod } from "../vector/index.js";

/** Activations of a text. */
export interface TextActivations {
  nSteps: number;
  /** `[layers, nSteps, width]` */
  data: Float32Array;
}

export interface PairActivations {
  positive: TextActivations;
  negative: TextActivations;
}

/** How to compute directions. */
export interface DirectionOptions {
  method: PairMethod;
  /** Earlier steps get the direction 0: the model has not read any of the answer, so both rows are the same. */
  firstStep: number;
  width: number;
}

/** The directions of one layer and their midpoints. */
interface LayerDirections {
  /** Per step. */
  directions: Float64Array[];
  /** Per step: the midpoint between the means of both sides. */
  midpoints: Float64Array[];
}

/**
 * Compute a direction from the negative rows to the positive ones. Its length is that of the mean shift, or of the mean shift's projection
 * onto it.
 *
 * - `mean`: mean(positive) − mean(negative), as in CAA (Rimsky et al. 2023).
 * - `pca`: along the first principal component of the paired differences, as in RepE (Zou et al. 2023). RepE randomises the sign of each
 *   difference and subtracts their mean; doing neither gives the same second moment.
 * - `probe`: along the weights of a logistic regression, like ITI's probe direction (Li et al. 2023), with a penalty of the same weight:
 *   λ = 1/n for n rows, added to a mean loss, on standardised features.
 *
 * @throws SteeringError E_SHAPE, E_NOT_FINITE, E_BAD_ARGUMENT (the regression did not converge)
 */
export function pairDirection(rows: PairedRows, method: PairMethod): Float64Array {
  const shift = meanShift(rows);
  if (method === "mean") return shift;
  const along = method === "pca" ? principalComponent(differences(rows)) : probeWeights(rows);
  const squared = dot(along, along);
  const length = squared === 0 ? 0 : dot(along, shift) / squared;
  return along.map((value) => length * value);
}

/** Directions of a layer, each from the pairs whose texts both reach that step. `layer` is the index in the activations. */
export function layerDirections(
  pairs: readonly PairActivations[],
  layer: number,
  { method, firstStep, width }: DirectionOptions,
): LayerDirections {
  const nSteps = Math.max(...pairs.map(({ positive, negative }) => Math.min(positive.nSteps, negative.nSteps)));
  const [directions, midpoints]: [Float64Array[], Float64Array[]] = [[], []];
  for (let step = 0; step < nSteps; step++) {
    const reaching = pairs.filter(({ positive, negative }) => positive.nSteps > step && negative.nSteps > step);
    const rows: PairedRows = {
      positive: reaching.map(({ positive }) => rowOf(positive, layer, step, width)),
      negative: reaching.map(({ negative }) => rowOf(negative, layer, step, width)),
    };
    directions.push(step < firstStep ? new Float64Array(width) : pairDirection(rows, method));
    midpoints.push(meanOf([...rows.positive, ...rows.negative]));
  }
  return { directions, midpoints };
}

/** Score how well directions separate the texts of held-out pairs by their projection relative to the midpoint. */
export function directionScore(
  pairs: readonly PairActivations[],
  layer: number,
  { directions, midpoints }: LayerDirections,
): { accuracy: number; auc: number } {
  const score = (text: TextActivations): number => {
    const width = directions[0]!.length;
    const nSteps = Math.min(text.nSteps, directions.length);
    let sum = 0;
    for (let step = 0; step < nSteps; step++) {
      const row = rowOf(text, layer, step, width);
      for (let j = 0; j < width; j++) sum += (row[j]! - midpoints[step]![j]!) * directions[step]![j]!;
    }
    return sum / nSteps;
  };
  const scores = [...pairs.map(({ positive }) => score(positive)), ...pairs.map(({ negative }) => score(negative))];
  const labels = scores.map((_, i) => i < pairs.length);
  return { accuracy: accuracy(scores.map((value) => (value > 0 ? 1 : 0)), labels), auc: auc(scores, labels) };
}

function probeWeights({ positive, negative }: PairedRows): Float64Array {
  const rows = [...positive, ...negative];
  const design = standardise(rows);
  const labels = rows.map((_, i) => i < positive.length);
  return unstandardised(design, fitLogistic(design, labels, { lambda: 1 / rows.length })).weights;
}

function differences({ positive, negative }: PairedRows): Float64Array[] {
  return positive.map((row, i) => Float64Array.from(row, (value, j) => value - negative[i]![j]!));
}

function meanShift({ positive, negative }: PairedRows): Float64Array {
  const below = meanOf(negative);
  return meanOf(positive).map((value, j) => value - below[j]!);
}

function meanOf(rows: readonly Float32Array[]): Float64Array {
  const mean = new Float64Array(rows[0]!.length);
  for (const row of rows) for (let j = 0; j < mean.length; j++) mean[j]! += row[j]! / rows.length;
  return mean;
}

function rowOf({ nSteps, data }: TextActivations, layer: number, step: number, width: number): Float32Array {
  const start = (layer * nSteps + step) * width;
  return data.subarray(start, start + width);
}
