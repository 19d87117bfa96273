import { writeFile } from "node:fs/promises";
import { afterEach, describe, expect, jest, test } from "@jest/globals";
import { loadModel, replay, type GenerateOptions, type GenerationResult, type Model, type Steering } from "../../lib/index.js";
import { generate, generateText, scoreTokens } from "../../lib/generate/index.js";
import { changeGuesses, dynamic, expectSame, request, wrongIn } from "../support/dyn-requests.js";
import { tinyForFile } from "../support/file-model.js";
import { sampled } from "../support/slow.js";
import { digits, loadArchitecture, randomVector } from "../support/tiny-files.js";
import { encodeGguf, TINY_SHAPE, tinyModel } from "../support/tiny-model.js";

const { space, model } = await tinyForFile();
const vectors = await Promise.all([1, 2, 3].map((seed) => randomVector(model, seed, { nSteps: 12, scale: 1 })));
const NO_END = { logitBias: { 2: -Infinity } };

afterEach(() => { jest.restoreAllMocks(); });

const ids = ({ tokens }: GenerationResult): number[] => tokens.map(({ token }) => token);
const kls = ({ tokens }: GenerationResult): Array<number | null> => tokens.map(({ readings }) => readings[0]!.kl);
const dyn = (n: number, settings: object = {}): Steering[] =>
  vectors.slice(0, n).map((vector) => ({ vector, schedule: dynamic(settings) }));
const skip = { below: 0.3, after: 1, for: 3 };

const VARIANTS: Array<[string, GenerateOptions, object]> = [
  ["a clean history", { ownHistory: "clean" }, {}], ["skipped steps", {}, { skip }], ["both", { ownHistory: "clean" }, { skip }],
];
describe.each(VARIANTS)("%s", (_, how, settings) => {
  const requests = sampled(Array.from({ length: 16 }, (_unused, i) => request(vectors, i, settings)), 2);
  const run = ({ prompt, options }: typeof requests[number], more: GenerateOptions = {}): Promise<GenerationResult> =>
    generateText(model, prompt, { ...options, ...how, ...more });

  test("a pipeline, with right and with wrong guesses, and a batch with others give what the plain order alone gives", async () => {
    const plain: GenerationResult[] = [];
    for (const each of requests) plain.push(await run(each, { pipeline: "off" }));
    for (const change of [(guess: number) => guess, wrongIn(model)]) {
      changeGuesses(change);
      for (const [i, each] of requests.entries()) expectSame(await run(each, { pipeline: "on" }), plain[i]!);
      jest.restoreAllMocks();
    }
    const together = await Promise.all(requests.map((each) => run(each, { pipeline: "on" })));
    together.forEach((result, i) => expectSame(result, plain[i]!));
  });

  test("recorded, it gives the same tokens again", async () => {
    const steer = dyn(2, settings);
    const result = await generateText(model, "again", { steer, maxNewTokens: 16, ...how });
    const again = await generateText(model, "again", { steer: replay(steer, result), maxNewTokens: 16, ...how });
    expect(ids(again)).toEqual(ids(result));
    expect(ids(await generateText(model, "again", { steer: dyn(2), maxNewTokens: 16 }))).not.toEqual(ids(result));
  });

  test("a change between two tokens, and a vector added in between, act as in the plain order", async () => {
    const results = [];
    for (const pipeline of ["off", "on"] as const) {
      const stream = generate(model, "live", { steer: dyn(1, settings), maxNewTokens: 16, pipeline, ...how });
      for (let i = 0; i < 5; i++) await stream.next();
      stream.steering[0]!.schedule = dynamic({ strongAlpha: 0.7, ...settings });
      for (let i = 0; i < 3; i++) await stream.next();
      await stream.add({ vector: vectors[1]!, schedule: dynamic(settings) });
      results.push(await stream.result());
    }
    expectSame(results[1]!, results[0]!);
    expect(results[0]!.tokens[8]!.readings).toHaveLength(2);
  });
});

