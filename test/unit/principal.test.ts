import { describe, expect, test } from "@jest/globals";
import { principalComponent, topEigenvector } from "../../lib/maths/principal.js";
import { seededRandom } from "../../lib/maths/random.js";
import { expectClose } from "../support/expect-close.js";

/** The vector with its largest element above 0. */
function signed(vector: ArrayLike<number>): number[] {
  const values = Array.from(vector);
  const largest = values.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
  return values.map((value) => value * Math.sign(largest));
}

/** Columns of I − 2·v·vᵀ / |v|², which are at right angles to each other. */
function householder(v: readonly number[]): number[][] {
  const squared = v.reduce((sum, value) => sum + value * value, 0);
  return v.map((a, i) => v.map((b, j) => Number(i === j) - (2 * a * b) / squared));
}

describe("the first principal component", () => {
  // DᵀD = [[5, 1], [1, 1]] has the eigenvalues 3 ± √5; (5 − λ)·x + y = 0 gives (1, √5 − 2).
  test("by hand, of two rows", () => {
    const [x, y] = [1, Math.sqrt(5) - 2];
    expectClose(signed(principalComponent([[2, 0], [1, 1]])), [x / Math.hypot(x, y), y / Math.hypot(x, y)]);
  });

  test("of one row, of repeated ones, and of opposite ones: their direction", () => {
    for (const rows of [[[3, -4]], [[3, -4], [3, -4]], [[3, -4], [-3, 4]], [[3, -4], [0, 0]]]) expectClose(
      signed(principalComponent(rows)), [-0.6, 0.8],
    );
  });

  test("is not centred: of rows with a common part that is their mean's direction, however little they vary", () => {
    expectClose(signed(principalComponent([[10, 0.1], [10, -0.1]])), [1, 0]);
  });

  // D = Q·diag(s)·Pᵀ with orthogonal Q and P: the component is the column of P with the largest s.
  test.each([1e-3, 1e-6, 1e-9])("where the second is %d short of the first", (gap) => {
    const [q, p] = [householder([1, 2, 3]), householder([1, -1, 2, 0, 3])];
    const scales = [1 - gap, 1, 0.5];
    const rows = q.map((row) => p.map((column) => scales.reduce((sum, scale, k) => sum + row[k]! * scale * column[k]!, 0)));
    expectClose(signed(principalComponent(rows)), signed(p.map((row) => row[1]!)), Math.min(9, 14 + Math.log10(gap)));
  });

  test("is the eigenvector of the matrix of second moments, and unlike any other direction", () => {
    const random = seededRandom(4);
    for (const [n, width] of [[9, 40], [30, 6], [60, 200]] as const) {
      const rows = Array.from({ length: n }, () => Array.from({ length: width }, () => random() - 0.3));
      const found = principalComponent(rows);
      // S·u = λ·u with S = DᵀD, element by element.
      const image = Array.from(
        { length: width },
        (_, j) => rows.reduce((sum, row) => sum + row[j]! * row.reduce((inner, value, k) => inner + value * found[k]!, 0), 0),
      );
      const eigenvalue = image.reduce((sum, value, j) => sum + value * found[j]!, 0);
      expectClose(image.map((value) => value / eigenvalue), found);
      expect(Math.hypot(...found)).toBeCloseTo(1, 12);
      const moment = (u: ArrayLike<number>): number => rows.reduce(
        (sum, row) => sum + row.reduce((inner, value, k) => inner + value * u[k]!, 0) ** 2, 0,
      );
      for (let i = 0; i < 50; i++) {
        const near = found.map((value) => value + (random() - 0.5) * 0.1);
        const norm = Math.hypot(...near);
        expect(moment(near.map((value) => value / norm))).toBeLessThan(moment(found));
      }
      expect(principalComponent(rows)).toEqual(found);
    }
  });

  test("of very large and very small values, and of zeros", () => {
    for (const scale of [1e-200, 1e200]) expectClose(signed(principalComponent([[3 * scale, -4 * scale]])), [-0.6, 0.8]);
    expect(principalComponent([[0, 0], [0, 0]])).toEqual(new Float64Array(2));
  });

  test("what has none is refused", () => {
    for (const rows of [[], [[]], [[1], [1, 2]]]) expect(() => principalComponent(rows)).toThrow(
      expect.objectContaining({ code: "E_SHAPE" }),
    );
    expect(() => principalComponent([[1, NaN]])).toThrow(expect.objectContaining({ code: "E_NOT_FINITE" }));
  });
});

test("an eigenvalue that occurs twice: a vector of its plane", () => {
  const found = topEigenvector([[2, 0, 0], [0, 2, 0], [0, 0, 1]].map((row) => Float64Array.from(row)));
  expect(Math.hypot(found[0]!, found[1]!)).toBeCloseTo(1, 10);
});

test("rows without any structure take no longer than others of their size", () => {
  const random = seededRandom(5);
  const noise = Array.from({ length: 500 }, () => Float64Array.from({ length: 64 }, () => random() + random() + random() - 1.5));
  const begun = performance.now();
  const component = principalComponent(noise);
  expect(performance.now() - begun).toBeLessThan(5000);
  const onto = (direction: Float64Array): number => noise.reduce(
    (sum, row) => sum + row.reduce((dot, value, j) => dot + value * direction[j]!, 0) ** 2, 0,
  );
  // An eigenvector: what the rows make of it points along itself.
  const image = component.map(
    (_, j) => noise.reduce((sum, row) => sum + row[j]! * row.reduce((dot, value, k) => dot + value * component[k]!, 0), 0),
  );
  component.forEach((value, j) => expect(image[j]!).toBeCloseTo(onto(component) * value, 6));
  for (let axis = 0; axis < 64; axis++) expect(onto(Float64Array.from({ length: 64 }, (_, j) => Number(j === axis))))
    .toBeLessThanOrEqual(onto(component));
});
