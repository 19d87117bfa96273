import { describe, expect, test } from "@jest/globals";
import type { GenerateOptions, GenerationResult, LoadModelOptions, Probe, ScheduleInput, Steering } from "../../lib/index.js";
import { probe as api } from "../../lib/experiments.js";
import { captureActivations } from "../../lib/capture/index.js";
import { generate, generateText } from "../../lib/generate/index.js";
import { parseSchedule } from "../../lib/steering/index.js";
import { dot } from "../support/linear.js";
import { tinyForFile } from "../support/file-model.js";
import { forward } from "../support/reference-forward.js";
import { randomProbe, untrained } from "../support/probes.js";
import { direction, loadTiny, maxDifference, randomVector, tolerance } from "../support/tiny-files.js";

/** Of log odds, whose weights are about 1. */
const ROUNDING = tolerance(1e-4);
const N_TOKENS = 7;
const PROMPT = "watch";
const { space, tiny, model } = await tinyForFile();

const logOdds = (p: number): number => Math.log(p / (1 - p));

function watched(monitor: readonly Probe[], steer: readonly Steering[] = [], on = model): Promise<GenerationResult> {
  return generateText(on, PROMPT, { steer, monitor, maxNewTokens: N_TOKENS });
}

/**
 * Per token the log odds of a probe at head_out: recomputed in double precision over the tokens and alphas of the result, with the vector's
 * mean behind its last step.
 */
function reference(result: GenerationResult, { layer, weights, bias }: Probe, { vector }: Pick<Steering, "vector">): number[] {
  const prompt = model.tokenise(PROMPT);
  const first = prompt.length - 1;
  const added = (il: number, position: number): Float64Array | undefined => {
    const step = position - first;
    if (step < 0 || !vector.layers.includes(il)) return undefined;
    const { alpha } = result.tokens[step]!.readings[0]!;
    if (step < vector.nSteps) return direction(vector, il, step, alpha);
    const all = Array.from({ length: vector.nSteps }, (_, each) => direction(vector, il, each, alpha)!);
    return all[0]!.map((_, i) => all.reduce((sum, one) => sum + one[i]!, 0) / all.length);
  };
  const { headOut } = forward(tiny, [...prompt, ...result.tokens.slice(0, -1).map(({ token }) => token)], added);
  return result.tokens.map(
    (_, step) => dot(weights, headOut[layer]![first + step]!) + dot(
      weights, added(layer, first + step) ?? new Float64Array(weights.length),
    ) + bias,
  );
}

const SCHEDULES: Array<[string, ScheduleInput]> = [
  ["fixed", { kind: "fixed", alpha: 1.5 }], ["start", { kind: "start", alpha: 2 }], ["diminishing", { kind: "diminishing", alpha: 2 }],
  ["window", { kind: "window", alpha: -1, from: 1, to: 5 }],
  ["dynamic", { kind: "dynamic" }], ["a function", (step: number) => step / 3],
];

describe.each<[NonNullable<LoadModelOptions["steeringPath"]>, number[]]>([
  ["auto", [0, 1, 2]], ["callback", [0, 1, 2]], ["graph", [0, 2]],
])("path %s", (steeringPath, layers) => {
  test.each(SCHEDULES)("%s: the probability is that of the state with what is added to it, in double precision", async (_, schedule) => {
    const { model: own } = await loadTiny(space, { steeringPath });
    const probe = await randomProbe(own, 11);
    const steering = {
      vector: await randomVector(own, 5, { layers }), schedule: typeof schedule === "function" ? schedule : parseSchedule(schedule),
    };
    const result = await watched([probe], [steering], own);
    own.dispose();
    expect(result.tokens).toHaveLength(N_TOKENS);
    expect(result.tokens.some(({ readings }) => Math.abs(readings[0]!.alpha) > 0.1)).toBe(true);
    expect(maxDifference(result.tokens.map(({ monitors }) => logOdds(monitors![0]!)), reference(result, probe, steering)))
      .toBeLessThan(ROUNDING);
  });
});

