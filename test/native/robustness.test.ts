import { describe, expect, test } from "@jest/globals";
import { writeFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { loadModel } from "../../lib/index.js";
import { generate, generateText } from "../../lib/generate/index.js";
import { Batch, type Context, type RowOptions } from "../../lib/engine/index.js";
import type { CaptureHandle, GateHandle, VectorHandle } from "../../lib/native/index.js";
import { tinyForFile } from "../support/file-model.js";
import { loadTiny, randomVector } from "../support/tiny-files.js";
import { encodeGguf, tinyModel } from "../support/tiny-model.js";

const { space, model } = await tinyForFile();

async function withContext<T>(work: (context: Context) => Promise<T>): Promise<T> {
  using context = await model.createContext({ nCtx: 128, nSeqMax: 4 });
  return await work(context);
}

const row = (token: number, position: number, sequence: number, options?: RowOptions): Batch => {
  const batch = new Batch();
  batch.add(token, position, sequence, options);
  return batch;
};

/** A gate at resid_post, which the last layer only has in rows with logits. */
const gateAt = (layer: number): GateHandle => model.createGate({
  probe: { site: "resid_post", layer, weights: new Float32Array(model.info.nEmbd), bias: 0, provenance: {} as never },
  above: 0.5, per: "token", shape: "hard",
});
const ungated = model.vectorHandle(await randomVector(model, 1, { site: "resid_post", layers: [2] }));
const gated = (gate: GateHandle, options: RowOptions = { output: true }): Batch => row(5, 0, 0, {
  ...options, terms: [{ vector: ungated, step: 0, alpha: 1, gate: { gate, wasOpen: false } }],
});

describe("bad arguments are errors before llama.cpp sees them, and leave the context usable", () => {
  const cases: Array<[string, () => Batch, string]> = [
    ["an empty batch", () => new Batch(), "E_SHAPE"],
    ["a token beyond the vocabulary", () => row(99999, 0, 0), "E_BAD_TOKEN"],
    ["a negative token", () => row(-1, 0, 0), "E_BAD_TOKEN"],
    ["a sequence out of range", () => row(5, 0, 4), "E_SHAPE"],
    ["sequence 256", () => row(5, 0, 256), "E_SHAPE"],
    ["a negative position", () => row(5, -1, 0), "E_SHAPE"],
    ["a position beyond the context", () => row(5, 100000, 0), "E_CONTEXT_FULL"],
    ["a gap in the positions", () => { const batch = row(5, 0, 0); batch.add(6, 2, 0); return batch; }, "E_LLAMA"],
    [
      "more rows than a batch holds", () => { const batch = new Batch(); for (let i = 0; i < 600; i++) batch.add(5, i, 0); return batch; },
      "E_SHAPE",
    ],
    [
      "more outputs than the context holds",
      () => { const batch = new Batch(); for (let i = 0; i < 40; i++) batch.add(5, i, 0, { output: true }); return batch; }, "E_SHAPE",
    ],
    ["a vector that is none", () => row(5, 0, 0, { terms: [{ vector: {} as VectorHandle, step: 0, alpha: 1 }] }), "E_BAD_ARGUMENT"],
    ["a capture that is none", () => row(5, 0, 0, { capture: { into: {} as CaptureHandle, step: 0, weight: 1 } }), "E_BAD_ARGUMENT"],
    [
      "a capture for a vector",
      () => row(5, 0, 0, { terms: [{ vector: model.createCapture("head_out", [0], 1) as unknown as VectorHandle, step: 0, alpha: 1 }] }),
      "E_BAD_ARGUMENT",
    ],
    ["a gate that is none", () => gated({} as GateHandle), "E_BAD_ARGUMENT"],
    ["a gate of a row without the activation that it reads", () => gated(gateAt(2), { output: false }), "E_SHAPE"],
    [
      "a gate of another row",
      () => { const batch = gated(gateAt(0)); batch.add(6, 1, 0); batch.readGate(1, [...batch.gates.keys()][0]!); return batch; },
      "E_SHAPE",
    ],
    ["a sample of a row without logits", () => { const batch = row(5, 0, 0); batch.sample(0); return batch; }, "E_SHAPE"],
    [
      "a KL of a row without logits",
      () => { const batch = row(5, 0, 0, { output: true }); batch.measure({
        baseline: 0, strong: 1, topP: 0.5, alphaMax: 2, klReduction: "mean",
      }); return batch; },
      "E_SHAPE",
    ],
  ];
  const budgets: Array<[string, number, number[], number, number, string]> = [
    ["a budget of a row without logits", 1, [0], 1, -1, "E_SHAPE"], ["a candidate without logits", 0, [0, 1], 1, -1, "E_SHAPE"],
    ["a candidate out of range", 0, [7], 1, -1, "E_SHAPE"], ["a negative budget", 0, [0], -1, -1, "E_BAD_ARGUMENT"],
    ["a budget that is no number", 0, [0], NaN, -1, "E_BAD_ARGUMENT"],
    ["the row of a second budget, where there is one", 0, [0], 1, -2, "E_SHAPE"],
  ];
  for (const [what, baseline, candidates, nats, sampled, code] of budgets) {
    cases.push([what, () => {
      const batch = row(5, 0, 0, { output: true });
      batch.add(6, 0, 1);
      batch.choose({ baseline, candidates, nats });
      batch.sample(sampled);
      return batch;
    }, code]);
  }
  test.each(cases)("%s", (_, batch, code) => withContext(async (context) => {
    await expect(context.decode(batch())).rejects.toMatchObject({ name: "SteeringError", code });
    await context.decode(row(5, 0, 0, { output: true }));
    expect(context.logits(0)).toHaveLength(259);
  }));

  test("budgets and operators whose arrays do not fit", () => withContext(async (context) => {
    const vector = model.vectorHandle(await randomVector(model, 1));
    const batch = row(5, 0, 0, { output: true, terms: [{ vector, step: 0, alpha: 1, operator: "ablate" }] });
    batch.choose({ baseline: 0, candidates: [0], nats: 1 });
    const given = batch.toNative();
    const { budgets, terms } = given;
    for (const [wrong, code] of [
      [{ budgets: { ...budgets, ends: Int32Array.of(2) } }, "E_SHAPE"], [{ budgets: { ...budgets, ends: Int32Array.of(-1) } }, "E_SHAPE"],
      [{ budgets: { ...budgets, ends: Int32Array.of(0) } }, "E_SHAPE"], [{ budgets: { ...budgets, nats: new Float64Array(2) } }, "E_SHAPE"],
      [{ budgets: { ...budgets, nats: [1] } }, "E_BAD_ARGUMENT"], [{ terms: { ...terms, operators: Int8Array.of(8) } }, "E_BAD_ARGUMENT"],
      [{ terms: { ...terms, operators: Int8Array.of(-1) } }, "E_BAD_ARGUMENT"],
      [{ terms: { ...terms, operators: new Int8Array(2) } }, "E_SHAPE"],
    ] as const) {
      batch.toNative = () => ({ ...given, ...wrong } as typeof given);
      await expect(context.decode(batch)).rejects.toMatchObject({ name: "SteeringError", code });
    }
    batch.toNative = () => given;
    expect((await context.decode(batch)).chosen).toEqual([{ row: 0, index: 0, kls: [0] }]);
  }));

  test("terms out of range", () => withContext(async (context) => {
    const vector = model.vectorHandle(await randomVector(model, 1));
    await expect(context.decode(row(5, 0, 0, { terms: [{ vector, step: 5, alpha: 1 }] }))).rejects.toMatchObject({ code: "E_SHAPE" });
    await expect(context.decode(row(5, 0, 0, { terms: [{ vector, step: -1, alpha: 1 }] }))).rejects.toMatchObject({ code: "E_SHAPE" });
    await expect(context.decode(row(5, 0, 0, { terms: [{ vector, step: 0, alpha: NaN }] }))).rejects.toMatchObject({
      code: "E_NOT_FINITE",
    });
  }));

  test("vectors that do not fit the model", async () => {
    const vector = await randomVector(model, 1);
    const add = (change: object) => () => model.vectorHandle({ ...vector, ...change });
    expect(add({ width: 31 })).toThrow(expect.objectContaining({ code: "E_SHAPE" }));
    expect(add({ data: vector.data.subarray(1) })).toThrow(expect.objectContaining({ code: "E_SHAPE" }));
    expect(add({ layers: [0, 1, 3] })).toThrow(expect.objectContaining({ code: "E_SHAPE" }));
    expect(add({ layers: [0, 1, -1] })).toThrow(expect.objectContaining({ code: "E_SHAPE" }));
    expect(add({ data: vector.data.map((value, i) => (i === 7 ? NaN : value)) })).toThrow(expect.objectContaining({
      code: "E_NOT_FINITE",
    }));
    expect(add({ site: "nowhere" })).toThrow(expect.objectContaining({ code: "E_NO_SITE" }));
  });

  test("logits of a row without output", () => withContext(async (context) => {
    await context.decode(row(5, 0, 0));
    expect(() => context.logits(0)).toThrow(expect.objectContaining({ code: "E_SHAPE" }));
    expect(() => context.logits(9)).toThrow(expect.objectContaining({ code: "E_SHAPE" }));
  }));

  test("prompts that are empty or longer than the model's context", async () => {
    await expect(generateText(model, "x".repeat(300), { maxNewTokens: 5 })).rejects.toMatchObject({
      code: "E_CONTEXT_FULL", message: expect.stringMatching(/30\d tokens.*256/),
    });
    await expect(model.generate("x", { maxNewTokens: 0 }).result()).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
    await expect(model.generate("x", { maxNewTokens: 1.5 }).result()).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
  });
});

describe("states", () => {
  test("a second job on a busy context is refused, the first finishes", () => withContext(async (context) => {
    const first = context.decode(row(5, 0, 0, { output: true }));
    await expect(context.decode(row(6, 1, 0))).rejects.toMatchObject({ code: "E_BUSY" });
    expect(() => context.kvClear()).toThrow(expect.objectContaining({ code: "E_BUSY" }));
    await first;
    expect(context.logits(0)).toHaveLength(259);
  }));

  test("an aborted signal stops a generation and the model stays usable", async () => {
    const abort = new AbortController();
    const generation = generate(model, "abc", { maxNewTokens: 50, signal: abort.signal });
    await generation.next();
    abort.abort();
    await expect(generation.next()).rejects.toMatchObject({ code: "E_ABORTED" });
    expect((await model.generate("abc", { maxNewTokens: 3 }).result()).tokens.length).toBeGreaterThan(0);
  });

  test("a consumer that stops early releases the context", async () => {
    for await (const token of generate(model, "abc", { maxNewTokens: 50 })) if (token.step === 1) break;
    expect((await model.generate("abc", { maxNewTokens: 3 }).result()).tokens.length).toBeGreaterThan(0);
  });

  test("generations of one model at once give what they give alone", async () => {
    const alone = await model.generate("abc", { maxNewTokens: 6 }).result();
    const together = await Promise.all(Array.from({ length: 4 }, () => model.generate("abc", { maxNewTokens: 6 }).result()));
    for (const result of together) expect(result.text).toBe(alone.text);
  });

  test("dispose during a decode, twice, and use after it", async () => {
    const { model: own } = await loadTiny(space, {}, 3);
    const context = await own.createContext({ nCtx: 128, nSeqMax: 4 });
    const batch = new Batch();
    for (let i = 0; i < 100; i++) batch.add(5, i, 0);
    const running = context.decode(batch).then(() => "done", (error: { code: string }) => error.code);
    own.dispose();
    own.dispose();
    context.dispose();
    context.dispose();
    expect(["done", "E_ABORTED"]).toContain(await running);
    await expect(context.decode(row(5, 0, 0))).rejects.toMatchObject({ code: "E_DISPOSED" });
    expect(() => own.tokenise("x")).toThrow(expect.objectContaining({ code: "E_DISPOSED" }));
    await expect(generateText(own, "x")).rejects.toMatchObject({ code: "E_DISPOSED" });
  });
});

describe("files", () => {
  test("a GGUF cut anywhere is refused", async () => {
    const whole = encodeGguf(tinyModel());
    for (let part = 1; part < 24; part++) {
      const path = space.path("cut.gguf");
      writeFileSync(path, whole.subarray(0, Math.floor((whole.length * part) / 24)));
      await expect(loadModel(path, { vet: false })).rejects.toMatchObject({ code: "E_BAD_GGUF" });
    }
  });

  test("a GGUF of an unknown architecture is refused by llama.cpp's own words", async () => {
    const path = space.path("alien.gguf");
    writeFileSync(
      path,
      Buffer.from(encodeGguf(tinyModel()).toString("latin1").replace("\u0005\0\0\0\0\0\0\0llama", "\u0005\0\0\0\0\0\0\0alien"), "latin1"),
    );
    await expect(loadModel(path)).rejects.toMatchObject({ code: "E_BAD_GGUF", message: expect.stringContaining("alien") });
  });
});

test("worker threads load the addon for themselves", async () => {
  const code = `
    const { parentPort, workerData } = require("node:worker_threads");
    import(workerData.index).then(async ({ loadModel }) => {
      const model = await loadModel(workerData.path, { threads: 1, vet: false });
      const { text } = await model.generate("abc", { maxNewTokens: 4 }).result();
      model.dispose();
      parentPort.postMessage(text);
    });`;
  const index = new URL("../../lib/index.js", import.meta.url).href;
  const run = () => new Promise((resolve, reject) => {
    const worker = new Worker(code, { eval: true, workerData: { index, path: model.info.path } });
    worker.once("message", resolve).once("error", reject);
  });
  const texts = await Promise.all([run(), run()]);
  expect(texts[0]).toEqual(texts[1]);
});
