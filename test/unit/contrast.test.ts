import { describe, expect, test } from "@jest/globals";
import {
  chanceOf, contrastProducts, contrastStatistics, seededRandom, shiftLength, sumOfProducts, type PairedRows,
} from "../../lib/maths/index.js";
import { healthLine } from "../../bin/show-vector.js";
import { contrastHealth } from "../../lib/extract/health.js";
import { randomControl, withEffect } from "../../lib/extract/index.js";
import { SteeringVector, type Calibration } from "../../lib/index.js";
import { smallVector } from "../support/vectors.js";
import { HEALTH_PAIRS } from "../../lib/extract/contrast.js";

const paired = (pairs: Array<[positive: number[], negative: number[]]>): PairedRows =>
  ({ positive: pairs.map(([row]) => Float32Array.from(row)), negative: pairs.map(([, row]) => Float32Array.from(row)) });

/** Rows of noise, the positive ones moved along the first axis. */
function moved(n: number, shift: number, { width = 20, seed = 1 } = {}): PairedRows {
  const next = seededRandom(seed);
  const row = (by: number): number[] => Array.from({ length: width }, (_, j) => 2 * next() - 1 + (j === 0 ? by : 0));
  return paired(Array.from({ length: n }, () => [row(shift), row(0)]));
}

/** The same with the sides of every pair swapped by a coin. */
function shuffledSides({ positive, negative }: PairedRows, seed: number): PairedRows {
  const next = seededRandom(seed);
  const swap = positive.map(() => next() < 0.5);
  return {
    positive: positive.map((row, i) => (swap[i] ? negative[i]! : row)), negative: negative.map((row, i) => (swap[i] ? positive[i]! : row)),
  };
}

const statistics = (rows: PairedRows) => contrastStatistics(contrastProducts(rows));

describe("statistics of a contrast", () => {
  // Differences (2, 0), (1, 1), (0, 2): means of the others (0.5, 1.5), (1, 1), (1.5, 0.5); even mean (1, 1), odd (1, 1).
  const byHand = paired([[[2, 0], [0, 0]], [[1, 3], [0, 2]], [[5, 2], [5, 0]]]);
  test("by hand", () => {
    const { agreement, splitHalf, auc } = statistics(byHand);
    expect(agreement).toBeCloseTo((2 * (0.5 / Math.sqrt(2.5)) + 1) / 3, 12);
    expect(splitHalf).toBeCloseTo(1, 12);
    // Even rows along (1, 1): 2, 7 against 0, 5; odd row 4 against 2.
    expect(auc).toBeCloseTo((3 / 4 + 1) / 2, 12);
    expect(shiftLength(contrastProducts(byHand))).toBeCloseTo(Math.SQRT2, 12);
  });

  test("a pair alone, and differences of zero, show nothing", () => {
    for (const rows of [paired([[[1, 2], [0, 0]]]), paired([[[1], [1]], [[2], [2]], [[3], [3]]])]) {
      expect(statistics(rows)).toMatchObject({ agreement: 0, splitHalf: 0, auc: 0.5 });
      expect(chanceOf(contrastProducts(rows))).toBe(1);
    }
  });

  test("noise has the agreement 0 however few the pairs; a shift has a high one", () => {
    for (const n of [6, 12]) {
      const agreements = Array.from({ length: 60 }, (_, seed) => statistics(moved(n, 0, { seed })).agreement);
      expect(Math.abs(agreements.reduce((sum, value) => sum + value, 0) / 60)).toBeLessThan(0.05);
      expect(statistics(moved(n, 20))).toMatchObject({ agreement: expect.closeTo(0.95, 1), splitHalf: expect.closeTo(0.95, 1), auc: 1 });
    }
  });

  test("chance: small for a shift, spread evenly for swapped sides", () => {
    expect(chanceOf(contrastProducts(moved(12, 20)))).toBeLessThan(0.005);
    const chances = Array.from(
      { length: 40 }, (_, seed) => chanceOf(contrastProducts(shuffledSides(moved(12, 20, { seed }), seed + 1000))),
    );
    for (const level of [0.1, 0.5]) {
      const below = chances.filter((chance) => chance <= level).length / 40;
      expect(Math.abs(below - level)).toBeLessThan(3 * Math.sqrt((level * (1 - level)) / 40));
    }
  });

  test("a layer weighs the same at any scale", () => {
    const [a, b] = [contrastProducts(moved(8, 5, { seed: 1 })), contrastProducts(moved(8, 1, { seed: 2 }))];
    const scaled = { ...b, positive: b.positive.map((value) => 100 * value), negative: b.negative.map((value) => 100 * value) };
    const [one, other] = [contrastStatistics(sumOfProducts([a, b])), contrastStatistics(sumOfProducts([a, scaled]))];
    expect(one.agreement).toBeCloseTo(other.agreement, 10);
    expect(one.agreement).not.toBeCloseTo(contrastStatistics(a).agreement, 3);
  });
});

