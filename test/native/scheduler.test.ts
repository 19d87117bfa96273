import { describe, expect, test } from "@jest/globals";
import { loadModel, type ScheduleInput } from "../../lib/index.js";
import { captureMeans } from "../../lib/capture/index.js";
import { generate, generateText } from "../../lib/generate/index.js";
import { Batch } from "../../lib/engine/index.js";
import { tinyForFile } from "../support/file-model.js";
import { loadArchitecture, loadTiny, randomVector } from "../support/tiny-files.js";

const { space, model } = await tinyForFile();

const GREEDY = { maxNewTokens: 6, sampling: { logitBias: { 2: -Infinity } } };

test("a generation that is read on just after another was left is woken, however many turns later", async () => {
  for (let turns = 0; turns < 8; turns++) {
    const [a, b] = [generate(model, "a", GREEDY), generate(model, "b", GREEDY)];
    await Promise.all([a.next(), b.next()]);
    await b.return(undefined as never);
    for (let i = 0; i < turns; i++) await undefined;
    expect((await a.next()).done).toBe(false);
    await a.return(undefined as never);
  }
});

test("a generation left after a pause holds up nobody", async () => {
  for await (const _ of generate(model, "a", GREEDY)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    break;
  }
  expect((await generateText(model, "b", GREEDY)).tokens).toHaveLength(6);
});

test("two generations that are read in lockstep fit into the context, whichever came first", async () => {
  const small = generate(model, "a", GREEDY);
  await small.next();
  const large = generate(model, "b".repeat(60), { ...GREEDY, maxNewTokens: 180 });
  for (let i = 0; i < 3; i++) await Promise.all([small.next(), large.next()]);
  await Promise.all([small.return(undefined as never), large.return(undefined as never)]);
});

describe("what one generation does wrong is its own", () => {
  const tooLarge: Array<[string, ScheduleInput]> = [
    ["fixed", { kind: "fixed", alpha: 1e39 }], ["dynamic", { kind: "dynamic", strongAlpha: 1e39 }], ["a function's", () => 1e39],
    ["a budget's largest", { kind: "budget", alphaMax: 1e39 }], ["Dyn's largest", { kind: "dynamic", alphaMax: 1e39 }],
  ];
  test.each(tooLarge)("an alpha that is infinite as a 32-bit float: %s", async (_, schedule) => {
    const vector = await randomVector(model, 1);
    const [own, other] = await Promise.allSettled([
      generateText(model, "a", { ...GREEDY, steer: [{ vector, schedule }] }), generateText(model, "b", GREEDY),
    ]);
    expect(own).toMatchObject({ status: "rejected", reason: { code: "E_BAD_SPEC" } });
    expect(other.status).toBe("fulfilled");
  });

  test("more sequences than llama.cpp has", async () => {
    const vector = await randomVector(model, 1);
    const steer = Array.from({ length: 260 }, () => ({ vector, schedule: { kind: "dynamic" as const } }));
    const [own, other] = await Promise.allSettled([generateText(model, "a", { ...GREEDY, steer }), generateText(model, "b", GREEDY)]);
    expect(own).toMatchObject({ status: "rejected", reason: { code: "E_BAD_ARGUMENT" } });
    expect(other.status).toBe("fulfilled");
  });

  test("steering until nothing is finite: an error, even if only Dyn's strong stream overflows; the next ones are well", async () => {
    const expected = (await generateText(model, "b", GREEDY)).text;
    const huge = await randomVector(model, 1, { scale: 6e38 });
    for (const schedule of [{ kind: "fixed", alpha: 10 }, { kind: "dynamic", strongAlpha: 10 }] as const) {
      await expect(generateText(model, "a", { ...GREEDY, steer: [{ vector: huge, schedule }] })).rejects.toMatchObject({
        code: "E_NOT_FINITE",
      });
      expect((await generateText(model, "b", GREEDY)).text).toBe(expected);
    }
  });
});

