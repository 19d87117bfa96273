import { expect, test } from "@jest/globals";
import { setStrength, type Property } from "../../bin/chat/properties.js";
import { scheduleWords } from "../../bin/chat/schedule-words.js";
import { allowance, alphasToTry, Budgets, canSpend, rowsFor, spendingAfter, unspent } from "../../lib/generate/budgets.js";
import { Batch } from "../../lib/engine/index.js";
import type { Reading } from "../../lib/generate/readings.js";
import { LiveSteering } from "../../lib/index.js";
import { seededRandom } from "../../lib/maths/random.js";
import { shorthandOf } from "../../lib/server/vectors/steering.js";
import { parseSteer, schedule, scheduleText, steeringSpecSchema, type BudgetSchedule, type Schedule } from "../../lib/steering/index.js";
import { withCalibrated } from "../../lib/vector/index.js";
import { smallVector } from "../support/vectors.js";

const RULES: BudgetSchedule = { kind: "budget", nats: 0.5, alphaMax: 2, per: "token" };

test.each<[string, BudgetSchedule]>([
  ["v:budget", RULES], ["v:budget,0.25", { ...RULES, nats: 0.25 }], ["v:budget,nats=0.25,max=3", { ...RULES, nats: 0.25, alphaMax: 3 }],
  ["v:budget,2,per=answer", { ...RULES, nats: 2, per: "answer" }], ["v:budget,0", { ...RULES, nats: 0 }],
])("%s", (text, expected) => {
  const spec = parseSteer(text);
  expect(spec.schedule).toEqual(expected);
  expect(parseSteer(`v:${scheduleText(spec.schedule)}`).schedule).toEqual(expected);
  expect(schedule.budget(spec.schedule.kind === "budget" ? spec.schedule.nats : NaN, {
    alphaMax: expected.alphaMax, per: expected.per,
  })).toEqual(expected);
});

test.each([
  ["v:budget,-1", /nats/], ["v:budget,1,2", /nats is given twice/], ["v:budget,1,per=word", /per/], ["v:budget,max=-1", /alphaMax/],
  ["v:fixed,nats=1", /Unrecognized key/], ["v:budget,alpha=1", /Unrecognized key/],
  ["v:budget,on=prompt+answer", /budget measures its alpha/],
  ["v:fixed,op=rotate", /operator/], ["v:fixed,norm=scale", /only norm=keep/], ["v:fixed,op=add,op=add", /op is given twice/],
  ["v:dyn,op=clamp", /clamp changes more/], ["v:budget,op=clamp", /clamp changes more/],
])("%s is refused", (text, message) => {
  expect(() => parseSteer(text)).toThrow(expect.objectContaining({ code: "E_BAD_SPEC", message: expect.stringMatching(message) }));
});

test("operators: the shorthand, the specification, and the shorthand of a specification say the same", () => {
  for (const [text, expected] of [
    ["v:fixed,1,op=ablate", { operator: "ablate" }],
    ["v:dyn,p=0.5,max=2,strong=2,kl=mean,op=project,norm=keep", { operator: "project", keepNorm: true }],
    ["v:fixed,0.5,op=clamp", { operator: "clamp" }], ["v:fixed,1,norm=keep", { keepNorm: true }],
  ] as const) {
    const spec = parseSteer(text);
    expect(spec).toMatchObject(expected);
    expect(steeringSpecSchema.parse(JSON.parse(JSON.stringify(spec)))).toEqual(spec);
    expect(shorthandOf(spec)).toBe(text);
  }
  for (const text of ["v:fixed,1", "v:fixed,1,op=add"]) expect(shorthandOf(parseSteer(text))).toBe("v:fixed,1");
  expect(parseSteer("v:fixed,1")).not.toHaveProperty("operator");
  expect(new LiveSteering({ vector: smallVector(), schedule: () => 1 })).toMatchObject({ operator: "add", keepNorm: false });
});

