import { describe, expect, test } from "@jest/globals";
import type { Dataset } from "../../lib/index.js";
import { answerPairs } from "../../lib/extract/text-pairs.js";
import { PAIR_METHODS } from "../../lib/vector/index.js";
import { directionScore, layerDirections, pairDirection, type PairActivations } from "../../lib/extract/pair-directions.js";
import { drawPairs } from "../../lib/extract/text-pairs.js";
import type { PairedRows } from "../../lib/maths/index.js";
import { seededRandom } from "../../lib/maths/random.js";
import { expectClose } from "../support/expect-close.js";
import { dot } from "../support/linear.js";

const rows = (values: number[][]): Float32Array[] => values.map((row) => Float32Array.from(row));
const paired = (positive: number[][], negative: number[][]): PairedRows => ({ positive: rows(positive), negative: rows(negative) });
const dataset = (name: string, list: Array<[string, string]>): Dataset => ({
  name, instruction: "", rows: list.map(([input, output]) => ({ input, output })),
});

function random(n: number, width: number, shift: number, seed: number): number[][] {
  const next = seededRandom(seed);
  return Array.from({ length: n }, () => Array.from({ length: width }, () => next() - 0.5 + shift));
}

describe("pairs", () => {
  test("are rows with the same query, wherever they stand, the first with the first; others are left out", () => {
    const positive = dataset("a", [["x", "1"], ["y", "2"], ["x", "3"], ["z", "4"], ["x", "5"]]);
    const negative = dataset("b", [["w", "6"], ["x", "7"], ["y", "8"], ["x", "9"]]);
    expect(answerPairs(positive, negative)).toEqual([
      { question: "x", positive: "1", negative: "7" }, { question: "y", positive: "2", negative: "8" },
      { question: "x", positive: "3", negative: "9" },
    ]);
    expect(() => answerPairs(positive, dataset("c", [["v", "1"]]))).toThrow(expect.objectContaining({
      code: "E_BAD_DATASET", message: expect.stringContaining("no query in common"),
    }));
  });

  test("a draw has each once, in order, the same for the same seed; more than there are is refused", () => {
    const pairs = Array.from({ length: 20 }, (_, i) => ({ question: String(i), positive: "a", negative: "b" }));
    const numbers = (seed: number): number[] => drawPairs(pairs, 7, seed).map(({ question }) => Number(question));
    expect(numbers(1)).toEqual([...new Set(numbers(1))].sort((a, b) => a - b));
    expect(numbers(1)).toEqual(numbers(1));
    expect(numbers(1)).not.toEqual(numbers(2));
    expect(drawPairs(pairs, 20, 3)).toEqual(pairs);
    expect(() => drawPairs(pairs, 21, 1)).toThrow(expect.objectContaining({ code: "E_BAD_DATASET" }));
  });
});

describe("a direction by hand", () => {
  test("mean", () => expectClose(pairDirection(paired([[3, 0], [2, 2]], [[1, 0], [1, 1]]), "mean"), [1.5, 0.5], 6));

  // The differences (2, 0) and (1, 1) have the component u ∝ (1, √5 − 2) (principal.test.ts); the mean shift is (1.5, 0.5).
  test("pca: the mean shift along the component", () => {
    const u = [1, Math.sqrt(5) - 2];
    const length = (u[0]! * 1.5 + u[1]! * 0.5) / (u[0]! ** 2 + u[1]! ** 2);
    expectClose(pairDirection(paired([[3, 0], [2, 2]], [[1, 0], [1, 1]]), "pca"), u.map((value) => value * length), 6);
  });

  // The second value is the same on both sides: by symmetry it has no weight.
  test(
    "probe: the mean shift along the weights",
    () => expectClose(pairDirection(paired([[1, 5], [1, -5]], [[-1, 5], [-1, -5]]), "probe"), [2, 0], 6),
  );

  // Σ over the four rows of σ(−w·x)·x = λ·4·w has w ∝ x where all rows are ± one vector: the weights of standardised
  // features (±1, ±1) are equal, and those of (±1, ±2) therefore 2 : 1.
  test(
    "probe: weights are those of the features as they are",
    () => expectClose(pairDirection(paired([[1, 2], [1, 2]], [[-1, -2], [-1, -2]]), "probe"), [3.2, 1.6], 6),
  );
});

