import { describe, expect, test } from "@jest/globals";
import { accuracy, auc, brierScore, calibrationError, judgementMetrics } from "../../lib/maths/classification.js";
import { fitLogistic, logit, sigmoid, softplus, standardise, unstandardised, type LogisticModel } from "../../lib/maths/logistic.js";
import { seededRandom, shuffled } from "../../lib/maths/random.js";

/** 24 rows of 3 features by a formula, of very different scales. */
const ROWS = Array.from({ length: 24 }, (_, i) => [1, 100, 0.01].map((scale, j) => ((i * 7 + j * 11 + i * i * (j + 1)) % 13) * scale));
const LABELS = ROWS.map((_, i) => (i * 5) % 7 < 3);

/** A problem of more features than rows, separable. */
function wide(nRows = 40, nFeatures = 100, seed = 1): { rows: Float64Array[]; labels: boolean[] } {
  const random = seededRandom(seed);
  const labels = Array.from({ length: nRows }, (_, i) => i % 2 === 0);
  return {
    labels, rows: labels.map((label) => Float64Array.from({ length: nFeatures }, (_, j) => random() - 0.5 + (j < 5 && label ? 0.3 : 0))),
  };
}

/** The gradient of the penalised mean loss, element by element from its definition. */
function gradient(rows: readonly ArrayLike<number>[], labels: readonly boolean[], model: LogisticModel, lambda: number): number[] {
  const residuals = rows.map((row, i) => (1 / (1 + Math.exp(-logit(model, row))) - Number(labels[i])) / rows.length);
  const slopes = Array.from(model.weights, (weight, j) => rows.reduce((sum, row, i) => sum + residuals[i]! * row[j]!, 0) + lambda * weight);
  return [...slopes, residuals.reduce((sum, value) => sum + value, 0)];
}

describe("the fit", () => {
  // Computed with numpy 2.4.6 by Newton's method with a direct solve of the whole Hessian, on features standardised with np.std (gradient
  // below 1e-16).
  test.each([
    [1, [-0.017308920339178864, 0.00018350406904532412, 4.4374333147943945], -0.647346724979112],
    [0.01, [-0.11670574281132771, 0.0013586050494303235, 29.363162316848044], -2.514972243396842],
  ])("λ = %d: weights and bias are those of another solver", (lambda, weights, bias) => {
    const design = standardise(ROWS);
    const fit = fitLogistic(design, LABELS, { lambda, tolerance: 1e-12 });
    const model = unstandardised(design, fit);
    model.weights.forEach((weight, j) => expect(weight / weights[j]!).toBeCloseTo(1, 8));
    expect(model.bias).toBeCloseTo(bias, 8);
  });

  // Of one feature at ±1 with the label its sign: the bias is 0 by symmetry, and σ(−w) = λw. For w = 1 that is λ = σ(−1).
  test("by hand: σ(−1) as λ makes the weight 1", () => {
    const fit = fitLogistic(
      standardise([[1], [-1], [1], [-1]]), [true, false, true, false], { lambda: 1 / (1 + Math.E), tolerance: 1e-12 },
    );
    expect(fit.weights[0]).toBeCloseTo(1, 10);
    expect(fit.bias).toBeCloseTo(0, 10);
  });

  test.each([10, 0.1, 1e-3, 1e-6])("λ = %d: the gradient vanishes, also where rows are fewer than features and separable", (lambda) => {
    const { rows, labels } = wide();
    const design = standardise(rows);
    const fit = fitLogistic(design, labels, { lambda });
    const standardised = rows.map((_, i) => design.data.subarray(i * 100, (i + 1) * 100));
    expect(Math.max(...gradient(standardised, labels, fit, lambda).map(Math.abs))).toBeLessThan(1.1e-8);
    expect(fit.gradient).toBeLessThanOrEqual(1e-8);
  });

  test("where it begins does not matter, and twice is the same to the last bit", () => {
    const { rows, labels } = wide();
    const design = standardise(rows);
    const fit = (lambda: number, start?: LogisticModel) => fitLogistic(
      design, labels, { lambda, tolerance: 1e-11, ...(start && { start }) },
    );
    const [cold, warm] = [fit(0.01), fit(0.01, fit(1))];
    cold.weights.forEach((weight, j) => expect(warm.weights[j]).toBeCloseTo(weight, 7));
    expect(fit(0.01)).toEqual(cold);
  });

  test("scaling and shifting features changes no prediction; one that never varies has no weight", () => {
    const predict = (rows: number[][]): number[] => {
      const design = standardise(rows);
      const model = unstandardised(design, fitLogistic(design, LABELS, { lambda: 0.1 }));
      return rows.map((row) => logit(model, row));
    };
    const plain = predict(ROWS);
    predict(ROWS.map((row) => row.map((value, j) => value * [1e-3, -7, 1e6][j]! + [5, -1, 1e4][j]!))).forEach(
      (z, i) => expect(z).toBeCloseTo(plain[i]!, 6),
    );
    const constant = ROWS.map((row) => [...row, 0.1]);
    predict(constant).forEach((z, i) => expect(z).toBeCloseTo(plain[i]!, 6));
    const design = standardise(constant);
    expect(unstandardised(design, fitLogistic(design, LABELS, { lambda: 0.1 })).weights[3]).toBe(0);
  });

  test("labels that are swapped turn the signs round", () => {
    const design = standardise(ROWS);
    const fit = (labels: boolean[]) => fitLogistic(design, labels, { lambda: 0.1, tolerance: 1e-12 });
    const [forth, back] = [fit(LABELS), fit(LABELS.map((label) => !label))];
    back.weights.forEach((weight, j) => expect(weight).toBeCloseTo(-forth.weights[j]!, 9));
  });

  test("what is no problem is refused", () => {
    const design = standardise(ROWS);
    for (const lambda of [0, -1, NaN, Infinity]) expect(() => fitLogistic(design, LABELS, { lambda })).toThrow(expect.objectContaining({
      code: "E_BAD_ARGUMENT",
    }));
    expect(() => fitLogistic(design, LABELS.map(() => true), { lambda: 1 })).toThrow(/same label/);
    expect(() => fitLogistic(design, LABELS.slice(1), { lambda: 1 })).toThrow(expect.objectContaining({ code: "E_SHAPE" }));
    expect(() => standardise([])).toThrow(expect.objectContaining({ code: "E_SHAPE" }));
    expect(() => standardise([[1, 2], [1]])).toThrow(expect.objectContaining({ code: "E_SHAPE" }));
    expect(() => standardise([[1, NaN]])).toThrow(expect.objectContaining({ code: "E_NOT_FINITE" }));
  });
});

