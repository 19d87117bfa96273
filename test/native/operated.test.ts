import { expect, test } from "@jest/globals";
import { replay, type GenerationResult, type Steering } from "../../lib/index.js";
import { generate, generateText } from "../../lib/generate/index.js";
import { tinyForFile } from "../support/file-model.js";
import { randomProbe } from "../support/probes.js";
import { randomVector } from "../support/tiny-files.js";

// Generations with operators; test/native/operators.test.ts has what they compute.

const { model } = await tinyForFile();
const fixed = { kind: "fixed", alpha: 1 } as const;
const ids = ({ tokens }: { tokens: ReadonlyArray<{ token: number }> }): number[] => tokens.map(({ token }) => token);

test("the specification says what acted, a replay acts likewise, and a change acts from the next token on", async () => {
  const vector = await randomVector(model, 3, { site: "resid_post", scale: 3 });
  const steer: Steering = { vector, schedule: { kind: "dynamic", topP: 0.9, klReduction: "sum" }, operator: "project", keepNorm: true };
  const options = { maxNewTokens: 12, steer };
  const result = await generateText(model, "ablate", options);
  expect(result.steering[0]).toMatchObject({ operator: "project", keepNorm: true });
  expect(result.tokens.some(({ readings }) => readings[0]!.alpha > 0)).toBe(true);
  const again = await generateText(model, "ablate", { maxNewTokens: 12, steer: replay(steer, result) });
  expect(ids(again)).toEqual(ids(result));
  expect(again.steering[0]).toMatchObject({ operator: "project", keepNorm: true });
  const added = await generateText(model, "ablate", { maxNewTokens: 12, steer: replay({ vector, schedule: fixed }, result) });
  expect(ids(added)).not.toEqual(ids(result));
  expect(added.steering[0]).not.toHaveProperty("operator");
  const none = { kind: "fixed", alpha: 0 } as const;
  const live = generate(model, "ablate", { maxNewTokens: 12, steer: { vector, schedule: none, operator: "ablate" } });
  for (let i = 0; i < 4; i++) await live.next();
  live.steering[0]!.schedule = fixed;
  const late: Steering = { vector, schedule: { kind: "window", alpha: 1, from: 4, to: 99 }, operator: "ablate" };
  expect(ids(await live.result())).toEqual(ids(await generateText(model, "ablate", { maxNewTokens: 12, steer: late })));
});

test("a prompt's cells are not those of another operator", async () => {
  const vector = await randomVector(model, 3, { site: "resid_post", scale: 3 });
  const steer = (how: Partial<Steering>): Steering => ({ vector, schedule: fixed, phases: ["prompt", "answer"], ...how });
  const all = ([{}, { operator: "ablate" }, { keepNorm: true }] as const).map((how) => steer(how));
  const run = (each: Steering): Promise<GenerationResult> =>
    generateText(model, "the same prompt", { steer: each, maxNewTokens: 3, logProbabilities: true });
  const alone: GenerationResult[] = [];
  for (const each of all) alone.push(await run(each));
  const together = await Promise.all(all.map(run));
  together.forEach(({ tokens }, i) => {
    expect(ids({ tokens })).toEqual(ids(alone[i]!));
    tokens.forEach(({ logProbability }, step) => expect(logProbability).toBeCloseTo(alone[i]!.tokens[step]!.logProbability!, 4));
  });
  expect(new Set(together.map(({ tokens }) => tokens[0]!.logProbability)).size).toBe(3);
});

test("clamp with a schedule that measures, an unknown operator, and a probe where an operator acts are refused", async () => {
  const vector = await randomVector(model, 3, { site: "resid_post", layers: [1] });
  for (const schedule of [{ kind: "dynamic" }, { kind: "budget" }] as const) {
    await expect(async () => generateText(model, "x", { steer: { vector, schedule, operator: "clamp" } }))
      .rejects.toMatchObject({ code: "E_BAD_SPEC", message: expect.stringContaining("clamp") });
  }
  const live = generate(model, "x", { steer: { vector, schedule: fixed, operator: "clamp" } });
  expect(() => { live.steering[0]!.schedule = { kind: "dynamic" }; }).toThrow(expect.objectContaining({ code: "E_BAD_SPEC" }));
  await live.return();
  await expect(async () => generateText(model, "x", { steer: { vector, schedule: fixed, operator: "rotate" as "add" } }))
    .rejects.toMatchObject({ code: "E_BAD_SPEC", message: expect.stringContaining("operator") });
  const monitor = [await randomProbe(model, 1, { site: "resid_post", layer: 1 })];
  for (const how of [{ operator: "ablate" }, { keepNorm: true }] as const) {
    await expect(generateText(model, "x", { steer: { vector, schedule: fixed, ...how }, monitor, maxNewTokens: 1 }))
      .rejects.toMatchObject({ code: "E_BAD_ARGUMENT", message: expect.stringContaining("leave this layer out") });
  }
});