describe("a clean history", () => {
  const clean = { ownHistory: "clean" } as const;

  test.each(["tiny", "llama", "gemma3", "mamba", "lfm2", "qwen3next"])(
    "%s: each step is the first step of a generation that begins there", async (name) => {
      const own: Model = name === "tiny" ? model : await loadArchitecture(space, name);
      const scale = name === "mamba" ? 8 : 1; // a random one hardly depends on its residual stream
      const all = await Promise.all([1, 2].map((seed) => randomVector(own, seed, { site: "resid_post", nSteps: 1, scale })));
      const steer = all.map((vector) => ({ vector, schedule: dynamic({ topP: 0.8 }) }));
      const prompt = [1, 70, 103, 35, 118];
      const result = await generateText(own, prompt, { steer, maxNewTokens: 10, ...clean });
      let alphas = 0;
      for (const [step, { token, readings }] of result.tokens.entries()) {
        const { tokens: [first] } = await generateText(own, [...prompt, ...ids(result).slice(0, step)], { steer, maxNewTokens: 1 });
        expect(token).toBe(first!.token);
        readings.forEach(({ alpha, kl }, index) => {
          alphas += alpha;
          expect(alpha).toBeCloseTo(first!.readings[index]!.alpha, digits(3));
          expect(kl).toBeCloseTo(first!.readings[index]!.kl!, digits(3));
        });
      }
      expect(alphas).toBeGreaterThan(0.1);
      if (own !== model) own.dispose();
    },
  );

  test("without steering it is the plain answer, bit for bit and row for row", async () => {
    const options = { maxNewTokens: 16, logProbabilities: true };
    const unsteered = await generateText(model, "what do bees", options);
    const { seconds: _, steering: _none, ...plain } = unsteered;
    expect(await generateText(model, "what do bees", { ...options, ...clean })).toMatchObject(plain);
    const steer = { vector: vectors[0]!, schedule: { kind: "fixed", alpha: 0 } } as const;
    const zero = await generateText(model, "what do bees", { ...options, ...clean, steer });
    expect(zero.work).toEqual(plain.work);
    expect(zero.tokens.map(({ token, logProbability }) => [token, logProbability]))
      .toEqual(plain.tokens.map(({ token, logProbability }) => [token, logProbability]));
    const { tokens, work } = await generateText(model, "what do bees", { ...options, ...clean, steer: dyn(2, { alphaMax: 0 }) });
    expect(tokens.map(({ token }) => token)).toEqual(ids(unsteered));
    expect(work.decodes).toBe(tokens.length);
  });

  test.each([1, 2, 3])("%d properties: no output row where all alphas are 0, or one of them the strong one", async (n) => {
    let settled = 0;
    for (const topP of [0.1, 0.3, 0.5]) {
      const options = { steer: dyn(n, { topP }), maxNewTokens: 24, pipeline: "off", ...clean } as const;
      const { tokens, work } = await generateText(model, "work", options);
      const alone = tokens.filter(({ readings }) => {
        const alphas = readings.map(({ alpha }) => alpha).filter((alpha) => alpha !== 0);
        return alphas.length === 0 || (alphas.length === 1 && alphas[0] === 2);
      }).length;
      expect(work).toEqual({ decodes: 2 * tokens.length - alone, rows: (n + 2) * tokens.length - alone, guesses: 0, hits: 0 });
      settled += alone;
    }
    expect(settled).toBeGreaterThan(3);
  });

  test("a sampler draws as often from P or S as from an output row", async () => {
    const sampling = { temperature: 1.3, seed: 4, repeatPenalty: 1.2 };
    const vector = await randomVector(model, 1, { nSteps: 1, scale: 1 });
    const steer = { vector, schedule: dynamic({ topP: 0.2 }) };
    const settled = await generateText(model, "draw", { steer, sampling, maxNewTokens: 24, pipeline: "off", ...clean });
    const drawn = await generateText(model, "draw", { steer: replay(steer, settled), sampling, maxNewTokens: 24, ...clean });
    expect(ids(drawn)).toEqual(ids(settled));
    expect(settled.work.decodes).toBeLessThan(2 * settled.tokens.length);
    expect(drawn.work.rows).toBeGreaterThan(drawn.tokens.length);
  });

  test("the first step, which has no history, is that of the published method", async () => {
    for (const n of [1, 3]) {
      const options = { steer: dyn(n), maxNewTokens: 1, logProbabilities: true };
      expectSame(await generateText(model, "one", { ...options, ...clean }), await generateText(model, "one", options));
    }
  });

  test("scores are those of the steps that decided, and a recorded alpha acts on its own row only", async () => {
    const steer = dyn(1);
    const options = { steer, maxNewTokens: 12, logProbabilities: true, ...clean };
    const result = await generateText(model, "score", options);
    const scores = await scoreTokens(model, "score", ids(result), { steer, ...clean });
    scores.forEach((score, step) => expect(score).toBeCloseTo(result.tokens[step]!.logProbability!, digits(4)));
    const late = { vector: vectors[0]!, schedule: { kind: "window", alpha: 3, from: 0, to: 4 } } as const;
    const [clear, plain, steered] = await Promise.all([{ steer: late, ...clean }, {}, { steer: late }].map(
      (how) => scoreTokens(model, "score", ids(result), how),
    ));
    clear!.slice(4).forEach((score, step) => expect(score).toBeCloseTo(plain![4 + step]!, digits(4)));
    expect(steered!.slice(4)).not.toEqual(plain!.slice(4));
  });

  // 2 of the prompt, one for each token, and one for each further row but that of the last token: 512 and, which needs more, 513.
  test.each([509, 510])("no cell is left behind by %d tokens, which need one stream of cells, and a cell per row", async (nTokens) => {
    const path = space.path("long.gguf");
    await writeFile(path, encodeGguf(tinyModel(1, { ...TINY_SHAPE, nCtx: 2048 })));
    const small = await loadModel(path, { threads: 1, gpuLayers: 0, vet: false, contextSize: 512, maxGenerations: 1 });
    try {
      changeGuesses((guess) => (guess + 1) % small.info.nVocab);
      const steer = { vector: await randomVector(small, 1, { nSteps: 12, scale: 0.1 }), schedule: dynamic() };
      const options = { steer, sampling: NO_END, maxNewTokens: nTokens, ...clean };
      expect((await generateText(small, [1, 5], { ...options, pipeline: "on" })).tokens.length).toBe(nTokens);
    } finally {
      small.dispose();
    }
  });

  test("a history of another name is refused", async () => {
    const ownHistory = "spotless" as "clean";
    await expect(generateText(model, "x", { ownHistory })).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT", message: expect.stringMatching(/ownHistory.*clean/),
    });
    await expect(scoreTokens(model, "x", [5], { ownHistory })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
  });
});

