import { requireNumber } from "../checks.js";
import { SteeringError } from "../errors.js";
import { dot } from "./dot.js";

/** Standardised rows of features, each with mean 0 and variance 1, ready to be fitted to any labels with any penalty. */
export interface Design {
  readonly nRows: number;
  readonly nFeatures: number;
  /** `[nRows, nFeatures]`, row-major, standardised; a constant feature is 0. */
  readonly data: Float64Array;
  /** `[nFeatures]` each: the subtracted means, and the deviations divided by (0 for a constant feature). */
  readonly means: Float64Array;
  readonly deviations: Float64Array;
}

/** `p = 1 / (1 + exp(−(weights · x + bias)))` */
export interface LogisticModel {
  readonly weights: Float64Array;
  readonly bias: number;
}

/** A fit in progress or finished; the weights are those of the standardised features. */
export interface LogisticFit extends LogisticModel {
  /** Largest element of the loss's gradient at these weights. */
  readonly gradient: number;
}

export interface LogisticOptions {
  /** Weight, above 0, of the penalty `λ/2 · |weights|²`, which is added to the mean loss of a row. The bias is not penalised. */
  lambda: number;
  /** The fit has converged when no element of the gradient exceeds this; default 1e-8. */
  tolerance?: number;
  /** Starting point, e.g. the fit with another penalty; default: zeros. */
  start?: LogisticModel;
}

const MAX_NEWTON = 100;
const MAX_CG = 1000;
const MAX_HALVINGS = 40;
/** Armijo condition: a step must achieve this share of the descent that the slope predicts. */
const SUFFICIENT = 1e-4;
/** A feature with a smaller relative deviation is constant except for rounding errors. */
const LEAST_RELATIVE_DEVIATION = 1e-10;

/** Standardise rows of equal width. Throws E_SHAPE, E_NOT_FINITE. */
export function standardise(rows: readonly ArrayLike<number>[]): Design {
  const nRows = rows.length;
  const nFeatures = rows[0]?.length ?? 0;
  if (nRows === 0 || nFeatures === 0 || rows.some((row) => row.length !== nFeatures)) {
    throw new SteeringError("E_SHAPE", "the rows are empty or differ in width; expected at least one row, all of the same width");
  }
  const data = new Float64Array(nRows * nFeatures);
  rows.forEach((row, i) => data.set(row, i * nFeatures));
  if (!data.every(Number.isFinite)) throw new SteeringError("E_NOT_FINITE", "a feature is not finite; expected finite numbers");
  const [means, deviations] = [new Float64Array(nFeatures), new Float64Array(nFeatures)];
  eachElement(data, nFeatures, (value, j) => { means[j]! += value / nRows; });
  eachElement(data, nFeatures, (value, j) => { deviations[j]! += (value - means[j]!) ** 2 / nRows; });
  for (let j = 0; j < nFeatures; j++) {
    const deviation = Math.sqrt(deviations[j]!);
    deviations[j] = deviation > LEAST_RELATIVE_DEVIATION * Math.abs(means[j]!) ? deviation : 0;
  }
  eachElement(data, nFeatures, (value, j, at) => { data[at] = deviations[j] === 0 ? 0 : (value - means[j]!) / deviations[j]!; });
  return { nRows, nFeatures, data, means, deviations };
}

/**
 * Fit a logistic regression: minimise `1/n · Σ log(1 + exp(−y·z)) + λ/2 · |w|²` over the rows, with `z = w · x + b` and y = ±1,
 * by Newton's method with conjugate gradients. The loss is convex with a single minimum, which every start reaches.
 *
 * @param labels per row, true for y = 1; both must occur
 * @throws SteeringError E_BAD_ARGUMENT, E_SHAPE
 */
export function fitLogistic(design: Design, labels: readonly boolean[], { lambda, tolerance = 1e-8, start }: LogisticOptions): LogisticFit {
  requireNumber("λ", lambda, { above: 0 });
  if (labels.length !== design.nRows) {
    throw new SteeringError("E_SHAPE", `${labels.length} labels for ${design.nRows} rows; expected one per row`);
  }
  if (!labels.includes(true) || !labels.includes(false)) {
    throw new SteeringError("E_BAD_ARGUMENT", "all rows have the same label; expected rows of both labels");
  }
  const problem = new LogisticProblem(design, labels, lambda);
  let at = Float64Array.from([...(start?.weights ?? new Float64Array(design.nFeatures)), start?.bias ?? 0]);
  let state = problem.at(at);
  for (let iteration = 0; iteration < MAX_NEWTON; iteration++) {
    const gradient = largest(state.gradient);
    if (gradient <= tolerance) return { weights: at.slice(0, -1), bias: at.at(-1)!, gradient };
    const direction = problem.newtonDirection(state);
    const slope = dot(state.gradient, direction);
    let [length, halvings] = [1, 0];
    for (;; length /= 2) {
      const next = at.map((value, j) => value + length * direction[j]!);
      const there = problem.at(next);
      // Near the minimum the loss is flat to its last digit; then the gradient decides whether a step is an improvement.
      const isFlat = there.loss - state.loss <= 1e-14 * state.loss;
      if (there.loss <= state.loss + SUFFICIENT * length * slope || (isFlat && largest(there.gradient) < gradient)) {
        [at, state] = [next, there];
        break;
      }
      if (++halvings > MAX_HALVINGS) throw notConverged(gradient, tolerance);
    }
  }
  throw notConverged(largest(state.gradient), tolerance);
}

