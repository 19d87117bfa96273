import { writeFile } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import {
  loadModel, replay, schedule as schedules, type GenerateOptions, type GenerationResult, type Sampling, type Steering,
} from "../../lib/index.js";
import { generate, generateText, scoreTokens, withFoundAlphas } from "../../lib/generate/index.js";
import { budget, divergences, KL_ROUNDING, readingsOf } from "../support/budgets.js";
import { dynamic } from "../support/dyn-requests.js";
import { tinyForFile } from "../support/file-model.js";
import { ids, letters, loadChatting } from "../support/chats.js";
import { randomProbe } from "../support/probes.js";
import { digits, loadArchitecture, randomVector } from "../support/tiny-files.js";
import { encodeGguf, TINY_SHAPE, tinyModel } from "../support/tiny-model.js";

const { space, model } = await tinyForFile();
const vectors = await Promise.all([1, 2, 3].map((seed) => randomVector(model, seed, { nSteps: 12, scale: 1 })));
const NO_END = { logitBias: { 2: -Infinity } };

describe.each(["as-generated", "clean"] as const)("a history %s", (ownHistory) => {
  const run = (steer: Steering[], more: GenerateOptions = {}, on = model, prompt: string | number[] = "spend"): Promise<GenerationResult> =>
    generateText(on, prompt, { steer, maxNewTokens: 12, logProbabilities: true, ownHistory, ...more });

  test.each(["llama", "gemma3", "mamba", "lfm2"])("%s: no token is above its budget, and they spend much of it", async (name) => {
    const own = name === "llama" ? model : await loadArchitecture(space, name);
    const vector = await randomVector(own, 1, { site: "resid_post", nSteps: 12, scale: name === "mamba" ? 8 : 1 });
    const prompt = [1, 70, 103, 35, 118];
    const [nats, alphaMax] = [0.05, 3];
    const result = await run([{ vector, schedule: budget(nats, { alphaMax }) }], {}, own, prompt);
    const measured = await divergences(own, prompt, result, [vector], ownHistory === "clean");
    const readings = readingsOf(result);
    readings.forEach(({ alpha, kl }, step) => {
      expect(alpha).toBeLessThanOrEqual(alphaMax);
      expect(kl).toBeLessThanOrEqual(nats);
      expect(Math.abs(kl! - measured[step]!)).toBeLessThan(KL_ROUNDING);
    });
    expect(readings.filter(({ alpha }) => alpha === 0).length).toBeLessThan(readings.length / 4);
    expect(readings.reduce((sum, { kl }) => sum + kl!, 0)).toBeGreaterThan((nats * readings.length) / 8);
    expect(new Set(readings.map(({ alpha }) => alpha)).size).toBeGreaterThan(3);
    if (own !== model) own.dispose();
  });

  test("a budget of 0 is the unsteered answer, bit for bit; a huge one is the largest alpha", async () => {
    const plain = await run([]);
    for (const schedule of [budget(0), budget(1, { alphaMax: 0 })]) {
      const none = await run([{ vector: vectors[0]!, schedule }]);
      expect(none.tokens.map(({ token, logProbability }) => [token, logProbability]))
        .toEqual(plain.tokens.map(({ token, logProbability }) => [token, logProbability]));
      expect(readingsOf(none)).toEqual(plain.tokens.map(() => ({ alpha: 0, kl: 0 })));
      expect(none.work).toEqual(plain.work);
    }
    const [huge, fixed] = [await run([{ vector: vectors[0]!, schedule: budget(1e9, { alphaMax: 1.5 }) }]),
      await run([{ vector: vectors[0]!, schedule: { kind: "fixed", alpha: 1.5 } }])];
    expect(ids(huge)).toEqual(ids(fixed));
    expect(ids(huge)).not.toEqual(ids(plain));
    huge.tokens.forEach(({ readings, logProbability }, step) => {
      expect(readings[0]!.alpha).toBe(1.5);
      expect(logProbability).toBeCloseTo(fixed.tokens[step]!.logProbability!, digits(4)); // a batch of other rows
    });
  });

  test("recorded, it is the same answer; its scores are those of its steps", async () => {
    const steer: Steering[] = [{ vector: vectors[0]!, schedule: budget(0.3) }, { vector: vectors[1]!, schedule: budget(0.2) }];
    const drawn = [{ temperature: 1.2, seed: 3, repeatPenalty: 1.2 }, { temperature: 1, seed: 5, grammar: "root ::= [a-z ]*" }];
    for (const sampling of [{}, ...drawn] as Sampling[]) {
      const result = await run(steer, { sampling });
      const again = await run(replay(steer, result), { sampling });
      expect(ids(again)).toEqual(ids(result));
      again.tokens.forEach(({ readings }, step) => expect(readings.map(({ alpha }) => alpha))
        .toEqual(result.tokens[step]!.readings.map(({ alpha }) => alpha)));
      const scores = await scoreTokens(model, "spend", ids(result), { steer: withFoundAlphas(steer, result), ownHistory });
      const measured = await scoreTokens(model, "spend", ids(result), { steer, ownHistory });
      if (sampling.grammar === undefined) scores.forEach((score, step) => {
        expect(score).toBeCloseTo(result.tokens[step]!.logProbability!, digits(4));
        expect(measured[step]).toBeCloseTo(score, digits(4));
      });
    }
  });

  test("with Dyn in a pipeline and in the plain order, alone and beside others", async () => {
    const steer: Steering[] = [
      { vector: vectors[0]!, schedule: dynamic({ topP: 0.8, klReduction: "sum" }) }, { vector: vectors[1]!, schedule: budget(0.2) },
    ];
    const plain = await run(steer, { pipeline: "off" });
    const [on, auto] = await Promise.all([
      run(steer, { pipeline: "on" }), run(steer, { pipeline: "auto" }), run([{ vector: vectors[2]!, schedule: budget(0.1) }]),
    ]);
    for (const each of [await run(steer, { pipeline: "on" }), on, auto]) {
      expect(ids(each)).toEqual(ids(plain));
      each.tokens.forEach(({ readings }, step) => readings.forEach(({ alpha, kl }, index) => {
        expect(alpha).toBeCloseTo(plain.tokens[step]!.readings[index]!.alpha, digits(4));
        expect(kl).toBeCloseTo(plain.tokens[step]!.readings[index]!.kl!, digits(4));
      }));
    }
    expect(readingsOf(plain, 1).every(({ kl }) => kl! <= 0.2)).toBe(true);
    expect(readingsOf(plain, 0).some(({ alpha }) => alpha > 0)).toBe(true);
  });

  test("changes between tokens, and a budget that is added, act as in an answer that had them from the start", async () => {
    const fixed = { kind: "fixed", alpha: 1 } as const;
    const late = budget(0.1);
    const options = { maxNewTokens: 12, sampling: NO_END, ownHistory };
    const stream = generate(model, "live", { steer: { vector: vectors[0]!, schedule: fixed }, ...options });
    for (let i = 0; i < 4; i++) await stream.next();
    stream.steering[0]!.schedule = late;
    for (let i = 0; i < 3; i++) await stream.next();
    await stream.add({ vector: vectors[1]!, schedule: budget(0.2) });
    for (let i = 0; i < 3; i++) await stream.next();
    stream.steering[0]!.schedule = fixed;
    const result = await stream.result();
    expect(readingsOf(result).map(({ alpha, kl }) => (kl === null ? alpha : kl <= 0.1 ? "b" : "!")).join("")).toBe("1111bbbbbb11");
    const again = await generateText(model, "live", {
      steer: replay([{ vector: vectors[0]!, schedule: fixed }, { vector: vectors[1]!, schedule: fixed }], result), ...options,
    });
    expect(ids(again)).toEqual(ids(result));
    expect(result.steering[0]!.schedule.kind).toBe("recorded");
  });

  test("probes and candidates are those of the chosen row", async () => {
    const monitor = [await randomProbe(model, 3, { site: "head_out" })];
    const steer: Steering[] = [{ vector: vectors[0]!, schedule: budget(0.2) }, { vector: vectors[1]!, schedule: budget(0.2) }];
    const found = await run(steer, { monitor, candidates: 3 });
    const recorded = await run(replay(steer, found), { monitor, candidates: 3 });
    found.tokens.forEach(({ monitors, candidates, token }, step) => {
      const other = recorded.tokens[step]!;
      expect(monitors![0]).toBeCloseTo(other.monitors![0]!, digits(4));
      expect(candidates!.output[0]!.token).toBe(token);
      candidates!.output.forEach(({ logProbability }, i) =>
        expect(logProbability).toBeCloseTo(other.candidates!.output[i]!.logProbability, digits(4)));
    });
  });

  // 2 of the prompt and one per token but the last, and one per row that tries an alpha beside the first: 512 and, which needs more, 513.
  const lengths = ownHistory === "clean" ? [510] : [509, 510];
  test.each(lengths)("%d tokens need one history, and a cell per row of the last step", async (nTokens) => {
    const path = space.path(`long-${ownHistory}.gguf`);
    await writeFile(path, encodeGguf(tinyModel(1, { ...TINY_SHAPE, nCtx: 2048 })));
    const small = await loadModel(path, { threads: 1, gpuLayers: 0, vet: false, contextSize: 512, maxGenerations: 1 });
    try {
      const steer = { vector: await randomVector(small, 1, { nSteps: 12, scale: 0.1 }), schedule: budget(0.01) };
      const options = { steer, sampling: NO_END, maxNewTokens: nTokens, ownHistory };
      expect((await generateText(small, [1, 5], options)).tokens.length).toBe(nTokens);
    } finally {
      small.dispose();
    }
  });
});

