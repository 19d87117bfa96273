import { expect, test } from "@jest/globals";
import { divergence, generateText, type Steering } from "../../lib/generate/index.js";
import { tinyForFile } from "../support/file-model.js";
import { randomProbe } from "../support/probes.js";
import { randomVector } from "../support/tiny-files.js";

const { model } = await tinyForFile();
const N_TOKENS = 12;
const prompt = model.tokenise("a text");
const generation = { maxNewTokens: N_TOKENS, sampling: { logitBias: { 2: -Infinity } } };
const vector = await randomVector(model, 1, { site: "resid_post", nSteps: N_TOKENS });
const kls = async (steer: Steering[]): Promise<number[]> =>
  divergence(model, prompt, steer, await generateText(model, prompt, { ...generation, steer }));

/** The two rows of a step may be rounded differently. */
function expectZero(found: readonly number[]): void {
  expect(found).toHaveLength(N_TOKENS);
  for (const kl of found) expect(Math.abs(kl)).toBeLessThan(1e-6);
}

test("without steering it is 0, and with it the KL that Dyn's streams have along the same tokens", async () => {
  expectZero(await kls([{ vector, schedule: { kind: "fixed", alpha: 0 } }]));
  const alpha = 0.8;
  const steer: Steering[] = [{ vector, schedule: { kind: "fixed", alpha } }];
  const answer = await generateText(model, prompt, { ...generation, steer });
  const found = await divergence(model, prompt, steer, answer);
  // Streams P and S of a Dyn that adds nothing, made to write the same answer.
  const measured = await generateText(model, prompt, {
    ...generation, firstTokens: answer.tokens.map(({ token }) => token),
    steer: [{ vector, schedule: { kind: "dynamic", topP: 1, klReduction: "sum", strongAlpha: alpha, alphaMax: 0 } }],
  });
  measured.tokens.forEach(({ readings: [reading] }, step) => expect(Math.abs(found[step]! - reading!.kl!)).toBeLessThan(1e-3));
  expect(Math.max(...found)).toBeGreaterThan(0.05);
});

test.each<[string, Omit<Steering, "vector">]>([
  ["Start", { schedule: { kind: "start", alpha: 1 } }],
  ["Dyn", { schedule: { kind: "dynamic", topP: 0.9, alphaMax: 2, strongAlpha: 2, klReduction: "sum" } }],
  ["a budget", { schedule: { kind: "budget", nats: 0.1, alphaMax: 2 } }],
])("with the alphas that %s found, as with the same alphas given", async (_, how) => {
  const steer = [{ vector, ...how }];
  const answer = await generateText(model, prompt, { ...generation, steer });
  const alphas = answer.tokens.map(({ readings }) => readings[0]!.alpha);
  const found = await divergence(model, prompt, steer, answer);
  const given = await divergence(model, prompt, [{ vector, schedule: (step: number) => alphas[step] ?? 0 }], answer);
  expect(found).toHaveLength(N_TOKENS);
  found.forEach((kl, step) => expect(Math.abs(kl - given[step]!)).toBeLessThan(1e-6));
  expect(Math.max(...found)).toBeGreaterThan(1e-3);
});

test("a gate counts with what it let through", async () => {
  const probe = await randomProbe(model, 3, { site: "resid_post", layer: 0, scale: 2 });
  const shut = { vector, schedule: { kind: "fixed" as const, alpha: 1 }, layers: [1, 2], gate: { probe, above: 1 } };
  expectZero(await kls([shut]));
  expect(Math.max(...await kls([{ ...shut, gate: { probe, above: 0 } }]))).toBeGreaterThan(1e-3);
});

test("a steered prompt, which both streams would share, is refused", async () => {
  const steer: Steering[] = [{ vector, schedule: { kind: "fixed", alpha: 1 }, phases: ["prompt", "answer"] }];
  await expect(kls(steer)).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
});