test("sigmoid and softplus keep their digits at both ends", () => {
  expect([0, 1000, -1000, -40].map(sigmoid)).toEqual([0.5, 1, 0, expect.closeTo(4.248354255291589e-18, 30)]);
  expect(sigmoid(2) + sigmoid(-2)).toBeCloseTo(1, 15);
  expect([0, 1000, -40].map(softplus)).toEqual([expect.closeTo(Math.LN2, 15), 1000, expect.closeTo(4.248354255291589e-18, 30)]);
});

describe("how good", () => {
  // Of the six pairs (true, false) with scores {3, 2, 2} and {2, 1}: 3 > 2, 3 > 1, 2 = 2 twice, 2 > 1 twice: 5 of 6.
  test("AUC counts the pairs in order, ties one half", () => {
    expect(auc([3, 2, 2, 2, 1], [true, true, true, false, false])).toBeCloseTo(5 / 6, 12);
    expect(auc([1, 2], [false, true])).toBe(1);
    expect(auc([7, 7, 7], [false, true, true])).toBe(0.5);
    expect(auc([1, 2], [true, true])).toBeNaN();
  });

  test("AUC is the share of the pairs, of reversed scores 1 minus it, and the same for scores that grow alike", () => {
    const random = seededRandom(3);
    const labels = Array.from({ length: 60 }, () => random() < 0.4);
    const scores = labels.map((label) => Math.floor(random() * 12) + (label ? 2 : 0));
    let pairs = [0, 0];
    for (const [i, a] of labels.entries()) for (const [j, b] of labels.entries()) if (a && !b) pairs = [
      pairs[0]! + (scores[i]! > scores[j]! ? 1 : scores[i] === scores[j] ? 0.5 : 0), pairs[1]! + 1,
    ];
    expect(auc(scores, labels)).toBeCloseTo(pairs[0]! / pairs[1]!, 12);
    expect(auc(scores.map((score) => -score), labels)).toBeCloseTo(1 - auc(scores, labels), 12);
    expect(auc(scores.map((score) => Math.exp(score)), labels)).toBe(auc(scores, labels));
  });

  test("by hand: accuracy, Brier score, calibration error", () => {
    const [p, labels] = [[0.95, 0.91, 0.5, 0.05], [true, false, true, false]];
    expect(accuracy(p, labels)).toBe(0.5); // one half counts as false
    expect(brierScore(p, labels)).toBeCloseTo((0.05 ** 2 + 0.91 ** 2 + 0.25 + 0.05 ** 2) / 4, 12);
    // Bins [0.9, 1]: mean 0.93, share ½, 2 rows; [0.5, 0.6): 0.5 and 1; [0, 0.1): 0.05 and 0.
    expect(calibrationError(p, labels)).toBeCloseTo((2 * 0.43 + 0.5 + 0.05) / 4, 12);
    expect(judgementMetrics([0, 1], [false, true])).toEqual({ n: 2, accuracy: 1, auc: 1, ece: 0, brier: 0 });
    expect(calibrationError([1, 1], [false, false])).toBe(1);
  });

  test("probabilities that are true are calibrated", () => {
    const random = seededRandom(8);
    const p = Array.from({ length: 20_000 }, () => random());
    const labels = p.map((each) => random() < each);
    expect(calibrationError(p, labels)).toBeLessThan(0.02);
    expect(brierScore(p, labels)).toBeCloseTo(1 / 6, 2); // the mean of p(1 − p) over [0, 1]
  });

  test("sizes that differ, and what is not a number, are refused", () => {
    expect(() => auc([1], [true, false])).toThrow(expect.objectContaining({ code: "E_SHAPE" }));
    expect(() => brierScore([NaN], [true])).toThrow(expect.objectContaining({ code: "E_NOT_FINITE" }));
  });
});

test("a shuffle keeps every item, is the same for the same seed, and puts each anywhere about as often", () => {
  const items = [0, 1, 2, 3];
  expect(shuffled(items, 5)).toEqual(shuffled(items, 5));
  const places = items.map(() => 0);
  for (let seed = 0; seed < 4000; seed++) {
    const order = shuffled(items, seed);
    expect([...order].sort()).toEqual(items);
    places[order.indexOf(0)]!++;
  }
  for (const count of places) expect(Math.abs(count - 1000)).toBeLessThan(110); // four standard deviations
});
