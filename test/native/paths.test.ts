import { readdirSync, rmSync } from "node:fs";
import { afterAll, describe, expect, test } from "@jest/globals";
import type { HookSite, LoadModelOptions, Model, VectorData } from "../../lib/index.js";
import { Batch, type Context } from "../../lib/engine/index.js";
import { ARCHITECTURES } from "../support/tiny-architectures.js";
import { allLayers, loadArchitecture, maxDifference, ON_DEVICE, randomVector, scratch, tolerance } from "../support/tiny-files.js";
import { workOf } from "../support/work.js";

// W_O's product of a direction is exact to float rounding; on the callback path the direction passes W_O with the
// activation. GELU and half-precision tables enlarge what is left.
const HEAD_OUT = tolerance(2e-3);

/** The same bits; on a device, whose back end fuses what the callback path separates, the same up to rounding. */
function expectSame(graph: readonly Float32Array[], callback: readonly Float32Array[]): void {
  if (!ON_DEVICE) return expect(graph).toEqual(callback);
  graph.forEach((row, index) => expect(maxDifference(row, callback[index]!)).toBeLessThan(tolerance(0)));
}

const space = scratch();
afterAll(() => space[Symbol.dispose]());

const PROMPT = [1, 70, 103, 35, 118, 200, 9, 77, 80, 12, 66, 90, 54, 33, 41, 250, 17, 18];

interface Row {
  vector: VectorData;
  alpha: number;
}

/** Logits of one next token on as many sequences as there are rows, each steered by its own terms, after a common prompt. */
async function logitsOf(model: Model, context: Context, rows: Row[][]): Promise<Float32Array[]> {
  context.kvClear();
  const prompt = new Batch();
  PROMPT.forEach((token, position) => prompt.add(token, position, 0));
  await context.decode(prompt);
  rows.forEach((_, sequence) => { if (sequence > 0) context.kvCopy(0, sequence); });
  const batch = new Batch();
  rows.forEach((terms, sequence) => batch.add(50 + sequence, PROMPT.length, sequence, {
    output: true, terms: terms.map(({ vector, alpha }, step) => ({ vector: model.vectorHandle(vector), step, alpha })),
  }));
  await context.decode(batch);
  return rows.map((_, row) => context.logits(row));
}

/** The same on two models that differ in the path only. */
async function onBothPaths(
  name: string, site: HookSite, layers: (model: Model) => number[], options: LoadModelOptions & { quantised?: boolean } = {},
): Promise<[Float32Array[], Float32Array[]]> {
  const results: Float32Array[][] = [];
  for (const steeringPath of ["graph", "callback"] as const) {
    const model = await loadArchitecture(space, name, { ...options, steeringPath });
    const [a, b] = await Promise.all([21, 22].map((seed) => randomVector(model, seed, { site, scale: 1, layers: layers(model) })));
    using context = await model.createContext({ nCtx: 128, nSeqMax: 8 });
    const rows: Row[][] = [
      [], [{ vector: a!, alpha: 1.5 }], [{ vector: b!, alpha: -0.7 }], [{ vector: a!, alpha: 0.3 }, { vector: b!, alpha: 1.1 }],
    ];
    results.push(await logitsOf(model, context, rows));
    model.dispose();
  }
  return results as [Float32Array[], Float32Array[]];
}

const behindFirst = (model: Model): number[] => allLayers(model).slice(1);

describe.each(ARCHITECTURES)("graph path and callback path on %s", (name) => {
  const half = { flashAttention: true, kvType: "f16" } as const;
  test.each([{}, half, { ...half, quantised: true }])("resid_post and attn_out: the same bits, %p", async (options) => {
    for (const [site, layers] of [["resid_post", behindFirst], ["attn_out", allLayers]] as const) {
      const [graph, callback] = await onBothPaths(name, site, layers, options);
      expectSame(graph, callback);
      expect(maxDifference(graph[1]!, graph[0]!)).toBeGreaterThan(0.01);
    }
  });

  test("head_out: W_O's product", async () => {
    const [graph, callback] = await onBothPaths(name, "head_out", allLayers);
    graph.forEach((row, index) => expect(maxDifference(row, callback[index]!)).toBeLessThan(HEAD_OUT));
    expect(maxDifference(graph[1]!, graph[0]!)).toBeGreaterThan(0.01);
  });
});