test("a calibration knows a budget's largest alpha, unless it is named; /alpha takes both, and operators", () => {
  const calibration = { schedule: { kind: "fixed", alpha: 0.2 }, by: "kl" } as never;
  expect(withCalibrated({ ...RULES }, calibration, {})).toEqual({ ...RULES, alphaMax: 0.4 });
  expect(withCalibrated({ ...RULES }, calibration, { alphaMax: 3 })).toEqual({ ...RULES, alphaMax: 3 });
  expect(withCalibrated({ kind: "fixed", alpha: 1 }, calibration, {})).toEqual({ kind: "fixed", alpha: 1 });
  const vector = { provenance: { calibration } } as never;
  const property: Property = { name: "a", steering: { ...parseSteer("a:fixed,1"), vector, gate: undefined } };
  setStrength(property, "budget,0.3,op=project");
  expect(scheduleWords(property.steering.schedule)).toBe("budget,0.3,max=0.4");
  expect(property.steering).toMatchObject({ operator: "project" });
  expect(() => setStrength({ ...property, steering: { ...property.steering, operator: "clamp" } }, "dyn,p=0.5")).toThrow(/clamp/);
});

const rules = (more: Partial<BudgetSchedule> = {}): BudgetSchedule => ({ ...RULES, ...more });

test.each([1, 2])("%d at once: whatever was spent before, alphas of at most the largest are tried, in order", (n) => {
  const random = seededRandom(3);
  for (let i = 0; i < 100; i++) {
    const given = rules({ nats: 10 ** (6 * random() - 4), alphaMax: 10 ** (4 * random() - 2), per: i % 2 ? "token" : "answer" });
    let spending = unspent(given);
    let spent = 0;
    for (let token = 0; token < 20; token++) {
      const alphas = alphasToTry(spending, n);
      expect(alphas).toHaveLength(n === 1 ? 2 : 1);
      expect(alphas[0]).toBeLessThanOrEqual(given.alphaMax);
      expect(alphas.every((alpha, index) => alpha > 0 && (index === 0 || alpha < alphas[index - 1]!))).toBe(true);
      const most = allowance(spending);
      const steepness = 10 ** (8 * random() - 4);
      const kls = alphas.map((alpha) => steepness * alpha ** 2);
      const index = kls.findIndex((kl) => kl <= most);
      spent += kls[index] ?? 0;
      spending = spendingAfter(spending, alphas, { index, kls: kls.map((kl, at) => (index >= 0 && at > index ? NaN : kl)) });
      expect(Number.isFinite(spending.reach) && spending.reach > 0).toBe(true);
    }
    if (given.per === "answer") {
      expect(spent).toBeLessThanOrEqual(given.nats * (1 + 1e-12));
      expect(spending.left).toBeCloseTo(given.nats - spent, 9);
    }
  }
});

test.each([[1, 1.3, 20], [2, 2.1, 33]])("%d at once: with %f times what the largest spends, it is added; from %d nats on, at once", (
  n, times, large,
) => {
  for (const nats of [0.01, 4, large, 1e9]) {
    let spending = unspent(rules({ nats }));
    for (let token = 0; token < 60; token++) {
      const alphas = alphasToTry(spending, n);
      if (nats >= large || token > 40) expect(alphas[0]).toBe(2);
      spending = spendingAfter(spending, alphas, { index: 0, kls: alphas.map((alpha) => (nats / times) * (alpha / 2) ** 2) });
    }
  }
});

test("a budget that no alpha meets, for however long, leaves alphas to try", () => {
  let spending = unspent(rules({ nats: 1e-12, alphaMax: 2 }));
  for (let token = 0; token < 2000; token++) {
    const alphas = alphasToTry(spending, 1);
    expect(alphas.every((alpha) => alpha > 0)).toBe(true);
    spending = spendingAfter(spending, alphas, { index: -1, kls: alphas.map(() => 1) });
  }
});

test("the rows of an output: one, and with n budgets n + 2", () => {
  const of = (...schedules: Schedule[]): number =>
    rowsFor(new Map(schedules.map((each) => [new LiveSteering({ vector: smallVector(), schedule: each }), each])));
  const budgets = Array<BudgetSchedule>(6).fill(RULES);
  expect(Array.from({ length: 7 }, (_, n) => of(...budgets.slice(0, n)))).toEqual([1, 3, 4, 5, 6, 7, 8]);
  expect(of({ kind: "fixed", alpha: 1 }, rules({ nats: 0 }), RULES)).toBe(3);
});

