import { expect, test } from "@jest/globals";
import { quantile } from "../../lib/maths/statistics.js";
import { replay, type Gate, type GenerateOptions, type GenerationResult, type Model, type Steering } from "../../lib/index.js";
import { generateText } from "../../lib/generate/index.js";
import { alphas, bits, expectSameTokens, gates } from "../support/gates.js";
import { randomProbe } from "../support/probes.js";
import { digits, loadTiny, randomVector } from "../support/tiny-files.js";
import { tinyForFile } from "../support/file-model.js";

// Gates and selectors of operators, kept norms and budgets.

const { space, model } = await tinyForFile();
const N_TOKENS = 8;

const run = (steer: Steering | Steering[], on: Model = model, more: GenerateOptions = {}): Promise<GenerationResult> =>
  generateText(on, "kinds", { steer, maxNewTokens: N_TOKENS, sampling: { logitBias: { 2: -Infinity } }, logProbabilities: true, ...more });
/** A probability in the middle of those read; where a budget adds nothing, none is. */
const middleOf = ({ tokens }: GenerationResult): number =>
  quantile(tokens.flatMap(({ readings: [reading] }) => reading!.gate?.probability ?? []).sort((a, b) => a - b), 0.5);

test.each([
  { operator: "ablate" }, { operator: "project" }, { operator: "clamp" }, { keepNorm: true }, { operator: "project", keepNorm: true },
] as const)("%j: open, shut and replayed, bit for bit, on both paths", async (operation) => {
  const found = [];
  for (const steeringPath of ["auto", "callback"] as const) {
    const { model: own } = await loadTiny(space, { steeringPath });
    for (const [site, probeSite] of [["attn_out", "head_out"], ["resid_post", "resid_post"]] as const) {
      const vector = await randomVector(own, 3, { site, nSteps: 1, scale: 2 });
      const probe = await randomProbe(own, 4, { site: probeSite, layer: 0, scale: 2 });
      const steering = { vector, schedule: { kind: "fixed", alpha: 0.3 }, ...operation } as const;
      // What it is composed with keeps what it does.
      const other = { vector: await randomVector(own, 6, { site, nSteps: 1 }), schedule: { kind: "fixed", alpha: 0.5 } } as const;
      const of = (gate?: Omit<Gate, "probe">): Promise<GenerationResult> =>
        run([{ ...steering, ...(gate && { gate: { probe, ...gate } }) }, other], own);
      const [open, plain, shut, without] = [await of({ above: 0 }), await of(), await of({ below: 0 }), await run(other, own)];
      expect(bits(open)).toEqual(bits(plain));
      expect(bits(shut)).toEqual(bits(without));
      expect(bits(plain)).not.toEqual(bits(without));
      const between = await of({ above: middleOf(open) });
      expect(new Set(gates(between).map(({ value }) => value)).size).toBe(2);
      expect(bits(await run(replay([steering, other], between), own))).toEqual(bits(between));
      found.push(between);
    }
    own.dispose();
  }
  expectSameTokens(found[0]!, found[2]!);
  expectSameTokens(found[1]!, found[3]!);
});

test("of two parts of one vector, only the one that adds something keeps the norm", async () => {
  const [vector, probe] = [
    await randomVector(model, 3, { site: "resid_post", nSteps: 1, scale: 2 }),
    await randomProbe(model, 4, { site: "resid_post", layer: 0 }),
  ];
  const part = { vector, schedule: { kind: "fixed", alpha: 0.3 } } as const;
  const of = (gate?: Omit<Gate, "probe">): Promise<GenerationResult> =>
    run([{ ...part, keepNorm: true, ...(gate && { gate: { probe, ...gate } }) }, part]);
  const [open, plain, shut, without] = [await of({ above: 0 }), await of(), await of({ below: 0 }), await run(part)];
  expect(bits(open)).toEqual(bits(plain));
  expect(bits(shut)).toEqual(bits(without));
  expect(bits(plain)).not.toEqual(bits(await run([part, part])));
});

test("a smooth gate of a clamp is refused", async () => {
  const probe = await randomProbe(model, 1, { layer: 0 });
  const vector = await randomVector(model, 1);
  const steering = { vector, schedule: { kind: "fixed" }, operator: "clamp", gate: { probe, shape: "smooth" } };
  await expect(async () => run(steering as Steering)).rejects.toMatchObject({ code: "E_BAD_SPEC" });
});