/** Convert a model of standardised features to one of the original features. */
export function unstandardised({ means, deviations }: Design, { weights, bias }: LogisticModel): LogisticModel {
  const unscaled = weights.map((weight, j) => (deviations[j] === 0 ? 0 : weight / deviations[j]!));
  return { weights: unscaled, bias: bias - dot(unscaled, means) };
}

/** Log odds that the label of a row is true. */
export function logit({ weights, bias }: LogisticModel, row: ArrayLike<number>): number {
  let sum = bias;
  for (let j = 0; j < weights.length; j++) sum += weights[j]! * row[j]!;
  return sum;
}

export function sigmoid(z: number): number {
  return z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z));
}

/** `log(1 + exp(z))` without overflow. */
export function softplus(z: number): number {
  return Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
}

/** Loss, gradient and curvature at a point. */
interface State {
  loss: number;
  /** `[nFeatures + 1]`, the bias last. */
  gradient: Float64Array;
  /** `[nRows]`: p · (1 − p) / n. */
  curvature: Float64Array;
}

/** The loss as a function of weights and bias, `[nFeatures + 1]`. */
class LogisticProblem {
  constructor(private readonly design: Design, private readonly labels: readonly boolean[], private readonly lambda: number) {}

  at(place: Float64Array): State {
    const { nRows, nFeatures } = this.design;
    const scores = this.forward(place);
    const [residuals, curvature] = [new Float64Array(nRows), new Float64Array(nRows)];
    let loss = 0;
    for (let i = 0; i < nRows; i++) {
      const p = sigmoid(scores[i]!);
      loss += softplus(this.labels[i] ? -scores[i]! : scores[i]!) / nRows;
      // 1 − p would lose precision for p near 1.
      residuals[i] = (this.labels[i] ? -sigmoid(-scores[i]!) : p) / nRows;
      curvature[i] = (p * sigmoid(-scores[i]!)) / nRows;
    }
    for (let j = 0; j < nFeatures; j++) loss += (this.lambda / 2) * place[j]! ** 2;
    return { loss, gradient: this.penalised(this.backward(residuals), place), curvature };
  }

  /** Approximates −H⁻¹ · gradient by conjugate gradients, more exactly nearer the minimum. */
  newtonDirection({ gradient, curvature }: State): Float64Array {
    const direction = new Float64Array(gradient.length);
    const residual = gradient.map((value) => -value);
    let search = residual.slice();
    let squares = dot(residual, residual);
    const norm = Math.sqrt(squares);
    const enough = norm * Math.min(0.1, Math.sqrt(norm));
    for (let i = 0; i < MAX_CG && Math.sqrt(squares) > enough; i++) {
      const product = this.curve(search, curvature);
      const bend = dot(search, product);
      if (!(bend > 0)) break; // the curvature vanishes in double precision; the direction found so far still descends
      const length = squares / bend;
      for (let j = 0; j < direction.length; j++) {
        direction[j]! += length * search[j]!;
        residual[j]! -= length * product[j]!;
      }
      const before = squares;
      squares = dot(residual, residual);
      search = search.map((value, j) => residual[j]! + (squares / before) * value);
    }
    return direction.some((value) => value !== 0) ? direction : residual;
  }

  /** Hessian times a direction. */
  private curve(direction: Float64Array, curvature: Float64Array): Float64Array {
    const scores = this.forward(direction);
    for (let i = 0; i < scores.length; i++) scores[i]! *= curvature[i]!;
    return this.penalised(this.backward(scores), direction);
  }

  private forward(place: Float64Array): Float64Array {
    const { nRows, nFeatures, data } = this.design;
    const scores = new Float64Array(nRows);
    for (let i = 0; i < nRows; i++) {
      let sum = place[nFeatures]!;
      for (let j = 0, at = i * nFeatures; j < nFeatures; j++, at++) sum += data[at]! * place[j]!;
      scores[i] = sum;
    }
    return scores;
  }

  private backward(perRow: Float64Array): Float64Array {
    const { nRows, nFeatures, data } = this.design;
    const result = new Float64Array(nFeatures + 1);
    for (let i = 0; i < nRows; i++) {
      const factor = perRow[i]!;
      for (let j = 0, at = i * nFeatures; j < nFeatures; j++, at++) result[j]! += factor * data[at]!;
      result[nFeatures]! += factor;
    }
    return result;
  }

  private penalised(result: Float64Array, place: Float64Array): Float64Array {
    for (let j = 0; j < this.design.nFeatures; j++) result[j]! += this.lambda * place[j]!;
    return result;
  }
}

function notConverged(gradient: number, tolerance: number): SteeringError {
  return new SteeringError("E_BAD_ARGUMENT", "the logistic regression did not converge: "
    + `its gradient is ${gradient.toExponential(1)}; expected at most ${tolerance}: use a larger λ`);
}

function eachElement(data: Float64Array, width: number, use: (value: number, column: number, index: number) => void): void {
  for (let at = 0, j = 0; at < data.length; at++, j = j + 1 === width ? 0 : j + 1) use(data[at]!, j, at);
}

function largest(values: Float64Array): number {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
}
