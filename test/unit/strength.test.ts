import { join } from "node:path";
import { afterAll, describe, expect, test } from "@jest/globals";
import { cheapest, coarseValues, finerValues } from "../../lib/calibrate/candidates.js";
import { valueOf, type Candidate } from "../../lib/calibrate/index.js";
import type { KlPoint } from "../../lib/calibrate/measure-kl.js";
import { searchBudget } from "../../lib/calibrate/search.js";
import { variedAlpha } from "../../lib/calibrate/variety.js";
import type { Gain } from "../../lib/extract/likelihood-gain.js";
import { searchSchedule } from "../../lib/extract/schedule-search.js";
import { loadSteering, schedule, SteeringVector, type Calibration } from "../../lib/index.js";
import { scheduleText, type WrittenSchedule } from "../../lib/steering/index.js";
import { calibrationResult } from "../../bin/show-vector.js";
import { scratch } from "../support/tiny-files.js";
import { smallVector } from "../support/vectors.js";

/** A search over a made-up curve, and the alphas that it asked for. */
async function search(curve: (alpha: number) => number, budget: number): Promise<{
  alpha: number | undefined; asked: number[]; curve: KlPoint[]
}> {
  const asked: number[] = [];
  const found = await searchBudget(async (alphas) => alphas.map((alpha) => {
    asked.push(alpha);
    return { alpha, mean: curve(alpha), median: curve(alpha), p95: curve(alpha) };
  }), budget);
  return { ...found, asked };
}

describe("the alpha that spends a KL budget", () => {
  test.each([1e-4, 0.003, 0.05, 0.3, 1, 7, 90])("is found at any scale: %p", async (scale) => {
    const { alpha, asked, curve } = await search((at) => Math.min(12, (at / scale) ** 2), 0.5);
    expect(alpha! / (scale * Math.SQRT1_2)).toBeCloseTo(1, 1);
    expect(asked.length).toBeLessThanOrEqual(15);
    expect(curve.map((point) => point.alpha)).toEqual(asked.toSorted((a, b) => a - b));
  });
  test("where the model breaks down, the last alpha below is taken, and no stronger one is tried", async () => {
    const { alpha, asked } = await search((at) => (at < 0.3 ? at / 10 : Infinity), 0.5);
    expect(alpha).toBeGreaterThanOrEqual(0.25);
    expect(alpha).toBeLessThan(0.3);
    expect(Math.max(...asked)).toBe(1);
  });
  test("is the first of several, from below", async () => {
    const { alpha } = await search((at) => (at < 0.5 ? 4 * at ** 2 * 4 : 0.1), 0.5);
    expect(alpha).toBeLessThan(0.3);
  });
  test("is the alpha at which the chosen statistic is the budget", async () => {
    const measure = async (alphas: readonly number[]): Promise<KlPoint[]> =>
      alphas.map((alpha) => ({ alpha, mean: alpha ** 2, median: alpha ** 2, p95: 4 * alpha ** 2 }));
    expect((await searchBudget(measure, 0.5)).alpha).toBeCloseTo(Math.SQRT1_2, 1);
    expect((await searchBudget(measure, 0.5, "p95")).alpha).toBeCloseTo(Math.SQRT1_2 / 2, 2);
  });
  test("is missing where nothing is ever moved", async () => {
    expect(await search(() => 0, 0.5)).toMatchObject({ alpha: undefined });
    expect(await search(() => Infinity, 0.5)).toMatchObject({ alpha: undefined });
  });
});

describe("a strength at which answers repeat themselves", () => {
  const reduced = async (varieties: Record<number, number>): Promise<unknown> =>
    variedAlpha(0.8, async (alphas) => alphas.map((alpha) => varieties[alpha] ?? 0.3));
  test("is reduced to the largest at which they do not", async () => {
    expect(await reduced({ 0.8: 0.9 })).toEqual({ alpha: 0.8, variety: 0.9 });
    expect(await reduced({ 0.4: 0.76, 0.28: 0.8, 0.2: 1 })).toEqual({ alpha: 0.4, variety: 0.76 });
    expect(await reduced({ 0.2: 1 })).toEqual({ alpha: 0.2, variety: 1 });
  });
  test("stays if they do at all of them", async () => {
    expect(await reduced({})).toEqual({ alpha: 0.8, variety: 0.3 });
  });
});