test("a strong stream that overflows is an error where its cells reach nobody else, too", async () => {
  const { model: flash } = await loadTiny(space, { flashAttention: true, kvType: "f16" }, 3);
  const vector = await randomVector(flash, 1, { scale: 6e38 });
  await expect(generateText(
    flash, "a", { ...GREEDY, steer: [{ vector, schedule: { kind: "dynamic", strongAlpha: 10 } }] },
  )).rejects.toMatchObject({ code: "E_NOT_FINITE" });
  flash.dispose();
});

test("prompts are fed beside as many generations as there may be", async () => {
  const { model: wide } = await loadTiny(space, { maxSequences: 80 }, 3);
  const many = Array.from({ length: 70 }, (_, i) => generateText(wide, `p${i}`, { ...GREEDY, maxNewTokens: 40 }));
  await new Promise((resolve) => setTimeout(resolve, 5));
  const late = generateText(wide, "x".repeat(40), { ...GREEDY, maxNewTokens: 1 }).then(() => "late");
  expect(await Promise.race([late, Promise.all(many).then(() => "many")])).toBe("late");
  await Promise.all(many);
  wide.dispose();
});

describe("arguments", () => {
  test.each([
    { maxSequences: 0 }, { maxSequences: 257 }, { maxSequences: NaN }, { maxSequences: 1.5 }, { contextSize: -1 }, { contextSize: 2 ** 40 },
  ])("%p is refused when the model is loaded", async (options) => {
    await expect(loadModel(model.info.path, { vet: false, ...options })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
  });

  test("heads that are no whole numbers, weights that are not above 0, words without end", async () => {
    const vector = await randomVector(model, 1);
    for (const heads of [[0.5], ["0"] as unknown as number[], [9], []]) {
      await expect(generateText(
        model, "a", { ...GREEDY, steer: [{ vector, schedule: { kind: "fixed" }, heads }] },
      )).rejects.toMatchObject({ code: "E_SHAPE" });
    }
    for (const weight of [0, -1, NaN]) await expect(captureMeans(
      model, [{ tokens: [5], weight }], { site: "head_out", maxNewTokens: 1 },
    )).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
    expect(() => model.tokenise("x".repeat(100_000))).toThrow(expect.objectContaining({ code: "E_BAD_ARGUMENT" }));
    expect(model.tokenise("word ".repeat(20_000)).length).toBeGreaterThan(20_000);
  });

  test("what was made for another model", async () => {
    const other = await loadArchitecture(space, "gpt2");
    using context = await other.createContext({ nCtx: 64, nSeqMax: 1 });
    const row = (options: object, sampler = false): Batch => {
      const batch = new Batch();
      batch.add(5, 0, 0, { output: true, ...options });
      if (sampler) batch.sample(0, { sampler: model.createSampler({ temperature: 1 }, []) });
      return batch;
    };
    const vector = model.vectorHandle(await randomVector(model, 1, { site: "mlp_out" }));
    await expect(context.decode(row({ terms: [{ vector, step: 0, alpha: 1 }] }))).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
    await expect(context.decode(row({
      capture: { into: model.createCapture("mlp_out", [0], 1), step: 0, weight: 1 },
    }))).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
    await expect(context.decode(row({}, true))).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
    await context.decode(row({}));
    other.dispose();
  });
});

test("layers and heads of a vector: their sum is the whole", async () => {
  using context = await model.createContext({ nCtx: 64, nSeqMax: 1 });
  const whole = await randomVector(model, 4);
  const logits = async (selections: object[]): Promise<Float32Array> => {
    context.kvClear();
    const batch = new Batch();
    batch.add(
      5, 0, 0,
      { output: true, terms: selections.map((selection) => ({ vector: model.vectorHandle(whole, selection), step: 1, alpha: 1 })) },
    );
    await context.decode(batch);
    return context.logits(0);
  };
  const expected = await logits([{}]);
  for (const parts of [[{ layers: [0, 2] }, { layers: [1] }], [{ heads: [0, 3] }, { heads: [1] }, { heads: [2] }]]) {
    (await logits(parts)).forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 3));
    expect(Array.from(await logits(parts.slice(0, 1)))).not.toEqual(Array.from(expected));
  }
});
