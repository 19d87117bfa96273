import { expect, test } from "@jest/globals";
import { FACTS, KINDS } from "../../lib/steering/schedule-kinds.js";
import * as schedules from "../../lib/steering/schedules.js";
import { alphaAt, givenSettings, parseSchedule, type ScheduleInput, type SetSchedule } from "../../lib/steering/index.js";

const STEPS = [0, 1, 2, 3, 4, 5, 6];

function alphas(schedule: SetSchedule, nSteps: number): number[] {
  return STEPS.map((step) => alphaAt(schedule, step, nSteps));
}

// docs/method.md §4: Fixed α_i = α; Start only step 0; Dim α_i = α(1 − i/N).
test("fixed: alpha at every step", () => {
  expect(alphas({ kind: "fixed", alpha: 1.5 }, 4)).toEqual([1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5]);
});

test("start: alpha at step 0 only", () => {
  expect(alphas({ kind: "start", alpha: 2 }, 4)).toEqual([2, 0, 0, 0, 0, 0, 0]);
});

test("diminishing: alpha falls by alpha/N per step and is never taken beyond 0", () => {
  // α = 2, N = 4: 2·(1 − i/4)
  expect(alphas({ kind: "diminishing", alpha: 2 }, 4)).toEqual([2, 1.5, 1, 0.5, 0, 0, 0]);
  // N = 30, the published length: 3·(1 − 10/30) = 2
  expect(alphaAt({ kind: "diminishing", alpha: 3 }, 10, 30)).toBeCloseTo(2, 12);
  expect(alphaAt({ kind: "diminishing", alpha: 3 }, 29, 30)).toBeCloseTo(0.1, 12);
});

test("identities: all start at alpha; alpha 0 is no steering; the sign goes through", () => {
  for (const kind of ["fixed", "start", "diminishing"] as const) {
    for (const alpha of [-1, 0.5, 1, 1.5, 2, 3, 4]) expect(alphaAt({ kind, alpha }, 0, 30)).toBe(alpha);
    for (const step of STEPS) {
      expect(alphaAt({ kind, alpha: 0 }, step, 4)).toBe(0);
      // −0 and 0 are the same intensity.
      expect(alphaAt({ kind, alpha: -2 }, step, 4) + alphaAt({ kind, alpha: 2 }, step, 4)).toBe(0);
    }
  }
});

test("a vector of one step: start and diminishing agree", () => {
  expect(alphas({ kind: "diminishing", alpha: 2 }, 1)).toEqual(alphas({ kind: "start", alpha: 2 }, 1));
});

test("parseSchedule fills in defaults and keeps what is given", () => {
  expect(parseSchedule({ kind: "fixed" })).toEqual({ kind: "fixed", alpha: 1 });
  expect(parseSchedule({ kind: "start" })).toEqual({ kind: "start", alpha: 1 });
  expect(parseSchedule({ kind: "diminishing" })).toEqual({ kind: "diminishing", alpha: 1 });
  expect(parseSchedule({ kind: "dynamic" })).toEqual({ kind: "dynamic", topP: 0.5, alphaMax: 2, strongAlpha: 2, klReduction: "mean" });
  const whole = { kind: "dynamic", topP: 0.95, alphaMax: 3, strongAlpha: -2, klReduction: "sum" } as const;
  expect(parseSchedule(whole)).toEqual(whole);
  expect(parseSchedule(parseSchedule({ kind: "dynamic" }))).toEqual(parseSchedule({ kind: "dynamic" }));
});

test("every kind of schedule is whole: a constructor of its name, and words that lead to settings it has", () => {
  expect(FACTS.length).toBeGreaterThanOrEqual(6);
  for (const [name, { word, settings = {}, textSettings = [] }] of FACTS) {
    expect(schedules).toHaveProperty(name);
    expect(Object.keys(settings).length === 0).toBe(word === undefined);
    expect(Object.keys(settings)).toEqual(expect.arrayContaining([...textSettings]));
    const given = Object.entries(settings).filter(([short]) => !textSettings.includes(short) && short !== "from");
    if (word !== undefined) expect(givenSettings(`v:${word},${given.map(([short]) => `${short}=1`)}`)).toHaveProperty("kind", name);
    for (const key of Object.values(settings)) expect(KINDS[name].schema.shape).toHaveProperty(key.split(".")[0]!);
  }
});

test.each([
  [{}, /kind/],
  [{ kind: "rising" }, /kind/],
  [{ kind: "fixed", alpha: "2" }, /alpha/],
  [{ kind: "fixed", alpha: NaN }, /alpha/],
  [{ kind: "start", alpha: Infinity }, /alpha/],
  [{ kind: "fixed", topP: 0.5 }, /topP/],
  [{ kind: "dynamic", alpha: 1 }, /alpha/],
  [{ kind: "dynamic", topP: 0 }, /topP.*above 0/],
  [{ kind: "dynamic", topP: 1.5 }, /topP.*at most 1/],
  [{ kind: "dynamic", alphaMax: -0.1 }, /alphaMax/],
  [{ kind: "dynamic", strongAlpha: Infinity }, /strongAlpha/],
  [{ kind: "dynamic", klReduction: "max" }, /klReduction/],
  [{ kind: "dynamic", skip: {} }, /skip\.below/],
  [{ kind: "dynamic", skip: { below: -1 } }, /skip\.below/],
  [{ kind: "dynamic", skip: { below: 0.1, after: 0 } }, /skip\.after/],
  [{ kind: "dynamic", skip: { below: 0.1, for: 1.5 } }, /skip\.for/],
  [{ kind: "dynamic", skip: { below: 0.1, until: 1 } }, /until/],
  [null, /schedule.*object/],
  ["fixed", /schedule.*object/],
])("parseSchedule refuses %j", (input, problem) => {
  expect(() => parseSchedule(input as unknown as ScheduleInput)).toThrow(expect.objectContaining({
    name: "SteeringError", code: "E_BAD_SPEC", message: expect.stringMatching(problem),
  }));
});