test("a budget for the answer: a token spends at most an eighth of what is left, and all together no more than it", async () => {
  const nats = 0.5;
  const steer = { vector: vectors[0]!, schedule: schedules.budget(nats, { per: "answer" }) };
  const result = await generateText(model, "spend", { steer, maxNewTokens: 24, sampling: NO_END });
  let left = nats;
  for (const { kl } of readingsOf(result)) {
    expect(kl).toBeLessThanOrEqual(left / 8);
    left -= kl!;
  }
  expect(left).toBeLessThan(nats / 2);
  expect(left).toBeGreaterThan(0);
  const token = await generateText(model, "spend", { steer: { vector: vectors[0]!, schedule: budget(nats / 8) }, maxNewTokens: 1 });
  expect(token.tokens[0]!.readings).toEqual(result.tokens[0]!.readings);
});

test("a token takes one decode of three rows, another where none was within the budget, and one row after the vector's end", async () => {
  const run = async (how: Partial<Steering>): Promise<GenerationResult> => generateText(model, "spend", {
    steer: { vector: vectors[0]!, schedule: budget(0.2), ...how }, maxNewTokens: 16, sampling: NO_END,
  });
  const again = 1; // once
  expect((await run({})).work).toEqual({ decodes: 16 + again, rows: 3 * (16 + again), guesses: 0, hits: 0 });
  const ended = await run({ tail: "stop" });
  expect(ended.work).toEqual({ decodes: 16 + again, rows: 3 * (12 + again) + 4, guesses: 0, hits: 0 });
  expect(readingsOf(ended).slice(12)).toEqual(Array.from({ length: 4 }, () => ({ alpha: 0, kl: null })));
  expect((await run({ phases: ["thinking"] })).work.rows).toBe(16);
  await expect(async () => run({ phases: ["prompt", "answer"] })).rejects.toMatchObject({
    code: "E_BAD_SPEC", message: expect.stringContaining("budget measures"),
  });
});