describe.each(PAIR_METHODS)("%s", (method) => {
  const [positive, negative] = [random(12, 30, 0.2, 1), random(12, 30, -0.1, 2)];

  test("sides that are swapped turn it round", () => {
    const [forth, back] = [pairDirection(paired(positive, negative), method), pairDirection(paired(negative, positive), method)];
    expectClose(back, Array.from(forth, (value) => -value), 6);
  });

  test("its length is the mean shift along it", () => {
    const shift = pairDirection(paired(positive, negative), "mean");
    const along = pairDirection(paired(positive, negative), method);
    expect(dot(along, along)).toBeGreaterThan(0.1);
    expect(dot(along, shift)).toBeCloseTo(dot(along, along), 9);
  });

  test("of equal sides it is 0", () => expectClose(pairDirection(paired([[1, 2], [1, 2]], [[1, 2], [1, 2]]), method), [0, 0], 6));
});

test("the component of equal differences is their mean", () => {
  const negative = random(9, 20, 0, 3);
  const difference = random(1, 20, 0, 4)[0]!;
  const both = paired(negative.map((row) => row.map((value, j) => value + difference[j]!)), negative);
  expectClose(pairDirection(both, "pca"), difference, 6);
});

describe("of texts of several steps", () => {
  // Two layers of width 1: text [layers][steps].
  const text = (layers: number[][]): PairActivations["positive"] => ({ nSteps: layers[0]!.length, data: Float32Array.from(layers.flat()) });
  const pairs: PairActivations[] = [
    { positive: text([[0, 4, 9], [0, 1, 1]]), negative: text([[0, 2, 3], [0, 0, 5]]) },
    { positive: text([[0, 8], [0, 3]]), negative: text([[0, 0, 7], [0, 2, 2]]) },
  ];

  test("each step is of the pairs whose texts both reach it; before the first it is 0", () => {
    const options = { method: "mean", firstStep: 1, width: 1 } as const;
    expect(layerDirections(pairs, 0, options)).toEqual({
      directions: [[0], [5], [6]].map((row) => Float64Array.from(row)), midpoints: [[0], [3.5], [6]].map((row) => Float64Array.from(row)),
    });
    expect(layerDirections(pairs, 1, options).directions.map(([value]) => value)).toEqual([0, 1, -4]);
  });

  // (x − 1) · 2 of the positive 3, 0 and the negative 0.5, −1: 4, −2 and −1, −4. Of four comparisons one is wrong, and of four texts one is
  // on the wrong side.
  test("a score is the projection beyond the midpoint", () => {
    const judged = [[3, 0.5], [0, -1]].map(([a, b]) => ({ positive: text([[a!]]), negative: text([[b!]]) }));
    expect(directionScore(judged, 0, { directions: [Float64Array.of(2)], midpoints: [Float64Array.of(1)] })).toEqual({
      accuracy: 0.75, auc: 0.75,
    });
  });

  test("a score of several steps is their mean, over those that the text reaches and that have a direction", () => {
    // Texts of 2 and 3 steps before directions of 2: (0·0 + 3·1)/2 against (0 + 2·1)/2; the third step would turn it round.
    const judged = [{ positive: text([[5, 3]]), negative: text([[5, 2, 100]]) }];
    const two = { directions: [Float64Array.of(0), Float64Array.of(1)], midpoints: [Float64Array.of(5), Float64Array.of(0)] };
    expect(directionScore(judged, 0, two)).toEqual({ accuracy: 0.5, auc: 1 });
  });
});