test("head_out of a quantised model: the dequantised W_O, as far as the quantised product allows", async () => {
  const [graph, callback] = await onBothPaths("qwen3", "head_out", allLayers, { quantised: true });
  graph.forEach((row, index) => expect(maxDifference(row, callback[index]!)).toBeLessThan(0.3));
  expect(maxDifference(graph[1]!, graph[0]!)).toBeGreaterThan(1);
});

describe("the graph path", () => {
  test.each(
    ["resid_mid", "mlp_out"] as const,
  )("does not reach %s: refused when it is demanded, the callback path otherwise", async (site) => {
    const forced = await loadArchitecture(space, "llama", { steeringPath: "graph" });
    using context = await forced.createContext({ nCtx: 128, nSeqMax: 2 });
    const vector = await randomVector(forced, 1, { site });
    await expect(logitsOf(forced, context, [[{ vector, alpha: 1 }]])).rejects.toMatchObject({ code: "E_NO_SITE" });
    forced.dispose();

    const model = await loadArchitecture(space, "llama");
    using own = await model.createContext({ nCtx: 128, nSeqMax: 2 });
    const [clean, steered] = await logitsOf(model, own, [[], [{ vector, alpha: 1 }]]) as [Float32Array, Float32Array];
    expect(maxDifference(clean, steered)).toBeGreaterThan(0.01);
    model.dispose();
  });

  test("leaves nothing behind: alpha 0 and unsteered rows are bit for bit what they were before it was ever used", async () => {
    const model = await loadArchitecture(space, "llama");
    using context = await model.createContext({ nCtx: 128, nSeqMax: 8 });
    const before = await logitsOf(model, context, [[], []]);
    for (const site of ["head_out", "attn_out", "resid_post"] as const) {
      const vector = await randomVector(model, 5, { site });
      await logitsOf(model, context, [[{ vector, alpha: 2 }], [{ vector, alpha: 1 }]]);
      expect(await logitsOf(model, context, [[], []])).toEqual(before);
      expect(await logitsOf(model, context, [[{ vector, alpha: 0 }], [{ vector, alpha: 0 }]])).toEqual(before);
      const mixed = await logitsOf(model, context, [[], [{ vector, alpha: 1 }]]);
      expect(mixed[0]).toEqual(before[0]);
    }
    model.dispose();
  });

  test("nodes that were left out are there again for who looks for them", async () => {
    const model = await loadArchitecture(space, "llama");
    using context = await model.createContext({ nCtx: 128, nSeqMax: 2 });
    const vector = await randomVector(model, 5, { site: "resid_post", layers: behindFirst(model) });
    await logitsOf(model, context, [[{ vector, alpha: 1 }]]);
    const [clean] = await logitsOf(model, context, [[]]) as [Float32Array]; // nothing to add: the nodes are left out
    const into = model.createCapture("resid_post", allLayers(model), 1);
    const read = new Batch();
    PROMPT.forEach(
      (token, position) => read.add(
        token, position, 1, position < PROMPT.length - 1 ? {} : { output: true, capture: { into, step: 0, weight: 1 } },
      ),
    );
    await context.decode(read);
    const { sums } = model.takeCapture(into);
    for (const layer of allLayers(model)) expect(sums.subarray(layer * model.info.nEmbd, (layer + 1) * model.info.nEmbd).some(
      (value) => value !== 0,
    )).toBe(true);
    expect(maxDifference((await logitsOf(model, context, [[{ vector, alpha: 1 }]]))[0]!, clean)).toBeGreaterThan(0.01);
    model.dispose();
  });

  test("all sites at once on one row are the sum of their effects, whichever path each takes", async () => {
    const results = await Promise.all((["auto", "callback"] as const).map(async (steeringPath) => {
      const model = await loadArchitecture(space, "qwen2", { steeringPath });
      using context = await model.createContext({ nCtx: 128, nSeqMax: 2 });
      const row = await Promise.all((["head_out", "attn_out", "mlp_out", "resid_mid", "resid_post"] as const).map(async (site, index) =>
        ({ vector: await randomVector(model, 40 + index, { site, nSteps: 5 }), alpha: 0.5 + index / 4 })));
      const [logits] = await logitsOf(model, context, [row]);
      model.dispose();
      return logits!;
    }));
    expect(maxDifference(results[0]!, results[1]!)).toBeLessThan(HEAD_OUT);
  });
});

