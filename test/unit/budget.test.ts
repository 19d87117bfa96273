import { expect, test } from "@jest/globals";
import { setStrength, type Property } from "../../bin/chat/properties.js";
import { scheduleWords } from "../../bin/chat/schedule-words.js";
import { allowance, alphasToTry, Budgets, canSpend, spendingAfter, TRIES, type Spending } from "../../lib/generate/budgets.js";
import { LiveSteering } from "../../lib/index.js";
import { seededRandom } from "../../lib/maths/random.js";
import { shorthandOf } from "../../lib/server/vectors/steering.js";
import { parseSteer, schedule, scheduleText, steeringSpecSchema, type BudgetSchedule } from "../../lib/steering/index.js";
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

test("the largest alpha is always tried, with others below it, in order, whatever was spent before", () => {
  const random = seededRandom(3);
  for (let i = 0; i < 100; i++) {
    const given = rules({ nats: 10 ** (6 * random() - 4), alphaMax: 10 ** (4 * random() - 2), per: i % 2 ? "token" : "answer" });
    let spending: Spending | undefined;
    let spent = 0;
    for (let token = 0; token < 20; token++) {
      const alphas = alphasToTry(given, spending);
      expect(alphas[0]).toBe(given.alphaMax);
      expect(alphas.length).toBeLessThanOrEqual(TRIES);
      expect(alphas.length).toBeGreaterThan(2);
      expect(alphas.every((alpha, index) => alpha > 0 && (index === 0 || alpha < alphas[index - 1]!))).toBe(true);
      const most = allowance(given, spending);
      const steepness = 10 ** (8 * random() - 4);
      const kls = alphas.map((alpha) => steepness * alpha ** 2);
      const index = kls.findIndex((kl) => kl <= most);
      spent += kls[index] ?? 0;
      spending = spendingAfter(spending, given, alphas, { index, kls: kls.map((kl, at) => (index >= 0 && at > index ? NaN : kl)) });
      expect(Number.isFinite(spending.reach) && spending.reach > 0).toBe(true);
    }
    if (given.per === "answer") {
      expect(spent).toBeLessThanOrEqual(given.nats * (1 + 1e-12));
      expect(spending!.left).toBeCloseTo(given.nats - spent, 9);
    }
  }
});

test("a budget that no alpha meets, for however long, leaves alphas to try", () => {
  const given = rules({ nats: 1e-12, alphaMax: 2 });
  let spending: Spending | undefined;
  for (let token = 0; token < 2000; token++) {
    const alphas = alphasToTry(given, spending);
    expect(alphas.every((alpha) => alpha > 0)).toBe(true);
    spending = spendingAfter(spending, given, alphas, { index: -1, kls: alphas.map(() => 1) });
  }
});

test.each([0, 1e-50])("a largest alpha that is 0 as a 32-bit float leaves nothing to choose: %p", (alphaMax) => {
  expect(canSpend(rules({ alphaMax }))).toBe(false);
  expect(canSpend(rules({ alphaMax: 1e-40 }))).toBe(true);
});

test("on a text whose tokens are alike, an alpha within a quarter of the one that spends the budget is found in a few tokens", () => {
  for (const wanted of [0.003, 0.03, 0.3, 1.1, 1.9]) {
    let spending: Spending | undefined;
    let chosen = 0;
    for (let token = 0; token < 12; token++) {
      const alphas = alphasToTry(rules(), spending);
      const kls = alphas.map((alpha) => 0.5 * (alpha / wanted) ** 2);
      const index = kls.findIndex((kl) => kl <= 0.5 * (1 + 1e-9));
      chosen = alphas[index] ?? 0;
      spending = spendingAfter(spending, rules(), alphas, { index, kls });
    }
    expect(chosen / wanted).toBeGreaterThan(0.75);
    expect(chosen / wanted).toBeLessThan(1 + 1e-6);
  }
});

test("a KL that is no number fails the step; one of a weaker alpha than the chosen was not measured", () => {
  const budgets = new Budgets();
  const steering = new LiveSteering({ vector: smallVector(), schedule: rules() });
  const take = (index: number, kls: number[]): void => budgets.take(steering, rules(), [2, 1], { row: 0, index, kls });
  expect(() => take(1, [NaN, 0.1])).toThrow(expect.objectContaining({ code: "E_NOT_FINITE" }));
  expect(() => take(-1, [NaN, NaN])).toThrow(expect.objectContaining({ code: "E_NOT_FINITE" }));
  take(0, [0.4, NaN]);
  expect(budgets.reading(steering, rules())).toEqual({ alpha: 2, kl: 0.4 });
  budgets.begin(1);
  expect(budgets.reading(steering, rules())).toEqual({ alpha: 0, kl: null });
});

test("while a gate is shut, the estimate stays", () => {
  const budgets = new Budgets();
  const steering = new LiveSteering({ vector: smallVector(), schedule: RULES });
  budgets.take(steering, RULES, [2, 1, 0.5], { row: 0, index: 2, kls: [9, 3, 0.4] });
  const before = budgets.tries(steering, RULES);
  for (let step = 1; step < 5; step++) {
    budgets.begin(step);
    budgets.take(steering, RULES, before.alphas, { row: 0, index: 0, kls: [0, NaN, NaN, NaN], isShut: true });
    expect(budgets.has(steering)).toBe(true);
    expect(budgets.tries(steering, RULES)).toEqual(before);
  }
  budgets.take(steering, RULES, before.alphas, { row: 0, index: 0, kls: [0, NaN, NaN, NaN], isShut: false });
  expect(budgets.tries(steering, RULES)).not.toEqual(before);
});