describe("the schedule that serves a description", () => {
  const found = async (of: (schedule: WrittenSchedule) => Partial<Gain>): Promise<unknown> => {
    const { best, tried } = await searchSchedule(0.5, async (schedule) => ({ gain: 1, loss: 0, variety: 1, nLost: 0, ...of(schedule) }));
    expect(tried.map(({ schedule }) => scheduleText(schedule))).toEqual([
      "fixed,0.35", "fixed,0.5", "fixed,0.71", "dim,0.5", "dim,0.71", "dim,1",
    ]);
    return best && scheduleText(best.schedule);
  };
  test("is the one that moves answers furthest", async () => {
    expect(await found((schedule) => ({ gain: scheduleText(schedule) === "dim,0.71" ? 2 : 1 }))).toBe("dim,0.71");
    expect(await found((schedule) => ({ gain: valueOf(schedule), loss: -1 }))).toBe("dim,1");
  });
  test("among those whose answers stay fluent and varied", async () => {
    expect(await found((schedule) => ({ gain: valueOf(schedule), loss: 1.2 * valueOf(schedule) }))).toBe("fixed,0.71");
    expect(await found((schedule) => ({ gain: valueOf(schedule), loss: 0.9 * valueOf(schedule) ** 4 }))).toBe("dim,1");
    expect(await found((schedule) => ({ gain: Math.sqrt(valueOf(schedule)), loss: 4 * valueOf(schedule) ** 4 }))).toBe("fixed,0.5");
    expect(await found((schedule) => ({ gain: valueOf(schedule), variety: schedule.kind === "fixed" ? 0.7 : 0.8 }))).toBe("dim,1");
  });
  test("is missing where none moves them, or all break them", async () => {
    expect(await found(() => ({ gain: -0.1 }))).toBeUndefined();
    expect(await found(() => ({ gain: NaN, loss: NaN, variety: NaN }))).toBeUndefined();
    expect(await found(() => ({ loss: 1.1 }))).toBeUndefined();
    expect(await found(({ kind }) => ({ nLost: kind === "fixed" ? 0 : 1, gain: kind === "fixed" ? 1 : 2 }))).toMatch(/^fixed/);
  });
});

describe("the values of a search by effect", () => {
  const candidate = (alpha: number, found: number, deltaPerplexity: number): Candidate => ({
    schedule: { kind: "fixed", alpha }, found, deltaPerplexity,
  });
  test("begin in equal ratios from weak to strong, for Start and Dim further", () => {
    expect(coarseValues("fixed", [0.1, 1.6])).toEqual([0.1, 0.2, 0.4, 0.8, 1.6]);
    expect(coarseValues("start", [0.1, 0.4]).at(-1)).toBe(1.6);
    expect(coarseValues("dynamic", undefined)).toEqual([0.1, 0.3, 0.5, 0.7, 0.9]);
  });
  test("go on around the cheapest, and below the weakest with the effect", () => {
    const tried = [candidate(0.1, 0, 1), candidate(0.4, 0.9, 5), candidate(1.6, 1, 3), candidate(6.4, 1, 50)];
    expect(finerValues("fixed", tried, 0.9)).toEqual([0.2, 0.8, 3.2]);
    expect(finerValues("fixed", tried.toReversed(), 0.9)).toEqual([0.2, 0.8, 3.2]);
  });
  test("go on around the largest share where none has the effect", () => {
    expect(finerValues("fixed", [candidate(0.1, 0, 1), candidate(0.4, 0.5, 5), candidate(1.6, 0.2, 9)], 0.9)).toEqual([0.2, 0.8]);
    expect(finerValues(
      "dynamic", [0.1, 0.3].map((topP, i) => ({ schedule: schedule.dynamic({ topP }), found: i, deltaPerplexity: 1 })), 0.9,
    )).toEqual([0.2]);
  });
  test("know that Dyn is weaker the larger p_top is", () => {
    const tried = [0.1, 0.3, 0.5, 0.9].map((topP) =>
      ({ schedule: schedule.dynamic({ topP }), found: topP < 0.9 ? 1 : 0, deltaPerplexity: topP === 0.1 ? 1 : 2 }));
    expect(finerValues("dynamic", tried, 0.9)).toEqual([0.7, 0.2]); // below the weakest with the effect, and beside the best
    expect(cheapest(tried.slice(1), 0.9)!.schedule).toMatchObject({ topP: 0.5 });
  });
});

