import { writeFile } from "node:fs/promises";
import { afterEach, describe, expect, jest, test } from "@jest/globals";
import { loadModel, replay, type GenerateOptions, type GenerationResult } from "../../lib/index.js";
import { Context } from "../../lib/engine/index.js";
import { generate, generateText, scoreTokens } from "../../lib/generate/index.js";
import { seededRandom } from "../../lib/maths/random.js";
import { changeGuesses, dynamic, expectSame, request, wrongIn, type Request } from "../support/dyn-requests.js";
import { tinyForFile } from "../support/file-model.js";
import { sampled } from "../support/slow.js";
import { randomVector } from "../support/tiny-files.js";
import { encodeGguf, TINY_SHAPE, tinyModel } from "../support/tiny-model.js";

const { space, model } = await tinyForFile();
const vectors = await Promise.all([1, 2, 3].map((seed) => randomVector(model, seed, { nSteps: 12, scale: 1 })));
const wrong = wrongIn(model);

afterEach(() => { jest.restoreAllMocks(); });

const run = ({ prompt, options }: Request, pipeline: "on" | "off"): Promise<GenerationResult> =>
  generateText(model, prompt, { ...options, pipeline });

describe("Dyn in a pipeline gives the tokens, alphas and KLs of the plain order", () => {
  const requests = sampled(Array.from({ length: 200 }, (_, i) => request(vectors, i)), 5);

  test.each([["as they come", (guess: number) => guess], ["that are always wrong", wrong]])("with guesses %s", async (_, change) => {
    let hits = 0;
    let total = 0;
    for (const each of requests) {
      const plain = await run(each, "off");
      expect(plain.work.guesses).toBe(0);
      changeGuesses(change);
      const pipelined = await run(each, "on");
      jest.restoreAllMocks();
      expectSame(pipelined, plain);
      hits += pipelined.work.hits;
      total += pipelined.work.guesses;
    }
    expect(total).toBeGreaterThan(3 * requests.length);
    if (change === wrong) expect(hits / total).toBeLessThan(0.05); // a few are right by chance
    else expect(hits / total).toBeGreaterThan(0.35);
  });

  test("beside others that join, end and are aborted", async () => {
    const chosen = requests.slice(0, 12);
    const alone: GenerationResult[] = [];
    for (const each of chosen) alone.push(await run(each, "off"));
    const random = seededRandom(3);
    const together = await Promise.all(chosen.map(async (each, index) => {
      for (let ticks = Math.floor(random() * 12); ticks > 0; ticks--) await new Promise(setImmediate);
      const aborted = generate(model, `${index} aborted`, { ...each.options, pipeline: "on" });
      const [result] = await Promise.all([run(each, "on"), aborted.next().then(() => aborted.return())]);
      return result;
    }));
    together.forEach((result, index) => expectSame(result, alone[index]!));
  });

  test("and recorded, the same tokens again", async () => {
    const steer = { vector: vectors[0]!, schedule: dynamic() };
    const result = await generateText(model, "again", { steer, maxNewTokens: 12, pipeline: "on" });
    const again = await generateText(model, "again", { steer: replay(steer, result), maxNewTokens: 12 });
    expect(again.tokens.map(({ token }) => token)).toEqual(result.tokens.map(({ token }) => token));
  });

  const CHANGES: Array<[string, (steering: GenerationSteering) => unknown]> = [
    ["another strong alpha", (steering) => { steering[0]!.schedule = dynamic({ strongAlpha: 0.5 }); }],
    ["a fixed alpha instead", (steering) => { steering[0]!.schedule = { kind: "fixed", alpha: 1 }; }],
    ["the vector dropped", (steering) => steering[0]!.drop()],
    ["the same schedule set again", (steering) => { steering[0]!.schedule = dynamic(); }],
  ];
  test.each(CHANGES)("with a change between two tokens: %s", async (_, change) => {
    const results = [];
    for (const pipeline of ["off", "on"] as const) {
      const stream = generate(model, "live", { steer: { vector: vectors[0]!, schedule: dynamic() }, maxNewTokens: 12, pipeline });
      for (let i = 0; i < 5; i++) await stream.next();
      change(stream.steering);
      results.push(await stream.result());
    }
    expectSame(results[1]!, results[0]!);
  });

  test("with a dynamic vector that is added in between", async () => {
    const results = [];
    for (const pipeline of ["off", "on"] as const) {
      const stream = generate(model, "live", { steer: { vector: vectors[0]!, schedule: dynamic() }, maxNewTokens: 12, pipeline });
      for (let i = 0; i < 5; i++) await stream.next();
      await stream.add({ vector: vectors[1]!, schedule: dynamic() });
      results.push(await stream.result());
    }
    expectSame(results[1]!, results[0]!);
    expect(results[0]!.tokens.at(-1)!.readings).toHaveLength(2);
  });
});
type GenerationSteering = ReturnType<typeof generate>["steering"];

