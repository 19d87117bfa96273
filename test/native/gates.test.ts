import { afterEach, describe, expect, jest, test } from "@jest/globals";
import { quantile } from "../../lib/maths/statistics.js";
import {
  replay, type Gate, type GenerateOptions, type GenerationResult, type Model, type Probe, type ScheduleInput,
  type Steering, type VectorData,
} from "../../lib/index.js";
import { generate, generateText, scoreTokens } from "../../lib/generate/index.js";
import { letters, loadChatting } from "../support/chats.js";
import { changeGuesses, dynamic, expectSame, wrongIn } from "../support/dyn-requests.js";
import { tinyForFile } from "../support/file-model.js";
import { alphas, bits, expectSameTokens, gates, probabilities } from "../support/gates.js";
import { randomProbe } from "../support/probes.js";
import { digits, loadArchitecture, loadTiny, randomVector } from "../support/tiny-files.js";

const { space, model } = await tinyForFile();
const N_TOKENS = 10;
const PROMPT = "a gate";
const NO_END = { logitBias: { 2: -Infinity } };

afterEach(() => { jest.restoreAllMocks(); });

/** A random vector at every layer that has the site, and a probe that reads before it. */
async function parts(of: Model, seed = 1, scale = 1): Promise<{ vector: VectorData; probe: Probe }> {
  const vector = await randomVector(of, seed, { site: "resid_post", nSteps: N_TOKENS, scale });
  return { vector, probe: await randomProbe(of, seed + 10, { site: "resid_post", layer: 0, scale: 2 }) };
}
const { vector, probe } = await parts(model);
const fixed: ScheduleInput = { kind: "fixed", alpha: 0.7 };
const gated = (gate: Omit<Gate, "probe">, schedule: ScheduleInput = fixed): Steering => ({ vector, schedule, gate: { probe, ...gate } });

function run(steer: Steering | Steering[], more: GenerateOptions = {}, on = model): Promise<GenerationResult> {
  return generateText(on, PROMPT, { steer, maxNewTokens: N_TOKENS, sampling: NO_END, logProbabilities: true, ...more });
}

/** A threshold that the probe crosses in the middle of the text. */
const middle = quantile(probabilities(await run(gated({ above: 0 }))).sort((a, b) => a - b), 0.5);

test("the thresholds of these tests are crossed", async () => {
  const values = gates(await run(gated({ above: middle }))).map(({ value }) => value);
  expect([values.includes(0), values.includes(1)]).toEqual([true, true]);
});

describe.each(["auto", "callback", "graph"] as const)("path %s", (steeringPath) => {
  test("always open it is no gate, always shut it is unsteered, bit for bit; in between, a replay is", async () => {
    const { model: own } = await loadTiny(space, { steeringPath });
    // On the graph path, a vector is never added where the probe reads.
    const later = { ...gated({}), layers: steeringPath === "graph" ? [1, 2] : "all" as const };
    const cases: Array<[ScheduleInput, "as-generated" | "clean"]> = [
      [fixed, "as-generated"], [(step: number) => 0.1 * step, "as-generated"], [fixed, "clean"],
    ];
    for (const [schedule, ownHistory] of cases) {
      const of = (gate?: Omit<Gate, "probe">): Promise<GenerationResult> =>
        run({ ...later, schedule, ...(gate ? { gate: { probe, ...gate } } : { gate: undefined }) }, { ownHistory }, own);
      const [open, plain] = [await of({ above: 0 }), await of()];
      expect([bits(open), alphas(open)]).toEqual([bits(plain), alphas(plain)]);
      const unsteered = await run([], { ownHistory }, own);
      for (const gate of [{ above: 1 }, { below: 0 }, { below: 0, shape: "smooth" as const }, { below: 0, per: "prompt" as const }]) {
        const shut = await of(gate);
        // With a clean history, a row that may be steered is not that of P, and two rows are rounded differently than one.
        if (ownHistory === "clean") expectSameTokens(shut, unsteered);
        else expect(bits(shut)).toEqual(bits(unsteered));
        expect(alphas(shut).every((alpha) => alpha === 0)).toBe(true);
      }
      expect(bits(plain)).not.toEqual(bits(unsteered));
      for (const gate of [{ above: middle }, { below: middle }, { above: 0.01, shape: "smooth" as const }]) {
        const result = await of(gate);
        expect([bits(plain), bits(unsteered)]).not.toContainEqual(bits(result));
        const again = await run(replay({ ...later, schedule }, result), { ownHistory }, own);
        expect(alphas(again)).toEqual(alphas(result));
        if (ownHistory === "clean") expectSameTokens(again, result);
        else expect(bits(again)).toEqual(bits(result));
      }
    }
    own.dispose();
  });

  test("it reads what a monitor reads in the same decode", async () => {
    const { model: own } = await loadTiny(space, { steeringPath });
    const early = await randomProbe(own, 5, { site: "head_out", layer: 1 });
    const result = await run({ vector, schedule: fixed, layers: [1, 2], gate: { probe: early, above: 0.5 } }, { monitor: [early] }, own);
    result.tokens.forEach(({ monitors }, i) => expect(monitors![0]).toBeCloseTo(probabilities(result)[i]!, 9));
    own.dispose();
  });
});