describe("the verdict", () => {
  const verdict = (rows: PairedRows) => contrastHealth([3], [rows]).verdict;

  test.each([["strong", 20], ["usable", 2], ["weak", 1.05], ["noise", 0]] as const)("%s", (word, shift) => {
    expect(verdict(moved(24, shift))).toBe(word);
  });

  test("shuffled labels of a strong contrast are noise, but for the level of significance", () => {
    const found = Array.from({ length: 20 }, (_, seed) => verdict(shuffledSides(moved(12, 20, { seed }), seed + 1)));
    expect(found.filter((word) => word === "strong")).toEqual([]);
    expect(found.filter((word) => word === "noise").length).toBeGreaterThanOrEqual(17);
  });

  test("few pairs are weak, and say how many are needed", () => {
    expect(contrastHealth([0], [moved(5, 20)])).toMatchObject({
      verdict: "weak", nPairs: 5, reason: expect.stringContaining("at least 6"),
    });
  });

  test("has a reason in plain words", () => {
    const health = [moved(24, 20), moved(24, 0.9), moved(24, 0), moved(5, 20)].map((rows) => contrastHealth([3], [rows]));
    expect(health.map(({ verdict }) => verdict)).toEqual(["strong", expect.any(String), "noise", "weak"]);
    for (const each of health) {
      const line = healthLine({ ...each, effect: { alpha: 1.5, kl: 1, randomKl: 0.1, gain: 0.5, randomGain: 0 } });
      expect(line).toMatch(/^[a-z]+: [a-z0-9]/);
      expect(line).not.toMatch(/AUC|agreement|cosine|KL|nats|\d\.\d/);
    }
  });

  test("figures per layer; at most so many pairs are read", () => {
    const health = contrastHealth([2, 5], [moved(HEALTH_PAIRS + 10, 20), moved(HEALTH_PAIRS + 10, 0, { seed: 9 })]);
    expect(health.nPairs).toBe(HEALTH_PAIRS);
    expect(health.layers.map(({ layer }) => layer)).toEqual([2, 5]);
    const [moving, still] = health.layers;
    // Rows of uniform noise have the length √(20/3); the moved ones √(20/3 + 400).
    expect(moving!.relativeNorm).toBeCloseTo(20 / ((Math.sqrt(20 / 3) + Math.sqrt(20 / 3 + 400)) / 2), 1);
    expect(still!.relativeNorm).toBeLessThan(0.3);
    expect(moving!.auc).toBe(1);
    expect(still!.auc).toBeLessThan(0.7);
  });
});

describe("beside a random vector", () => {
  const health = contrastHealth([0], [moved(16, 20)]);
  const vector = new SteeringVector({ ...smallVector(), provenance: { ...smallVector().provenance, health } });

  test("which has the same norms in other directions, the same in all steps of a layer", () => {
    const control = randomControl(vector);
    control.norms().flat().forEach((norm, i) => expect(norm).toBeCloseTo(vector.norms().flat()[i]!, 3));
    expect(control.data).not.toEqual(vector.data);
    const [first, second] = [control.data.subarray(0, 3), control.data.subarray(3, 6)];
    const ratio = second[0]! / first[0]!;
    second.forEach((value, i) => expect(value / first[i]!).toBeCloseTo(ratio, 3));
    expect(randomControl(vector).data).toEqual(control.data);
    expect(randomControl(vector, 2).data).not.toEqual(control.data);
  });

  test.each([[3, 1, "strong"], [1.2, 1, "weak"]] as const)("a KL of %d beside %d: %s", async (kl, randomKl, verdict) => {
    const measured = await withEffect(vector, 1.5, { kl: async (one) => (one === vector ? kl : randomKl) });
    expect(measured.provenance.health).toMatchObject({ verdict, effect: { alpha: 1.5, kl, randomKl }, agreement: health.agreement });
    expect(measured.data).toBe(vector.data);
  });

  test("no strength that leaves answers fluent: weak", async () => {
    const broken = await withEffect(vector, 1.5, { kl: async () => Infinity, problem: "none is fluent" });
    expect(broken.provenance.health).toMatchObject({ verdict: "weak", reason: expect.stringMatching(/^none is fluent; otherwise strong: /) });
    expect((await withEffect(vector, 1.5, { kl: async () => Infinity })).provenance.health).toEqual(vector.provenance.health);
    const measured = await withEffect(vector, 1.5, { kl: async (one) => (one === vector ? 3 : 0.1), problem: "none is fluent" });
    expect(measured.provenance.health).toMatchObject({ verdict: "weak", reason: expect.stringMatching(/^none is fluent; otherwise strong: /) });
  });

  test.each([
    [1.5, 1, "strong", ""], [0.2, 1, "strong", ""], [0.19, 1, "usable", "; steered answers move only a little towards the description"],
    [0.01, 1, "weak", "hardly closer to the description"], [-2, 1, "weak", "hardly closer"],
    [1.5, 0.3, "weak", "at alpha 1.5 answers repeat themselves: they have 30 % as many different tokens"],
    [NaN, 1, "strong", ""], [NaN, 0.7, "weak", "70 % as many"],
  ] as const)("answers that become likelier towards the description by %d nats per token, with a variety of %d: %s", async (
    gain, variety, verdict, why,
  ) => {
    const calibration: Calibration = {
      by: "kl", schedule: { kind: "fixed", alpha: 1.5 }, budget: 1, variety, n: 4, questions: { name: "ENG", hash: "sha256:1" }, curve: [],
    };
    const strong = new SteeringVector({ ...vector, provenance: { ...vector.provenance, calibration } });
    const measured = await withEffect(strong, 1.5, {
      kl: async (one) => (one === strong ? 3 : 0.1),
      gain: { measure: async (one) => ({ gain: one === strong ? gain : 0.02, loss: 0, variety: 1, nLost: 0 }) },
    });
    const { effect, reason, verdict: found } = measured.provenance.health!;
    expect({ found, effect }).toEqual({
      found: verdict, effect: { alpha: 1.5, kl: 3, randomKl: 0.1, ...(!Number.isNaN(gain) && { gain, randomGain: 0.02 }), variety },
    });
    expect(reason).toContain(why);
    if (verdict === "weak") expect(reason).toContain("; otherwise strong: ");
  });
});