describe("the work of Dyn", () => {
  const options = (nProperties: number, more: GenerateOptions = {}): GenerateOptions => ({
    steer: vectors.slice(0, nProperties).map((vector) => ({ vector, schedule: dynamic() })), maxNewTokens: 12, ...more,
  });

  test.each([1, 2, 3])("%d properties: two decodes per token without guesses, one per token that was guessed", async (n) => {
    const plain = await generateText(model, "work", options(n, { pipeline: "off" }));
    const nTokens = plain.tokens.length;
    expect(plain.work).toEqual({ decodes: 2 * nTokens, rows: (n + 2) * nTokens, guesses: 0, hits: 0 });

    const { work } = await generateText(model, "work", options(n, { pipeline: "on" }));
    expect(work.decodes).toBe(2 * nTokens - work.hits);
    expect(work.rows).toBe((n + 2) * nTokens + (n + 1) * (work.guesses - work.hits));
    expect(work.hits).toBeGreaterThan(0);
  });

  test("scoring knows every token: one decode each, after the first", async () => {
    const decode = jest.spyOn(Context.prototype, "decode");
    const tokens = [...model.tokenise("and then some", { bos: false })];
    const given = { steer: [{ vector: vectors[0]!, schedule: dynamic() }] };
    const scores = await scoreTokens(model, [1], tokens, given);
    expect(decode).toHaveBeenCalledTimes(tokens.length + 1);
    expect(scores).toHaveLength(tokens.length);
  });

  test("wrong guesses turn themselves off, and are tried again later", async () => {
    changeGuesses(wrong);
    const endless = { maxNewTokens: 120, sampling: { logitBias: { 2: -Infinity } } };
    const { work, tokens } = await generateText(model, "work", options(1, endless));
    expect(tokens.length).toBe(120);
    expect(work.guesses).toBeGreaterThan(8);
    expect(work.guesses).toBeLessThan(30);
  });

  test("many at once guess less: what wrong guesses waste grows with them, what right ones save does not", async () => {
    const guessed = async (n: number): Promise<number> => {
      const all = await Promise.all(Array.from({ length: n }, () => generateText(model, "work", options(1))));
      return all.reduce((sum, { work }) => sum + work.guesses, 0) / n;
    };
    expect(await guessed(1)).toBeGreaterThan(4);
    expect(await guessed(5)).toBe(0);
  });

  test("no cell is left behind, over a thousand wrong guesses in a context without room for one", async () => {
    const nTokens = 1000;
    const path = space.path("long.gguf");
    await writeFile(path, encodeGguf(tinyModel(1, { ...TINY_SHAPE, nCtx: 2048 })));
    const small = await loadModel(path, { threads: 1, gpuLayers: 0, vet: false, contextSize: 3 * nTokens, maxGenerations: 1 });
    try {
      changeGuesses(wrong);
      const steer = { vector: await randomVector(small, 1, { nSteps: 12, scale: 0.1 }), schedule: dynamic() };
      const sampling = { logitBias: { 2: -Infinity } }; // no end before the last token
      const { tokens, work } = await generateText(small, [1, 5], { steer, sampling, maxNewTokens: nTokens, pipeline: "on" });
      expect(tokens.length).toBe(nTokens);
      expect(work.guesses).toBe(nTokens - 1);
    } finally {
      small.dispose();
    }
  });
});
