import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Model } from "../../lib/index.js";
import { captureActivations, captureTexts } from "../../lib/capture/index.js";
import { generate, generateText } from "../../lib/generate/index.js";
import { Batch, type Context } from "../../lib/engine/index.js";
import { loadArchitecture, maxDifference, randomVector, scratch, tolerance } from "../support/tiny-files.js";

// Memory with a state per sequence, which cannot be cut at a token: all of it so, or beside attention.
const ARCHITECTURES = ["mamba", "lfm2", "qwen3next"];
/** Products of one row and of many are rounded otherwise. */
const ROUNDING = tolerance(1e-4);
const [FIRST, SECOND] = [[1, 70, 103, 35, 118, 200, 9, 77], [1, 70, 103, 35, 118, 44, 250, 17, 99]];

const space = scratch();
afterAll(() => space[Symbol.dispose]());

describe.each(ARCHITECTURES)("%s", (name) => {
  let model: Model;
  let context: Context;

  beforeAll(async () => {
    model = await loadArchitecture(space, name);
    context = await model.createContext({ nCtx: 256, nSeqMax: 8 });
  });
  afterAll(() => {
    context.dispose();
    model.dispose();
  });

  /** Logits of each sequence's last row, computed by itself. */
  async function alone(tokens: readonly number[]): Promise<Float32Array> {
    context.kvClear();
    const batch = new Batch();
    tokens.forEach((token, position) => batch.add(token, position, 0, { output: position === tokens.length - 1 }));
    await context.decode(batch);
    return context.logits(tokens.length - 1);
  }

  test("rows of several sequences, mixed in one batch, are what they are alone, and so is what is added to them", async () => {
    const expected = [await alone(FIRST), await alone(SECOND)];
    const site = "resid_post" as const;
    const vector = model.vectorHandle(await randomVector(model, 3, { site, nSteps: 1, scale: 1 }));
    const rowsOf = async (sequences: [number, number], steered: number | undefined): Promise<Float32Array[]> => {
      context.kvClear();
      const batch = new Batch();
      const last: number[] = [];
      for (let position = 0; position < SECOND.length; position++) {
        for (const [i, tokens] of [FIRST, SECOND].entries()) {
          if (position >= tokens.length) continue;
          const output = position === tokens.length - 1;
          last[i] = batch.add(
            tokens[position]!, position, sequences[i]!, { output, terms: output && i === steered ? [{ vector, step: 0, alpha: 1 }] : [] },
          );
        }
      }
      await context.decode(batch);
      return last.map((row) => context.logits(row));
    };
    for (const sequences of [[0, 1], [5, 2]] as Array<[number, number]>) {
      const clean = await rowsOf(sequences, undefined);
      clean.forEach((logits, i) => expect(maxDifference(logits, expected[i]!)).toBeLessThan(ROUNDING));
      for (const steered of [0, 1]) {
        const both = await rowsOf(sequences, steered);
        expect(maxDifference(both[1 - steered]!, clean[1 - steered]!)).toBe(0);
        expect(maxDifference(both[steered]!, clean[steered]!)).toBeGreaterThan(0.01);
      }
    }
  });

  test("one row each of sequences in any order, with gaps, is what it is alone", async () => {
    const expected = [await alone(FIRST), await alone(SECOND)];
    context.kvClear();
    const prompts = new Batch();
    for (const [sequence, tokens] of [[6, FIRST], [1, SECOND], [2, FIRST]] as const) tokens.slice(0, -1).forEach(
      (token, position) => prompts.add(token, position, sequence),
    );
    await context.decode(prompts);
    const step = new Batch();
    const rows = ([[2, FIRST], [6, FIRST], [1, SECOND]] as const).map(
      ([sequence, tokens]) => step.add(tokens.at(-1)!, tokens.length - 1, sequence, { output: true }),
    );
    await context.decode(step);
    [0, 0, 1].forEach((which, i) => expect(maxDifference(context.logits(rows[i]!), expected[which]!)).toBeLessThan(ROUNDING));
  });

  test("a sequence is copied and removed as a whole; a part of it is refused", async () => {
    const expected = await alone(FIRST);
    const fed = FIRST.length - 1;
    context.kvClear();
    const batch = new Batch();
    FIRST.slice(0, fed).forEach((token, position) => batch.add(token, position, 0));
    await context.decode(batch);
    for (const part of [() => context.kvCopy(0, 1, 0, fed - 1), () => context.kvCopy(0, 1, 1), () => context.kvRemove(0, fed - 1)]) {
      expect(part).toThrow(expect.objectContaining({ code: "E_BAD_ARGUMENT", message: expect.stringContaining("as a whole") }));
    }
    context.kvCopy(0, 1, 0, fed);
    context.kvCopy(0, 2);
    context.kvRemove(0);
    const step = new Batch();
    const rows = [1, 2].map((sequence) => step.add(FIRST[fed]!, fed, sequence, { output: true }));
    await context.decode(step);
    for (const row of rows) expect(maxDifference(context.logits(row), expected)).toBeLessThan(ROUNDING);
  });

  test("generations whose prompts begin alike are what they are alone, and one that is left harms nobody", async () => {
    const prompts = [
      "Hello there my friend, this", "Hello there my friend, this is", "Hello there my friend, that is", "Hello there my friend, this is",
    ];
    const options = { maxNewTokens: 6, sampling: { logitBias: { 2: -Infinity } } };
    const alone = [];
    for (const prompt of prompts) alone.push((await generateText(model, prompt, options)).tokens.map(({ token }) => token));
    const left = generate(model, prompts[0]!, options);
    await left.next();
    const together = prompts.map((prompt) => generateText(model, prompt, options));
    await left.return(undefined as never);
    expect((await Promise.all(together)).map(({ tokens }) => tokens.map(({ token }) => token))).toEqual(alone);
  });

  test("generations of one prompt with Dyn, each joining when the others are at any point, are what one is alone", async () => {
    const vector = await randomVector(model, 4, { nSteps: 4, scale: 1, site: "resid_post" });
    const options = { steer: { vector, schedule: { kind: "dynamic" as const } }, maxNewTokens: 4 };
    const expected = (await generateText(model, FIRST, options)).tokens.map(({ token }) => token);
    const all = await Promise.all(Array.from({ length: 10 }, async (_, ticks) => {
      for (let i = 0; i < ticks; i++) await new Promise(setImmediate);
      return (await generateText(model, FIRST, options)).tokens.map(({ token }) => token);
    }));
    expect(all).toEqual(all.map(() => expected));
  });

  test("activations of prompts and texts are the same one by one and all at once", async () => {
    const site = "resid_post" as const;
    const prompts = [FIRST, SECOND, FIRST.slice(0, 5)];
    const together: Float32Array[] = [];
    for await (const { data } of captureActivations(model, prompts, { site, maxNewTokens: 3 })) together.push(data);
    for (const [i, prompt] of prompts.entries()) {
      for await (const { data } of captureActivations(model, [prompt], { site, maxNewTokens: 3 })) expect(
        maxDifference(data, together[i]!),
      ).toBeLessThan(ROUNDING);
    }
    const texts = prompts.map((prompt) => ({ prompt, answer: [66, 90, 54] }));
    const means: Float64Array[] = [];
    for await (const text of captureTexts(model, texts, { site })) means.push(text.means);
    for (const [i, text] of texts.entries()) {
      for await (const alone of captureTexts(model, [text], { site })) expect(maxDifference(alone.means, means[i]!)).toBeLessThan(ROUNDING);
    }
    expect(maxDifference(means[0]!, means[1]!)).toBeGreaterThan(0.01);
  });
});