test("a probe where the vector is added reads before it is; both paths agree", async () => {
  const all = await Promise.all((["auto", "callback"] as const).map(async (steeringPath) => {
    const { model: own } = await loadTiny(space, { steeringPath });
    const results = [];
    for (const [site, vectorSite, layer] of [
      ["resid_post", "resid_post", 0], ["resid_post", "resid_post", 2], ["attn_out", "attn_out", 1], ["attn_out", "resid_post", 1],
      ["head_out", "head_out", 1], ["mlp_out", "mlp_out", 2], ["resid_mid", "mlp_out", 1],
    ] as const) {
      const [there, reading] = [await randomVector(own, 3, { site: vectorSite, layers: [layer], scale: 3 }),
        await randomProbe(own, 4, { site, layer, scale: 3 })];
      const steering = { vector: there, schedule: fixed };
      // Heads that another vector steers are part of what the attention adds.
      const other = { vector: await randomVector(own, 6, { layers: [0, 1, 2] }), schedule: fixed };
      const open = await run([{ ...steering, gate: { probe: reading, above: 0 } }, other], {}, own);
      expect(bits(open)).toEqual(bits(await run([steering, other], {}, own)));
      const half = quantile(probabilities(open).sort((a, b) => a - b), 0.5);
      const result = await run([{ ...steering, gate: { probe: reading, above: half } }, other], {}, own);
      expect(bits(await run(replay([steering, other], result), {}, own))).toEqual(bits(result));
      results.push(open);
    }
    own.dispose();
    return results;
  }));
  all[0]!.forEach((result, i) => {
    probabilities(result).forEach((p, step) => expect(p).toBeCloseTo(probabilities(all[1]![i]!)[step]!, digits(4)));
  });
});

test("until: an open gate stays open until the probability crosses it", async () => {
  const sorted = probabilities(await run(gated({ above: 0 }))).sort((a, b) => a - b);
  const [low, high] = [quantile(sorted, 0.3), quantile(sorted, 0.7)];
  const follows = (result: GenerationResult, isOpen: (p: number, was: boolean) => boolean): boolean[] => {
    let was = false;
    return probabilities(result).map((p) => (was = isOpen(p, was)));
  };
  const above = await run(gated({ above: high, until: low }), { maxNewTokens: 40 });
  const opened = gates(above).map(({ value }) => value === 1);
  expect(opened).toEqual(follows(above, (p, was) => p >= (was ? low : high)));
  expect(opened).not.toEqual(follows(above, (p) => p >= high));
  const below = await run(gated({ below: low, until: high }), { maxNewTokens: 40 });
  expect(gates(below).map(({ value }) => value === 1)).toEqual(follows(below, (p, was) => p <= (was ? high : low)));
});