describe("what a file knows of its strength", () => {
  const space = scratch();
  afterAll(() => space[Symbol.dispose]());
  const questions = { name: "ENG", hash: "sha256:1" };
  const byKl: Calibration = {
    by: "kl", schedule: schedule.fixed(-0.3), budget: 0.5, n: 4, questions, curve: [{ value: 0.25, kl: { mean: 0.4, p95: null } }],
  };
  const byEffect: Calibration = {
    schedule: schedule.dynamic({ topP: 0.3, strongAlpha: 0.6, alphaMax: 0.5 }), effect: "language ita", wanted: 0.9, found: 1,
    deltaPerplexity: 2, n: 20, questions,
  };
  const saved = async (name: string, calibration: Calibration): Promise<string> => {
    const path = join(space.folder, name);
    await new SteeringVector({ ...smallVector(), provenance: { ...smallVector().provenance, calibration } }).save(path);
    return path;
  };
  test("is read as it was written, also from files that do not say how it was found", async () => {
    for (const calibration of [byKl, byEffect]) {
      expect((await SteeringVector.load(await saved("same.safetensors", calibration))).provenance.calibration).toEqual(calibration);
    }
    const reduced: Calibration = { ...byKl, spending: -0.6, variety: 0.8 };
    expect([calibrationResult(byKl), calibrationResult(reduced), calibrationResult(byEffect)]).toEqual([
      "KL of 0.5 nats per token, over 4 questions of ENG",
      "KL of at most 0.5 nats per token, over 4 questions of ENG; weaker than -0.6, where answers repeat themselves",
      "language ita in 100 % of 20 answers, ΔPPL 2.00",
    ]);
    const described = (gain: number | null): Calibration => ({
      ...byKl, by: "description", spending: -0.6, tried: [{ schedule: byKl.schedule, gain, loss: 0.25, variety: 1 }],
    });
    expect([calibrationResult(described(1.5)), calibrationResult(described(null))]).toEqual([
      "answers 1.50 nats per token likelier towards it, 0.25 less fluent; the best of 1 schedules", "the best of 1 schedules",
    ]);
    const file = await saved("described.safetensors", described(1.5));
    expect((await SteeringVector.load(file)).provenance.calibration).toEqual(described(1.5));
    expect((await loadSteering(`${file}:dyn`))[0]!.schedule)
      .toMatchObject({ strongAlpha: expect.closeTo(-0.84, 6), alphaMax: expect.closeTo(0.84, 6) });
    expect((await SteeringVector.load(await saved("reduced.safetensors", reduced))).provenance.calibration).toEqual(reduced);
  });
  test("gives Dyn its strong alpha and its cap, where --steer does not", async () => {
    const [kl, effect] = [await saved("kl.safetensors", byKl), await saved("effect.safetensors", byEffect)];
    const scheduleOf = async (spec: string): Promise<object> => (await loadSteering(spec))[0]!.schedule;
    expect(await scheduleOf(kl)).toEqual(byKl.schedule);
    expect(await scheduleOf(`${kl}:dyn`)).toEqual(schedule.dynamic({ strongAlpha: -0.6, alphaMax: 0.6 }));
    expect(await scheduleOf(`${kl}:dyn,p=0.9,max=2`)).toEqual(schedule.dynamic({ topP: 0.9, strongAlpha: -0.6, alphaMax: 2 }));
    expect(await scheduleOf(`${effect}:dyn`)).toEqual(byEffect.schedule);
    expect(await scheduleOf(`${effect}:dyn,p=0.7`)).toEqual({ ...byEffect.schedule, topP: 0.7 });
    expect(await scheduleOf(`${kl}:fixed,1`)).toEqual(schedule.fixed(1));
  });
});