test("a hybrid has head_out where it has a W_O; another layer is refused, and all means those", async () => {
  const model = await loadArchitecture(space, "qwen3next");
  expect(model.siteLayers("head_out")).toEqual([1, 3]);
  expect(model.hasSite("head_out")).toBe(true);
  expect((await randomVector(model, 1)).layers).toEqual([1, 3]);
  const refused = {
    code: "E_NO_SITE", message: expect.stringMatching(/layer 2 of this qwen3next has no head_out; the layers that have it: 1, 3$/),
  };
  expect(() => model.createCapture("head_out", [1, 2], 1)).toThrow(expect.objectContaining(refused));
  const vector = await randomVector(model, 1, { layers: [2] });
  await expect(generateText(model, "a", { steer: [{ vector, schedule: { kind: "fixed", alpha: 1 } }] })).rejects.toMatchObject(refused);
  for await (const { layers } of captureActivations(model, [FIRST], { site: "head_out", maxNewTokens: 1 })) expect(layers).toEqual([1, 3]);
  model.dispose();
});

test("a site that no layer has is refused with the reason", async () => {
  const parallel = await loadArchitecture(space, "command-r");
  expect(parallel.siteLayers("resid_mid")).toEqual([]);
  expect(() => parallel.siteWidth("resid_mid")).toThrow(expect.objectContaining({
    code: "E_NO_SITE",
    message: "architecture command-r has no resid_mid: attention and MLP read the same stream, side by side; it has head_out, attn_out, "
      + "mlp_out, resid_post",
  }));
  parallel.dispose();
  const recurrent = await loadArchitecture(space, "mamba");
  for (const layers of [[], [0]]) {
    expect(() => recurrent.createCapture("head_out", layers, 1)).toThrow(expect.objectContaining({
      code: "E_NO_SITE", message: expect.stringContaining("attention with a W_O"),
    }));
  }
  recurrent.dispose();
});
