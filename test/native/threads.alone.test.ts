import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { setTimeout } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { defaultThreads } from "../../lib/engine/threads.js";
import { Batch, type Context } from "../../lib/engine/index.js";
import { loadModel, type Model } from "../../lib/index.js";
import { loadArchitecture, scratch } from "../support/tiny-files.js";
import { encodeGguf, tinyModel } from "../support/tiny-model.js";

const MINUTES = 120_000;
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
async function step(context: Context, nCells = 301): Promise<number[]> {
  context.kvClear();
  return continued(context, nCells);
}

async function continued(context: Context, nCells: number): Promise<number[]> {
  const prompt = new Batch();
  for (let i = 0; i < nCells - 1; i++) prompt.add(1 + i % 20, i, 0);
  await context.decode(prompt);
  const next = new Batch();
  next.add(7, nCells - 1, 0, { output: true });
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

/** Four pairs of rows, and everything that can be read off their logits; half of the samplers draw. */
function readings(of = model): Batch {
  const batch = new Batch();
  for (let row = 0; row < 8; row++) batch.add(3 + row, 0, row, { output: true });
  for (let pair = 0; pair < 4; pair++) {
    const how = { sampler: pair < 2 ? null : of.createSampler({ temperature: 1, seed: pair }, []) };
    batch.measure({ baseline: pair, strong: pair + 4, strongAlpha: 2, topP: 0.9, alphaMax: 2, klReduction: "mean" });
    batch.sample(pair, { ...how, logProbability: true });
    batch.guess(pair, how);
  }
  batch.choose({ baseline: 0, candidates: [5, 6, 7], nats: 1e-6 });
  return batch;
}

test("threads that share the readings of a decode read what one thread reads", async () => {
  const results: unknown[] = [];
  for (const threads of [1, 2, 5]) {
    using _held = model.threadCount.hold(threads);
    using context = await model.createContext({ nCtx: 64, nSeqMax: 8 });
    for (let round = 0; round < 20; round++) {
      context.kvClear();
      results.push(await context.decode(readings()));
    }
  }
  const [first] = results as [Awaited<ReturnType<Context["decode"]>>];
  expect(new Set(first.alphas.map(({ kl }) => kl)).size).toBe(4);
  expect(results.every((result) => isDeepStrictEqual(result, first))).toBe(true);
});

test("what fails on one of several threads is an error, and the context goes on", async () => {
  using _held = model.threadCount.hold(4);
  using context = await model.createContext({ nCtx: 64, nSeqMax: 8 });
  const broken = readings();
  broken.add(3, 1, 0); // without logits
  broken.sample(8);
  await expect(context.decode(broken)).rejects.toMatchObject({ code: "E_SHAPE" });
  context.kvClear();
  await context.decode(readings());
  const twice = new Batch();
  const sampler = model.createSampler({ temperature: 1 }, []);
  for (let row = 0; row < 2; row++) twice.sample(twice.add(3, 0, row, { output: true }), { sampler });
  await expect(context.decode(twice)).rejects.toMatchObject({ code: "E_BAD_ARGUMENT", message: "a sampler picks one token per decode" });
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

/** Logits of some decodes by 1 and by 2 threads, and whether the context took each for one that does not depend on their number. */
async function byThreads(name: string, work: (context: Context) => AsyncGenerator<number[]>): Promise<{
  logits: number[][][]; exact: boolean[]
}> {
  const logits: number[][][] = [];
  let exact: boolean[] = [];
  for (const threads of [1, 2]) {
    using own = await loadArchitecture(space, name, { gpuLayers: 0, threads, flashAttention: true, kvType: "f16" });
    const now = jest.spyOn(own.threadCount, "now");
    using context = await own.createContext({ nCtx: 1024, nSeqMax: 2 });
    const [found, taken]: [number[][], boolean[]] = [[], []];
    for await (const each of work(context)) {
      found.push(each);
      taken.push(now.mock.lastCall![0]!);
    }
    logits.push(found);
    exact = taken;
  }
  return { logits, exact };
}

// A transformer, and models with a state per sequence: beside attention, and alone.
const ARCHITECTURES = ["llama", "lfm2", "qwen3next", "mamba"];

test.each(ARCHITECTURES)("%s: up to 256 cells no bit of a single row depends on the thread count; none is held for it", async (name) => {
  const { logits, exact } = await byThreads(name, async function* (context) {
    yield step(context, 100);
    context.kvRemove(0);
    yield continued(context, 256); // in the cells that the first one had
    yield step(context, 257);
    context.kvCopy(0, 1);
    context.kvRemove(0); // 1 has the cells
    yield continued(context, 100);
  });
  expect(exact).toEqual([true, true, false, false]);
  expect(logits[1]!.slice(0, 2)).toEqual(logits[0]!.slice(0, 2));
  if (name !== "mamba") expect(logits[0]![2]).not.toEqual(logits[1]![2]); // else this test would see nothing
}, MINUTES);

test.each(ARCHITECTURES)("%s: a batch of which a part may be computed as a single row is not taken for one that does not depend on "
  + "it", async (name) => {
  const { logits, exact } = await byThreads(name, async function* (context) {
    await step(context);
    context.kvCopy(0, 1);
    const batch = new Batch();
    batch.add(3, 301, 0);
    batch.add(4, 302, 0);
    const single = batch.add(5, 301, 1, { output: true });
    await context.decode(batch);
    yield Array.from(context.logits(single));
  });
  const hasOwnPass = name !== "llama";
  expect(exact).toEqual([!hasOwnPass]);
  if (hasOwnPass && name !== "mamba") expect(logits[0]).not.toEqual(logits[1]); // so it does
}, MINUTES);

test("the number is checked, and not changed during a decode", async () => {
  using context = await model.createContext({ nCtx: 512, nSeqMax: 1 });
  const { native } = context as unknown as { native: { setThreads(n: number): void } };
  for (const threads of [0, -1, 513, 1.5]) expect(() => native.setThreads(threads)).toThrow(expect.objectContaining({
    code: expect.stringMatching(/E_BAD_ARGUMENT|E_SHAPE/),
  }));
  const work = step(context);
  expect(() => native.setThreads(1)).toThrow(expect.objectContaining({ code: "E_BUSY" }));
  await work;
});

/** Processor time of this process, in milliseconds, in a tenth of a second in which it does nothing. */
async function idleTime(): Promise<number> {
  const begun = process.cpuUsage();
  await setTimeout(100);
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / 1000;
}

test("threads on all processors sleep between decodes", async () => {
  const all = cpus().length;
  for (const path of ["graph", "callback"] as const) {
    using own = await loadModel(space.path("tiny.gguf"), { gpuLayers: 0, vet: false, threads: Math.max(2, all), steeringPath: path });
    using context = await own.createContext({ nCtx: 1024, nSeqMax: 8 });
    await context.decode(readings(own));
    expect(await idleTime()).toBeLessThan(50); // one that spins takes 100
    await step(context);
    expect(await idleTime()).toBeLessThan(50);
  }
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

const severalTest = defaultThreads() > 1 ? test : test.skip;
severalTest("the number that it keeps is measured first: beside programs that use all processors, not all of them", async () => {
  const busy = Array.from({ length: availableParallelism() }, () => spawn(process.execPath, ["-e", "console.log(); for (;;);"]));
  try {
    await Promise.all(busy.map(({ stdout }) => once(stdout, "data")));
    using alone = await loadModel(space.path("tiny.gguf"), { gpuLayers: 0, vet: false, maxGenerations: 1 });
    expect(alone.threadCount.now()).toBeLessThan(alone.threads);
  } finally {
    for (const child of busy) child.kill("SIGKILL");
  }
});
