import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { Batch, type Context } from "../../lib/engine/index.js";
import { writeFileSync } from "node:fs";
import { loadModel, type Model } from "../../lib/index.js";
import { scratch } from "../support/tiny-files.js";
import { encodeGguf, tinyModel } from "../support/tiny-model.js";

const space = scratch();
let model: Model;

beforeAll(async () => {
  writeFileSync(space.path("tiny.gguf"), encodeGguf(tinyModel()));
  model = await loadModel(space.path("tiny.gguf"), { gpuLayers: 0, vet: false });
});

afterAll(() => {
  model.dispose();
  space[Symbol.dispose]();
});

/** Logits of a step after enough cells that attention is split among the threads, and the last digits depend on their number. */
async function step(context: Context): Promise<number[]> {
  context.kvClear();
  const prompt = new Batch();
  for (let i = 0; i < 300; i++) prompt.add(1 + i % 20, i, 0, { output: i === 299 });
  await context.decode(prompt);
  const next = new Batch();
  next.add(7, 300, 0, { output: true });
  await context.decode(next);
  return Array.from(context.logits(0));
}

test("a context goes on with another number of threads, to the bit as one that was made with it", async () => {
  const expected: number[][] = [];
  for (const threads of [1, 2]) {
    using count = model.threadCount.hold(threads);
    using context = await model.createContext({ nCtx: 1024, nSeqMax: 1 });
    expected.push(await step(context));
    expect(count.threads).toBe(threads);
  }
  expect(expected[0]).not.toEqual(expected[1]); // else this test would see nothing
  using context = await model.createContext({ nCtx: 1024, nSeqMax: 1 });
  for (const threads of [2, 1, 2]) {
    using _held = model.threadCount.hold(threads);
    expect(await step(context)).toEqual(expected[threads - 1]);
  }
});

test("of what several rows compute, and without flash attention, no bit depends on the number of threads", async () => {
  for (const flashAttention of [true, false]) {
    const found: number[][] = [];
    for (const threads of [1, 2, 3]) {
      using own = await loadModel(space.path("tiny.gguf"), { gpuLayers: 0, vet: false, threads, flashAttention });
      using context = await own.createContext({ nCtx: 1024, nSeqMax: 2 });
      const one = await step(context);
      context.kvCopy(0, 1, 0, 300);
      const two = new Batch();
      two.add(3, 301, 0, { output: true });
      two.add(4, 300, 1, { output: true });
      await context.decode(two);
      // Of one row with flash attention it does: here the other sequence alone is compared, which has no such row in its past.
      found.push([...(flashAttention ? [] : one), ...context.logits(1)]);
    }
    expect(found[1]).toEqual(found[0]);
    expect(found[2]).toEqual(found[0]);
  }
});

test("the number is checked, and not changed during a decode", async () => {
  using context = await model.createContext({ nCtx: 512, nSeqMax: 1 });
  const { native } = context as unknown as { native: { setThreads(n: number): void } };
  for (const threads of [0, -1, 513, 1.5]) expect(() => native.setThreads(threads)).toThrow(expect.objectContaining({ code: expect.stringMatching(/E_BAD_ARGUMENT|E_SHAPE/) }));
  const work = step(context);
  expect(() => native.setThreads(1)).toThrow(expect.objectContaining({ code: "E_BUSY" }));
  await work;
});

test("the number that is asked for is fixed; one generation after the other keeps the one that it begins with", async () => {
  expect(model.threadCount.isFixed).toBe(false);
  const load = { gpuLayers: 0, vet: false } as const;
  using given = await loadModel(space.path("tiny.gguf"), { ...load, threads: 2 });
  expect([given.threadCount.isFixed, given.threadCount.now(), given.threads]).toEqual([true, 2, 2]);
  using alone = await loadModel(space.path("tiny.gguf"), { ...load, maxGenerations: 1 });
  const begun = alone.threadCount.now();
  const end = performance.now() + 500;
  while (performance.now() < end) expect(alone.threadCount.now()).toBe(begun);
});