test.each(["as-generated", "clean"] as const)("a history %s: where no alpha is within the budget, smaller ones are", async (ownHistory) => {
  const monitor = [await randomProbe(model, 3, { site: "head_out" })];
  const steep = await randomVector(model, 4, { nSteps: 24, scale: 10 });
  for (const sampling of [NO_END, { ...NO_END, temperature: 1.2, seed: 3, repeatPenalty: 1.2 }] as Sampling[]) {
    const steer: Steering[] = [{ vector: steep, schedule: budget(0.5) }];
    const how: GenerateOptions = { maxNewTokens: 24, sampling, monitor, candidates: 2, ownHistory };
    const result = await generateText(model, "spend", { steer, ...how });
    expect(result.work.decodes).toBeGreaterThan(result.tokens.length);
    expect(readingsOf(result).every(({ alpha, kl }) => alpha > 0 && kl! <= 0.5)).toBe(true);
    const measured = await divergences(model, model.tokenise("spend"), result, [steep], ownHistory === "clean");
    readingsOf(result).forEach(({ kl }, step) => expect(Math.abs(kl! - measured[step]!)).toBeLessThan(KL_ROUNDING));
    // What was computed first has left nothing behind: neither cells, nor a draw, nor what probes have read.
    const recorded = await generateText(model, "spend", { steer: replay(steer, result), ...how });
    expect(ids(recorded)).toEqual(ids(result));
    recorded.tokens.forEach(({ monitors, candidates }, step) => {
      expect(monitors![0]).toBeCloseTo(result.tokens[step]!.monitors![0]!, digits(4));
      expect(candidates!.output.map(({ token }) => token)).toEqual(result.tokens[step]!.candidates!.output.map(({ token }) => token));
    });
  }
});

test.each(["llama", "lfm2"])("%s: a chat with budgets is the same with kept cells and without", async (name) => {
  const own = await loadChatting(space, name);
  const vector = await randomVector(own, 1, { site: "resid_post", nSteps: 3, scale: 1 });
  for (const how of [{ history: "clean" }, { history: "as-generated" }, { history: "as-generated", ownHistory: "clean" }] as const) {
    const talk = async (before: () => void): Promise<GenerationResult[]> => {
      const chat = own.chat({ ...letters(own), ...how });
      const results = [];
      for (const steer of [[{ vector, schedule: budget(0.05) }], [], [{ vector, schedule: budget(0.2) }], []]) {
        before();
        results.push(await chat.say("Hello there, my old friend.", { steer }).result());
      }
      return results;
    };
    const [kept, read] = [await talk(() => undefined), await talk(() => own.scheduler.forget())];
    expect(kept.map(ids)).toEqual(read.map(ids));
    kept.flatMap(({ tokens }) => tokens).forEach(({ logProbability }, i) =>
      expect(logProbability).toBeCloseTo(read.flatMap(({ tokens }) => tokens)[i]!.logProbability!, digits(4)));
  }
  own.dispose();
});