test("the graph path alone refuses where it would read another state, and nothing else", async () => {
  const { model: own } = await loadTiny(space, { steeringPath: "graph" });
  const schedule = { kind: "fixed", alpha: 1 } as const;
  for (const [vectorSite, probeSite] of [
    ["head_out", "head_out"], ["head_out", "attn_out"], ["attn_out", "attn_out"], ["resid_post", "resid_post"],
  ] as const) {
    const steer = [{ vector: await randomVector(own, 5, { site: vectorSite, layers: [1] }), schedule }];
    await expect(watched([await randomProbe(own, 1, { site: probeSite, layer: 1 })], steer, own)).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT",
    });
    const [apart, unsteered] = [
      await watched([await randomProbe(own, 1, { site: probeSite, layer: 2 })], steer, own),
      await watched([await randomProbe(own, 1, { site: probeSite, layer: 1 })], [], own),
    ];
    expect([apart.tokens.length, unsteered.tokens.length]).toEqual([N_TOKENS, N_TOKENS]);
  }
  own.dispose();
});

test("unsteered: the probe applied to what captureActivations gives for the same tokens, at every site and the last layer", async () => {
  const probes = await Promise.all((["head_out", "attn_out", "mlp_out", "resid_mid", "resid_post"] as const).flatMap(
    (site, i) => [2, 0].map((layer) => randomProbe(model, i, { site, layer })),
  ));
  const { tokens } = await watched(probes);
  for (const [index, probe] of probes.entries()) {
    for await (const { nSteps, width, data } of captureActivations(
      model, [model.tokenise(PROMPT)], { site: probe.site, layers: [probe.layer], maxNewTokens: N_TOKENS },
    )) {
      expect(nSteps).toBe(N_TOKENS);
      const expected = tokens.map((_, step) => dot(probe.weights, data.subarray(step * width, (step + 1) * width)) + probe.bias);
      expect(maxDifference(tokens.map(({ monitors }) => logOdds(monitors![index]!)), expected)).toBeLessThan(ROUNDING);
    }
  }
});

test("added at resid_post or to the MLP's output, the stream is the same, and so is what a probe there says", async () => {
  const probe = await randomProbe(model, 4, { site: "resid_post", layer: 1 });
  const vector = await randomVector(model, 8, { site: "resid_post", layers: [1], scale: 2 });
  const [plain, atPost, atMlp] = await Promise.all([[], [vector], [{ ...vector, site: "mlp_out" as const }]].map((vectors) =>
    watched([probe], vectors.map((each) => ({ vector: each, schedule: { kind: "fixed" as const, alpha: 1.5 } })))));
  const odds = ({ tokens }: GenerationResult): number[] => tokens.map(({ monitors }) => logOdds(monitors![0]!));
  expect(atPost!.tokens.map(({ token }) => token)).toEqual(atMlp!.tokens.map(({ token }) => token));
  expect(maxDifference(odds(atPost!), odds(atMlp!))).toBeLessThan(ROUNDING);
  expect(Math.abs(odds(atPost!)[0]! - odds(plain!)[0]!)).toBeGreaterThan(0.05);
});

test("composed: each vector counts with its own alpha, tail and selection", async () => {
  const probe = await randomProbe(model, 6);
  const [a, b] = [await randomVector(model, 5, { nSteps: 2 }), await randomVector(model, 6, { nSteps: 3 })];
  const one = { vector: a, schedule: { kind: "fixed", alpha: 0.7 }, tail: "hold" } as const;
  const both = await watched([probe], [one, { vector: b, schedule: { kind: "fixed", alpha: 1 }, tail: "stop", layers: [1] }]);
  // The same as one vector that holds the sum, steered to its last step and beyond with `hold`.
  const sum = { ...a, nSteps: 4, data: new Float32Array(3 * 4 * a.width) };
  for (let layer = 0; layer < 3; layer++) {
    for (let step = 0; step < 4; step++) {
      const [ofA, ofB] = [
        direction(a, layer, Math.min(step, 1), 0.7)!, layer === 1 && step < 3 ? direction(b, layer, step, 1)! : new Float64Array(a.width),
      ];
      sum.data.set(ofA.map((value, i) => value + ofB[i]!), (layer * 4 + step) * a.width);
    }
  }
  const joined = await watched([probe], [{ vector: sum, schedule: { kind: "fixed", alpha: 1 }, tail: "hold" }]);
  expect(both.tokens.map(({ token }) => token)).toEqual(joined.tokens.map(({ token }) => token));
  expect(maxDifference(
    both.tokens.map(({ monitors }) => logOdds(monitors![0]!)), joined.tokens.map(({ monitors }) => logOdds(monitors![0]!)),
  )).toBeLessThan(ROUNDING);
});