test("per prompt: read at the prompt's last token, kept for the answer; nothing is read after it", async () => {
  const reference = await run(gated({ above: 0 }));
  const [first] = probabilities(reference);
  const open = await run(gated({ above: first!, per: "prompt" }));
  expect([bits(open), alphas(open)]).toEqual([bits(reference), alphas(reference)]);
  expect(gates(open)).toEqual(gates(open).map(() => ({ probability: first, value: 1 })));
  const late = await run({ ...gated({ above: first!, per: "prompt", shape: "smooth" }), only: { from: 3 } });
  expect(gates(late)[0]).toEqual({ probability: first, value: Math.fround(first!) });
  expect(alphas(late)).toEqual(alphas(late).map((_, i) => (i < 3 ? 0 : Math.fround(Math.fround(0.7) * Math.fround(first!)))));
});

test("smooth: alpha times the probability, or its complement below", async () => {
  const up = await run(gated({ shape: "smooth" }));
  expect(alphas(up)).toEqual(probabilities(up).map((p) => Math.fround(Math.fround(0.7) * Math.fround(p))));
  const down = await run(gated({ below: 1, shape: "smooth" }));
  expect(alphas(down)).toEqual(probabilities(down).map((p) => Math.fround(Math.fround(0.7) * Math.fround(1 - p))));
});

test("a row's result does not depend on its neighbours' gates", async () => {
  const together = (...others: Array<Omit<Gate, "probe">>): Promise<GenerationResult[]> =>
    Promise.all([{ above: middle }, ...others].map((gate) => run(gated(gate))));
  const [[first], [second]] = [await together({ above: 0 }, { above: 1 }), await together({ above: 1 }, { shape: "smooth" })];
  expect([bits(first!), gates(first!)]).toEqual([bits(second!), gates(second!)]);
  const { model: own } = await loadTiny(space, { maxGenerations: 1 });
  expectSame(await run(gated({ above: middle }), {}, own), first!);
  own.dispose();
});

describe("Dyn", () => {
  const variants: GenerateOptions[] = [{}, { ownHistory: "clean" }];
  test.each(variants)("%j: a pipeline, whatever it guesses, is the plain order; alpha is the gate's times Dyn's", async (how) => {
    const some = [{ above: middle }, { above: middle, until: middle / 2 }, { shape: "smooth" }, { per: "prompt", above: 0 }] as const;
    for (const gate of some) {
      const steer = [gated(gate, dynamic({ topP: 0.9, klReduction: "sum" }))];
      const plain = await run(steer, { ...how, pipeline: "off" });
      for (const change of [(guess: number) => guess, wrongIn(model)]) {
        changeGuesses(change);
        expectSame(await run(steer, { ...how, pipeline: "on" }), plain);
        jest.restoreAllMocks();
      }
      for (const { readings: [reading] } of plain.tokens) {
        if (!reading!.gate) expect(reading!.alpha).toBe(0);
        else expect(reading!.alpha).toBeCloseTo(Math.min(2, reading!.kl!) * reading!.gate.value, 6);
      }
      expectSameTokens(await run(replay(steer, plain), how), plain);
    }
  });

  test("with a clean history, a gated row is neither that of P nor of S", async () => {
    const strong = { ...gated({ below: 0 }, dynamic({ strongAlpha: 0.5, alphaMax: 0.5, topP: 1, klReduction: "sum" })),
      vector: await randomVector(model, 9, { site: "resid_post", nSteps: 1, scale: 6 }) };
    const { gate: _, ...ungated } = strong;
    const clean = { ownHistory: "clean", pipeline: "off" } as const;
    expect((await run(ungated, clean)).work.decodes).toBeLessThan(2 * N_TOKENS); // S is the output row
    expectSameTokens(await run(strong, clean), await run([]));
  });

  test("shut for the whole answer, it measures nothing more", async () => {
    for (const pipeline of ["off", "on"] as const) {
      const result = await run(gated({ below: 0, per: "prompt" }, dynamic()), { pipeline });
      expect(result.tokens.map(({ readings }) => readings[0]!.kl !== null)).toEqual(result.tokens.map((_, i) => i === 0));
      expect(gates(result).map(({ value }) => value)).toEqual(result.tokens.map(() => 0));
      expect(result.work.decodes).toBe(N_TOKENS + 1);
      expectSameTokens(result, await run([]));
    }
  });

  test("open it is no gate bit for bit; shut it is unsteered", async () => {
    const dyn = dynamic({ topP: 0.9, klReduction: "sum" });
    const [open, plain] = [await run(gated({ above: 0 }, dyn)), await run({ vector, schedule: dyn })];
    expect([bits(open), alphas(open)]).toEqual([bits(plain), alphas(plain)]);
    for (const ownHistory of ["as-generated", "clean"] as const) {
      expectSameTokens(await run(gated({ above: 1 }, dynamic({ strongAlpha: 0.5 })), { ownHistory }), await run([]));
    }
  });
});

