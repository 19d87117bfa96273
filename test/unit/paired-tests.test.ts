import { describe, expect, test } from "@jest/globals";
import { agreement, areaUnderFront, holm, paretoFront, seededRandom, signFlipTest, signTest } from "../../lib/maths/index.js";

// Expected values are counted by hand, as the comments show, or in Python's exact integers (math.comb, itertools.product).
describe("the sign test", () => {
  test.each([
    [1, 8, 20 / 512], // 2 · (C(9, 0) + C(9, 1)) / 2⁹
    [8, 1, 20 / 512],
    [2, 12, 212 / 16384], // 2 · (1 + 14 + 91) / 2¹⁴
    [0, 6, 2 / 64],
    [5, 5, 1],
    [0, 0, 1],
    [500, 600, 0.0028195449914431], // 2 · Σ C(1100, k) for k up to 500, over 2¹¹⁰⁰
    [1500, 1500, 1], // 2⁻³⁰⁰⁰ is 0 in double precision
  ])("of %d above and %d below is %d", (above, below, expected) => {
    expect(signTest(above, below)).toBeCloseTo(expected, 9);
  });
});

test.each<[string, () => unknown]>([
  ["an infinite difference", () => signFlipTest([Infinity, 1])], ["one that is not a number", () => signFlipTest([NaN, 1, 2])],
  ["one among many", () => signFlipTest([...Array<number>(20).fill(1), NaN])], ["a count that is not a number", () => signTest(NaN, 1)],
  ["a negative count", () => signTest(-1, 1)], ["a probability that is not a number", () => holm([0.1, NaN])],
])("%s is refused", (_, run) => {
  expect(run).toThrow(expect.objectContaining({ code: "E_BAD_ARGUMENT" }));
});

describe("the permutation test of the mean", () => {
  test("counts all sign patterns of few differences", () => {
    expect(signFlipTest([1, 2, 3, 4, 5])).toBe(2 / 32); // only all signs the same are as far
    expect(signFlipTest([0.1, 0.2, -0.3])).toBe(1); // a mean of 0, up to rounding
    expect(signFlipTest([3, 3, 3, -1])).toBe(4 / 16); // ±10, ±8 of ±3 ±3 ±3 ±1
    expect(signFlipTest([])).toBe(1);
    expect(signFlipTest([0, 0, 0])).toBe(1);
  });

  test("draws them, the same way every time, for many", () => {
    const random = seededRandom(3);
    const noise = Array.from({ length: 40 }, () => random() - 0.5);
    const shifted = noise.map((value) => value + 0.5);
    expect(signFlipTest(shifted)).toBe(1 / 10_001);
    expect(signFlipTest(noise)).toBe(signFlipTest([...noise]));
    expect(signFlipTest(noise)).toBeGreaterThan(0.05);
    // The chance of the exact test, from either side of the limit: 13 of 14 differences agree in sign, all of the same size.
    const thirteen = [...Array<number>(12).fill(1), -1];
    expect(signFlipTest(thirteen)).toBe((2 * 14) / 8192);
    expect(signFlipTest([...thirteen, 1])).toBeCloseTo((2 * 15) / 16384, 2);
  });

  test("finds a difference where there is none about as often as its level says", () => {
    const random = seededRandom(7);
    const found = Array.from({ length: 400 }, () => signFlipTest(Array.from({ length: 9 }, () => random() - 0.5)));
    const share = found.filter((p) => p <= 0.05).length / 400;
    expect(share).toBeGreaterThan(0.02);
    expect(share).toBeLessThan(0.08);
  });
});

test("Holm's correction is that of the sorted probabilities, in the given order", () => {
  expect(holm([0.01, 0.04, 0.03, 0.005]).map((p) => Number(p.toFixed(12)))).toEqual([0.03, 0.06, 0.06, 0.02]);
  expect(holm([0.5, 0.9])).toEqual([1, 1]);
  expect(holm([0.2])).toEqual([0.2]);
  expect(holm([])).toEqual([]);
});

test("kappa is the agreement beyond chance", () => {
  const found = agreement(["c", "a", "c", "c", "a", "b"], ["a", "a", "c", "c", "a", "c"]);
  expect(found).toMatchObject({ n: 6, share: 4 / 6 });
  expect(found.kappa).toBeCloseTo(3 / 7, 12); // chance 5/12
  expect(agreement([true, false, null, true], [true, false, true, null])).toEqual({ n: 2, share: 1, kappa: 1 });
  expect(agreement([true, false, true, false], [true, true, false, false]).kappa).toBe(0);
  expect(agreement([true, true], [true, true]).kappa).toBeNaN();
  expect(agreement([null], [true])).toMatchObject({ n: 0, share: NaN });
});

describe("the front", () => {
  const [a, b, c, d] = [{ cost: 1, gain: 0.2 }, { cost: 2, gain: 0.6 }, { cost: 3, gain: 0.5 }, { cost: 5, gain: 0.9 }];

  test("leaves out what another point beats", () => {
    expect(paretoFront([d!, c!, b!, a!])).toEqual([a, b, d]);
    expect(paretoFront([a!, { ...a! }, { cost: 1, gain: 0.1 }, { cost: 1.5, gain: 0.2 }])).toEqual([a, a]);
    expect(paretoFront([])).toEqual([]);
  });

  test("has the area of its steps", () => {
    const points = [a!, b!, c!, d!];
    expect(areaUnderFront(points, 1, 5)).toBeCloseTo((0.2 * 1 + 0.6 * 3) / 4, 12); // 0.9 begins where the range ends
    expect(areaUnderFront(points, 0, 10)).toBeCloseTo((0 * 1 + 0.2 * 1 + 0.6 * 3 + 0.9 * 5) / 10, 12);
    expect(areaUnderFront(points, 2.5, 3)).toBeCloseTo(0.6, 12);
    expect(areaUnderFront(points, 2, 2)).toBe(0.6);
    expect(areaUnderFront([d!], 1, 4)).toBe(0);
    expect(areaUnderFront([], 1, 4)).toBe(0);
  });

  test("never has less area with a point more", () => {
    const random = seededRandom(11);
    for (let round = 0; round < 50; round++) {
      const points = Array.from({ length: 6 }, () => ({ cost: random(), gain: random() }));
      expect(areaUnderFront(points, 0, 1)).toBeGreaterThanOrEqual(areaUnderFront(points.slice(1), 0, 1) - 1e-12);
    }
  });
});