describe("steps that are not measured", () => {
  test.each([["a threshold of 0", { below: 0 }], ["an endless wait", { below: 1e9, after: 1e9 }]])(
    "%s: exact Dyn, bit for bit", async (_, never) => {
      for (const n of [1, 2]) {
        const options = { maxNewTokens: 16, logProbabilities: true };
        const exact = await generateText(model, "skip", { steer: dyn(n), ...options });
        const result = await generateText(model, "skip", { steer: dyn(n, { skip: never }), ...options });
        expect({ ...result, seconds: 0, steering: [] }).toEqual({ ...exact, seconds: 0, steering: [] });
      }
    },
  );

  test("after two low KLs, three steps keep the alpha; then one is measured", async () => {
    const steer = dyn(1, { skip: { below: 1e9, after: 2, for: 3 } });
    const result = await generateText(model, "skip", { steer, maxNewTokens: 12, sampling: NO_END, pipeline: "off" });
    expect(kls(result).map((kl) => (kl === null ? "-" : "m")).join("")).toBe("mm---m---m--");
    const alphas = result.tokens.map(({ readings }) => readings[0]!.alpha);
    expect(alphas.slice(2, 5)).toEqual([alphas[1], alphas[1], alphas[1]]);
    expect(alphas.slice(6, 9)).toEqual([alphas[5], alphas[5], alphas[5]]);
    expect(result.work).toEqual({ decodes: 12 + 4, rows: 3 * 12, guesses: 0, hits: 0 });
    expect(result.steering[0]!.schedule).toEqual({
      kind: "dynamic", topP: 0.5, alphaMax: 2, strongAlpha: 2, klReduction: "mean", skip: { below: 1e9, after: 2, for: 3 },
    });
  });

  test("a new schedule is measured at once", async () => {
    const settings = { skip: { below: 1e9, after: 1, for: 8 } };
    const stream = generate(model, "skip", { steer: dyn(1, settings), maxNewTokens: 6, sampling: NO_END });
    for (let i = 0; i < 3; i++) await stream.next();
    stream.steering[0]!.schedule = dynamic({ topP: 0.4, ...settings });
    expect(kls(await stream.result()).map((kl) => (kl === null ? "-" : "m")).join("")).toBe("m--m--");
  });

  test.each(["tiny", "mamba", "lfm2"])("%s: P and S of skipped steps are computed, so later KLs are those of the text", async (name) => {
    const own = name === "tiny" ? model : await loadArchitecture(space, name);
    const scale = name === "mamba" ? 8 : 1;
    const vector = await randomVector(own, 1, { site: "resid_post", nSteps: 1, scale });
    const steer = (settings: object): Steering[] => [{ vector, schedule: dynamic({ topP: 0.8, ...settings }) }];
    const prompt = [1, 70, 103, 35, 118];
    // A threshold in the midst of its KLs.
    const usual = kls(await generateText(own, prompt, { steer: steer({}), maxNewTokens: 16 })).map(Number).sort((a, b) => a - b)[8]!;
    const result = await generateText(own, prompt, { steer: steer({ skip: { ...skip, below: usual } }), maxNewTokens: 16 });
    const measuring = [...replay(steer({}), result), ...steer({ alphaMax: 0 })];
    const measured = await generateText(own, prompt, { steer: measuring, maxNewTokens: 16 });
    expect(ids(measured)).toEqual(ids(result));
    expect(kls(result)).toContain(null);
    kls(result).forEach((kl, step) => { if (kl !== null) expect(kl).toBeCloseTo(measured.tokens[step]!.readings[1]!.kl!, digits(3)); });
    expect(kls(result).findLastIndex((kl) => kl !== null)).toBeGreaterThan(kls(result).indexOf(null));
    if (own !== model) own.dispose();
  });

  test("each property is skipped by its own KLs", async () => {
    const schedules = [dynamic({ skip: { below: 1e9, after: 1, for: 2 } }), dynamic(), dynamic({ skip: { below: 1e9, after: 2, for: 1 } })];
    const steer = schedules.map((schedule, i) => ({ vector: vectors[i]!, schedule }));
    const { tokens } = await generateText(model, "skip", { steer, maxNewTokens: 7, sampling: NO_END });
    const pattern = (i: number): string => tokens.map(({ readings }) => (readings[i]!.kl === null ? "-" : "m")).join("");
    expect([0, 1, 2].map(pattern)).toEqual(["m--m--m", "mmmmmmm", "mm-m-m-"]);
  });
});