test("it changes no token and no reading, and without it tokens have none", async () => {
  const steer = [{ vector: await randomVector(model, 5), schedule: { kind: "dynamic" as const } }];
  const [with_, without] = [await watched([await randomProbe(model, 1)], steer), await watched([], steer)];
  expect(without.tokens.every((token) => !("monitors" in token))).toBe(true);
  expect(with_.tokens.map(({ token }) => token)).toEqual(without.tokens.map(({ token }) => token));
  expect(maxDifference(with_.tokens.map(({ readings }) => readings[0]!.alpha), without.tokens.map(({ readings }) => readings[0]!.alpha)))
    .toBeLessThan(ROUNDING);
});

test("many at once: each has the probabilities that it has alone", async () => {
  const probe = await randomProbe(model, 1);
  const vector = await randomVector(model, 5);
  const options = [0, 0.5, 1, 1.5, 2].map(
    (alpha): GenerateOptions => ({ maxNewTokens: N_TOKENS, monitor: [probe], steer: [{ vector, schedule: { kind: "fixed", alpha } }] }),
  );
  const together = await Promise.all(options.map((each) => generateText(model, PROMPT, each)));
  for (const [i, each] of options.entries()) {
    const alone = await generateText(model, PROMPT, each);
    expect(maxDifference(
      together[i]!.tokens.map(({ monitors }) => logOdds(monitors![0]!)), alone.tokens.map(({ monitors }) => logOdds(monitors![0]!)),
    )).toBeLessThan(ROUNDING);
  }
});

test("probes of another model, of another width, or of a layer that there is not, are refused before anything is computed", async () => {
  const { model: stranger } = await loadTiny(space, {}, 2);
  const foreign = await randomProbe(stranger, 1);
  stranger.dispose();
  const first = (monitor: Probe[], allowMismatch = false) => generate(model, PROMPT, { monitor, allowMismatch }).next();
  await expect(first([foreign])).rejects.toMatchObject({
    code: "E_MODEL_MISMATCH", message: expect.stringMatching(/probe "random 1" was trained on another model.*fileHash/),
  });
  expect((await first([foreign], true)).done).toBe(false);
  const own = await randomProbe(model, 1);
  await expect(first([{ ...own, weights: own.weights.slice(1) }])).rejects.toMatchObject({ code: "E_SHAPE" });
  await expect(first([{ ...own, layer: 3 }])).rejects.toMatchObject({ code: "E_SHAPE" });
});

test("a vector that is added on the way counts from its token on, as one that was there from the start", async () => {
  const probe = await randomProbe(model, 11);
  const vector = await randomVector(model, 5);
  const stream = generate(model, PROMPT, { monitor: [probe], maxNewTokens: N_TOKENS });
  await stream.next();
  await stream.add({ vector, schedule: { kind: "fixed", alpha: 1.5 } });
  const added = await stream.result();
  const expected = await watched([probe], [{ vector, schedule: (step) => (step < 1 ? 0 : 1.5) }]);
  const found = ({ tokens }: GenerationResult): number[] => tokens.map(({ monitors }) => logOdds(monitors![0]!));
  expect(added.tokens.map(({ token }) => token)).toEqual(expected.tokens.map(({ token }) => token));
  expect(maxDifference(found(added), found(expected))).toBeLessThan(ROUNDING);
  expect(maxDifference(found(added), found(await watched([probe])))).toBeGreaterThan(0.01); // it made a difference
});

test("options of probes that do not exist are refused with the nearest name", async () => {
  const refusal = (unknown: string, near: string): object => expect.objectContaining({
    code: "E_BAD_ARGUMENT", message: expect.stringContaining(`no option is called "${unknown}"; did you mean ${near}?`),
  });
  const [positive, negative] = ["a", "b"].map((name) => ({ name, instruction: "", rows: [{ input: "q", output: name }] }));
  await expect((async () => api.train(model, { positive, negative, lambda: [1] } as never))()).rejects
    .toThrow(refusal("lambda", "lambdas"));
  await expect((async () => api.read(model, untrained(), [], { allowMissmatch: true } as never))()).rejects
    .toThrow(refusal("allowMissmatch", "allowMismatch"));
});