test("the graph path stops nowhere, the callback path at every layer", async () => {
  for (const [steeringPath, expected] of [["graph", 0], ["auto", 0], ["callback", 3]] as const) {
    const model = await loadArchitecture(space, "llama", { steeringPath });
    using context = await model.createContext({ nCtx: 128, nSeqMax: 2 });
    for (const site of ["head_out", "attn_out"] as const) {
      const vector = await randomVector(model, 1, { site });
      expect((await workOf(() => logitsOf(model, context, [[], [{ vector, alpha: 1 }]]))).stops).toBe(expected);
    }
    const vector = await randomVector(model, 1, { site: "resid_post", layers: behindFirst(model) });
    const { stops } = await workOf(() => logitsOf(model, context, [[], [{ vector, alpha: 1 }]]));
    expect(stops).toBe(Math.max(0, expected - 1));
    model.dispose();
  }
});

test("resid_post with a constant vector is llama.cpp's own control vector, bit for bit", async () => {
  for (const steeringPath of ["graph", "callback"] as const) {
    const model = await loadArchitecture(space, "llama", { steeringPath });
    const layers = behindFirst(model);
    const vector = await randomVector(model, 8, { site: "resid_post", layers, nSteps: 1 });
    const steered = async (context: Context, terms: boolean): Promise<Float32Array[]> => {
      const batch = new Batch();
      PROMPT.forEach(
        (token, position) => batch.add(
          token, position, 0, { output: true, ...(terms ? { terms: [{ vector: model.vectorHandle(vector), step: 0, alpha: 1 }] } : {}) },
        ),
      );
      await context.decode(batch);
      return PROMPT.map((_, row) => context.logits(row));
    };
    using ours = await model.createContext({ nCtx: 128, nSeqMax: 32 });
    using theirs = await model.createContext({ nCtx: 128, nSeqMax: 32 });
    theirs.setControlVector(vector.data);
    expectSame(await steered(ours, true), await steered(theirs, false));
    using clean = await model.createContext({ nCtx: 128, nSeqMax: 32 });
    theirs.kvClear();
    expect(maxDifference((await steered(clean, false))[0]!, (await steered(theirs, false))[0]!)).toBeGreaterThan(0.01);
    // llama.cpp would free the compute buffers of earlier decodes, to which descriptors still point on some devices.
    for (const used of [ours, clean]) expect(() => used.setControlVector(vector.data)).toThrow(/before the first decode/);
    model.dispose();
  }
});

// Elsewhere the graph path is prepared by the first decode.
const linuxDeviceTest = ON_DEVICE && process.platform === "linux" ? test : test.skip;
linuxDeviceTest("a context that cannot be made leaves no threads behind", async () => {
  const model = await loadArchitecture(space, "llama", { steeringPath: "graph", threads: 2, seed: 99 });
  const countThreads = (): number => readdirSync("/proc/self/task").length;
  rmSync(model.info.path); // the graph path reads W_O's type there
  const attempt = (): Promise<void> => expect(model.createContext({ nCtx: 128, nSeqMax: 1 })).rejects.toMatchObject({ code: "E_BAD_GGUF" });
  await attempt(); // the process's own threads are there now
  const before = countThreads();
  await attempt();
  await attempt();
  expect(countThreads()).toBe(before);
  model.dispose();
});