test.each([0, 1e-50])("a largest alpha that is 0 as a 32-bit float leaves nothing to choose: %p", (alphaMax) => {
  expect(canSpend(rules({ alphaMax }))).toBe(false);
  expect(canSpend(rules({ alphaMax: 1e-40 }))).toBe(true);
});

test.each([[1, 0.9], [2, 0.7]])("%d at once: if tokens are alike, the alpha is soon %d of the one that spends the budget", (n, share) => {
  for (const wanted of [0.003, 0.03, 0.3, 1.1, 1.9]) {
    let spending = unspent(rules());
    let chosen = 0;
    for (let token = 0; token < 30; token++) {
      const alphas = alphasToTry(spending, n);
      const kls = alphas.map((alpha) => 0.5 * (alpha / wanted) ** 2);
      const index = kls.findIndex((kl) => kl <= 0.5 * (1 + 1e-9));
      chosen = alphas[index] ?? 0;
      spending = spendingAfter(spending, alphas, { index, kls });
    }
    expect(chosen / wanted).toBeCloseTo(share, 1);
  }
});

test("a KL that is no number fails the step; one of a weaker alpha than the chosen was not measured", () => {
  const budgets = new Budgets();
  const steering = new LiveSteering({ vector: smallVector(), schedule: RULES });
  const choice = { steering, schedule: RULES, alphas: [2, 1] };
  const take = (index: number, kls: number[]): Reading => budgets.take(choice, { index, kls }, false);
  expect(() => take(1, [NaN, 0.1])).toThrow(expect.objectContaining({ code: "E_NOT_FINITE" }));
  expect(() => take(-1, [NaN, NaN])).toThrow(expect.objectContaining({ code: "E_NOT_FINITE" }));
  expect(take(0, [0.4, NaN])).toEqual({ alpha: 2, kl: 0.4 });
  expect(take(-1, [3, 1])).toEqual({ alpha: 0, kl: 0 });
});

test("a budget that leaves a token less than rounding is spent; another schedule starts anew", () => {
  const steering = new LiveSteering({ vector: smallVector(), schedule: RULES });
  for (const [left, expected] of [[1e-9, false], [7e-6, false], [9e-6, true]] as const) {
    const [budgets, schedule] = [new Budgets(), rules({ nats: 1, per: "answer" })];
    expect(budgets.canSpend({ steering, schedule })).toBe(true);
    budgets.take({ steering, schedule, alphas: [2, 1] }, { index: 0, kls: [1 - left, NaN] }, false);
    expect(budgets.canSpend({ steering, schedule })).toBe(expected);
    expect(budgets.canSpend({ steering, schedule: rules({ nats: 1, per: "answer" }) })).toBe(true);
  }
  for (const schedule of [rules({ nats: 1e-7 }), rules({ nats: 0 }), rules({ alphaMax: 0 })]) {
    expect(new Budgets().canSpend({ steering, schedule })).toBe(false);
  }
});

test("while a gate is shut, the estimate stays", () => {
  const budgets = new Budgets();
  const steering = new LiveSteering({ vector: smallVector(), schedule: RULES });
  const own = { steering, schedule: RULES, own: 0 };
  const tried = (): readonly number[] => {
    const [choice] = budgets.request(new Batch(), [own], [0], [0, 1, 2], () => 1);
    return choice!.alphas;
  };
  budgets.take({ ...own, alphas: [2, 1] }, { index: 1, kls: [3, 0.4] }, false);
  const before = tried();
  for (let step = 1; step < 5; step++) {
    budgets.take({ ...own, alphas: before }, { index: 0, kls: [0, NaN] }, true);
    expect(tried()).toEqual(before);
  }
  budgets.take({ ...own, alphas: before }, { index: 0, kls: [0, NaN] }, false);
  expect(tried()).not.toEqual(before);
});