test.each<GenerateOptions>([{}, { ownHistory: "clean" }])("%j: a budget's rows have their gates", async (how) => {
  const [vector, probe] = [
    await randomVector(model, 3, { site: "resid_post", nSteps: 1, scale: 2 }),
    await randomProbe(model, 4, { site: "resid_post", layer: 0 }),
  ];
  const steering = { vector, schedule: { kind: "budget", nats: 0.05 } } as const;
  const of = (gate?: Omit<Gate, "probe">): Promise<GenerationResult> =>
    run({ ...steering, ...(gate && { gate: { probe, ...gate } }) }, model, how);
  const [open, plain, unsteered] = [await of({ above: 0 }), await of(), await run([])];
  expect([bits(open), alphas(open)]).toEqual([bits(plain), alphas(plain)]);
  expect(alphas(plain).some((alpha) => alpha > 0)).toBe(true);
  for (const gate of [{ below: 0 }, { below: 0, per: "prompt" }] as const) {
    const shut = await of(gate);
    expectSameTokens(shut, unsteered);
    expect(alphas(shut).every((alpha) => alpha === 0)).toBe(true);
  }
  for (const gate of [{ above: middleOf(open) }, { shape: "smooth" }] as const) {
    const between = await of(gate);
    for (const { readings: [reading] } of between.tokens) expect(reading!.kl).toBeLessThanOrEqual(0.05);
    expectSameTokens(await run(replay(steering, between), model, how), between);
  }
});

test.each<GenerateOptions>([{}, { ownHistory: "clean" }])("%j: beside a budget, a gate per prompt reads the prompt's row", async (how) => {
  const [one, two] = await Promise.all([1, 2].map((seed) => randomVector(model, seed, { site: "resid_post", nSteps: 1, scale: 2 })));
  const probe = await randomProbe(model, 4, { site: "resid_post", layer: 0 });
  const spending = { vector: one!, schedule: { kind: "budget", nats: 0.05 } } as const;
  const late = { vector: two!, schedule: { kind: "fixed" }, gate: { probe, shape: "smooth", per: "prompt" }, only: { from: 2 } } as const;
  const alone = gates(await run(late, model, how))[0]!;
  for (const steer of [[late, spending], [spending, late, { ...spending, vector: two! }]] as Steering[][]) {
    const result = await run(steer, model, how);
    expect(result.tokens[0]!.readings[steer.indexOf(late)]!.alpha).toBe(0);
    expect(result.tokens[0]!.readings[steer.indexOf(spending)]!.alpha).toBeGreaterThan(0);
    const read = result.tokens.map(({ readings }) => readings[steer.indexOf(late as Steering)]!.gate!);
    for (const { probability } of read) expect(probability).toBe(read[0]!.probability);
    expect(read[0]!.probability).toBeCloseTo(alone.probability, digits(4)); // what is added at step 0 comes after the probe
    expectSameTokens(await run(replay(steer, result), model, how), result);
  }
});

test("what a budget found while its gate was open, it still knows when the gate opens again", async () => {
  const [vector, probe] = [
    await randomVector(model, 3, { site: "resid_post", nSteps: 1, scale: 2 }),
    await randomProbe(model, 4, { site: "resid_post", layer: 0 }),
  ];
  const of = (gate: Omit<Gate, "probe">): Promise<GenerationResult> => run(
    { vector, schedule: { kind: "budget", nats: 0.05, alphaMax: 20 }, gate: { probe, ...gate } }, model, { maxNewTokens: 60 },
  );
  const found = await of({ above: middleOf(await of({ above: 0 })) });
  const later = found.tokens.slice(8).map(({ readings: [reading] }) => reading!);
  const open = later.filter(({ gate }) => gate?.value !== 0); // none is read where nothing is added
  expect(later.length - open.length).toBeGreaterThan(10);
  expect(open.filter(({ alpha }) => alpha > 0).length).toBeGreaterThan(0.8 * open.length);
});

test("selectors: a budget spends only there, and two of them do not disturb each other", async () => {
  const [one, two] = await Promise.all([1, 2].map((seed) => randomVector(model, seed, { site: "resid_post", nSteps: 1, scale: 2 })));
  const schedule = { kind: "budget", nats: 0.1 } as const;
  const steer = [{ vector: one!, schedule, only: { from: 2, to: 5 } }, { vector: two!, schedule, only: { from: 4 } }];
  const result = await run(steer);
  const isTried = (at: number): boolean[] => result.tokens.map(({ readings }) => readings[at]!.kl !== null);
  expect(isTried(0)).toEqual(result.tokens.map((_, i) => i >= 2 && i < 5));
  expect(isTried(1)).toEqual(result.tokens.map((_, i) => i >= 4));
  expectSameTokens(await run(replay(steer, result)), result);
});