test("a change between tokens, and a vector added in between, keep what the gates read", async () => {
  const results = [];
  for (const pipeline of ["off", "on"] as const) {
    const first = gated({ above: middle, until: middle / 2 });
    const stream = generate(model, PROMPT, { steer: first, maxNewTokens: 16, sampling: NO_END, pipeline, logProbabilities: true });
    for (let i = 0; i < 4; i++) await stream.next();
    stream.steering[0]!.schedule = dynamic({ topP: 0.9 }); // computes the first tokens again
    for (let i = 0; i < 4; i++) await stream.next();
    await stream.add(gated({ per: "prompt", above: middle }));
    const result = await stream.result();
    results.push(result);
    let isOpen = false;
    for (const { readings: [reading] } of result.tokens) {
      if (reading!.gate) isOpen = reading!.gate.probability >= (isOpen ? middle / 2 : middle);
      if (reading!.gate) expect(reading!.gate.value).toBe(isOpen ? 1 : 0);
    }
    const added = result.tokens.slice(8).map(({ readings }) => readings[1]!.gate);
    expect(added.every((gate) => gate?.probability === added[0]!.probability)).toBe(true);
    expect(result.steering.map(({ schedule, gate }) => [schedule.kind, gate])).toEqual([["recorded", undefined], ["recorded", undefined]]);
    expectSameTokens(await generateText(model, PROMPT, {
      steer: replay([...stream.steering], result), maxNewTokens: 16, sampling: NO_END, logProbabilities: true,
    }), result);
  }
  expectSame(results[1]!, results[0]!);
});

test("a chat keeps what was added, and reads no gate again", async () => {
  const own = await loadChatting(space, "llama", { maxGenerations: 1 }); // which reads answers again
  const layers = [own.info.nLayer - 1]; // where only rows with logits could be read
  const last = await randomVector(own, 1, { site: "resid_post", layers, nSteps: 1, scale: 3 });
  const reading = await randomProbe(own, 2, { site: "resid_post", layer: layers[0]! });
  const steering = { vector: last, schedule: fixed, gate: { probe: reading, shape: "smooth" } } as const;
  const answers = [];
  for (const isReplayed of [false, true]) {
    const chat = own.chat({ ...letters(own, 5), history: "as-generated" });
    const first = await chat.say("Why?", { steer: steering }).result();
    if (isReplayed) await chat.retry({ steer: replay(steering, first) }).result();
    answers.push(await chat.say("So?", { steer: steering }).result());
    expect(gates(answers.at(-1)!).every(({ value }) => value > 0 && value < 1)).toBe(true);
  }
  expectSameTokens(answers[1]!, answers[0]!);
  own.dispose();
});

test("a scored text is steered as it was generated", async () => {
  for (const gate of [{ above: middle }, { above: middle, until: middle / 2 }, { per: "prompt", shape: "smooth" }] as const) {
    for (const schedule of [fixed, dynamic({ topP: 0.9 })]) {
      const { tokens } = await run(gated(gate, schedule));
      const scores = await scoreTokens(model, PROMPT, tokens.map(({ token }) => token), { steer: gated(gate, schedule) });
      scores.forEach((score, i) => expect(score).toBeCloseTo(tokens[i]!.logProbability!, digits(4)));
    }
  }
});

test.each(["mamba", "lfm2", "qwen3next", "gemma3"])("%s: open, shut and replayed, bit for bit", async (name) => {
  const own = await loadArchitecture(space, name);
  const its = await parts(own, 1, name === "mamba" ? 8 : 1);
  const of = (gate?: Omit<Gate, "probe">): Promise<GenerationResult> =>
    run({ vector: its.vector, schedule: fixed, ...(gate && { gate: { probe: its.probe, ...gate } }) }, {}, own);
  const [plain, open, shut, unsteered] = [await of(), await of({ above: 0 }), await of({ below: 0 }), await run([], {}, own)];
  expect(bits(open)).toEqual(bits(plain));
  expect(bits(shut)).toEqual(bits(unsteered));
  expect(bits(plain)).not.toEqual(bits(unsteered));
  const between = await of({ above: quantile(probabilities(open).sort((a, b) => a - b), 0.5) });
  expect(bits(await run(replay({ vector: its.vector, schedule: fixed }, between), {}, own))).toEqual(bits(between));
  // Beside others, some of which only prefill.
  const [beside] = await Promise.all([of({ above: 0 }), run([], {}, own), of({ below: 0 })]);
  expectSameTokens(beside!, plain);
  own.dispose();
});

test("probes that cannot gate are refused, and it is said what would work", async () => {
  const refused = async (gate: Gate, code: string, message: RegExp, more: Partial<Steering> = {}): Promise<void> => {
    await expect(run({ vector, schedule: fixed, gate, ...more })).rejects.toMatchObject({
      code, message: expect.stringMatching(message),
    });
  };
  await refused({ probe: { ...probe, layer: 1 } }, "E_BAD_SPEC", /reads resid_post of layer 1.*add layers=1-2$/);
  await refused({ probe: { ...probe, layer: 2 } }, "E_BAD_SPEC", /add layers=2$/);
  await refused({ probe: { ...probe, layer: 2 } }, "E_BAD_SPEC", /expected a probe that reads layer 0 or an earlier one/, { layers: [0, 1] });
  const heads = await randomVector(model, 1);
  await refused({ probe: { ...probe, site: "attn_out" } }, "E_BAD_SPEC", /add layers=1-2$/, { vector: heads });
  await refused({ probe: { ...probe, weights: probe.weights.subarray(1) } }, "E_SHAPE", /probe has width/);
  await refused({ probe: { ...probe, layer: 3 } }, "E_SHAPE", /layers must be from 0 to 2/);
  await refused({ probe: { ...probe, bias: Infinity } }, "E_NOT_FINITE", /not finite/);
  const model_ = { ...probe.provenance.model, fileHash: "other" };
  await refused({ probe: { ...probe, provenance: { ...probe.provenance, model: model_ } } }, "E_MODEL_MISMATCH", /the probe .* was trained on/);
  const [post] = [await randomVector(model, 1, { site: "resid_post", nSteps: 1 })];
  expect(() => generate(model, PROMPT, {
    steer: { vector: post!, schedule: fixed, gate: { probe, above: 0.5 }, phases: ["prompt", "answer"] },
  })).toThrow(expect.objectContaining({ code: "E_BAD_SPEC", message: expect.stringMatching(/a gate can decide only/) }));
});
