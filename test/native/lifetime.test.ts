import { describe, expect, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { generate, generateText } from "../../lib/generate/index.js";
import { Batch, type Context } from "../../lib/engine/index.js";
import { tinyForFile } from "../support/file-model.js";
import { loadTiny, maxDifference, randomVector } from "../support/tiny-files.js";

const { space, model } = await tinyForFile();

async function withContext<T>(work: (context: Context) => Promise<T>): Promise<T> {
  using context = await model.createContext({ nCtx: 512, nSeqMax: 4 });
  return await work(context);
}

const long = (options = {}): Batch => {
  const batch = new Batch();
  for (let i = 0; i < 500; i++) batch.add(5, i, 0, i === 499 ? options : {});
  return batch;
};

describe("jobs that do not end as planned", () => {
  test("an abort that comes while the job is queued holds", () => withContext(async (context) => {
    for (let round = 0; round < 8; round++) {
      const abort = new AbortController();
      const decode = context.decode(long(), abort.signal);
      abort.abort();
      await expect(decode).rejects.toMatchObject({ code: "E_ABORTED" });
      context.kvClear();
    }
  }));

  test("a capture holds whole decodes only", () => withContext(async (context) => {
    const into = model.createCapture("head_out", [0, 1, 2], 1);
    const captured = { output: true, capture: { into, step: 0, weight: 1 } };
    await context.decode(long(captured));
    const clean = model.takeCapture(into);
    for (const delay of [0, 1, 2, 4]) {
      context.kvClear();
      const abort = new AbortController();
      setTimeout(() => abort.abort(), delay);
      const outcome = await context.decode(long(captured), abort.signal).then(() => "done", (error: { code: string }) => error.code);
      if (outcome === "done") break; // faster than the abort: its capture counts
    }
    context.kvClear();
    await context.decode(long(captured));
    const { sums, weights } = model.takeCapture(into);
    expect(maxDifference(sums.map((sum) => sum / weights[0]!), clean.sums)).toBeLessThan(1e-9);
  }));

  test("a capture that was taken starts again from nothing", () => withContext(async (context) => {
    const into = model.createCapture("head_out", [1], 1);
    await context.decode(long({ capture: { into, step: 0, weight: 1 } }));
    expect(model.takeCapture(into).weights[0]).toBe(1);
    expect(model.takeCapture(into).sums.every((sum) => sum === 0)).toBe(true);
  }));

  test("a worker thread that is ended while it works takes nobody with it", async () => {
    const index = new URL("../../lib/index.js", import.meta.url).href;
    const code = `
      const { Worker, isMainThread } = require("node:worker_threads");
      const work = 'import(' + JSON.stringify(${JSON.stringify(index)}) + ').then(async ({ loadModel }) => {'
        + 'const model = await loadModel(' + JSON.stringify(${JSON.stringify(model.info.path)}) + ', { threads: 1, vet: false });'
        + 'require("node:worker_threads").parentPort.postMessage("loaded");'
        + 'for (;;) await model.generate("abc", { maxNewTokens: 200 }).text(); });';
      (async () => {
        for (let i = 0; i < 3; i++) {
          const worker = new Worker(work, { eval: true });
          await new Promise((resolve) => worker.once("message", resolve));
          await new Promise((resolve) => setTimeout(resolve, 10));
          await worker.terminate();
        }
        console.log("alive");
      })();`;
    const { stdout } = await promisify(execFile)(process.execPath, ["-e", code]);
    expect(stdout.trim()).toBe("alive");
  });
});

describe("dispose at awkward moments", () => {
  test("in the middle of a generation", async () => {
    const { model: own } = await loadTiny(space, {}, 4);
    const steer = [{ vector: await randomVector(own, 1), schedule: { kind: "fixed" as const } }];
    const generation = generate(own, "abc", { steer, maxNewTokens: 50 });
    await generation.next();
    own.dispose();
    await expect(generation.next()).rejects.toMatchObject({ name: "SteeringError", code: "E_DISPOSED" });
  });

  test("while its context is being made", async () => {
    const { model: own } = await loadTiny(space, {}, 5);
    const generation = generateText(own, "abc", { maxNewTokens: 5 });
    own.dispose();
    await expect(generation).rejects.toMatchObject({ code: "E_DISPOSED" });
  });

  test("a generation that waits for room can be aborted, and the queue behind it goes on", async () => {
    const { model: own } = await loadTiny(space, { maxSequences: 1 }, 6);
    const first = generate(own, "abc", { maxNewTokens: 50 });
    await first.next();
    const abort = new AbortController();
    const second = generateText(own, "abc", { maxNewTokens: 3, signal: abort.signal });
    const third = generateText(own, "abc", { maxNewTokens: 3 });
    await new Promise(setImmediate);
    abort.abort();
    await expect(second).rejects.toMatchObject({ code: "E_ABORTED" });
    await first.return(undefined as never);
    expect((await third).tokens).toHaveLength(3);
    own.dispose();
  });
});

describe("arguments", () => {
  test.each([0, -1, 513, 2 ** 31 - 1, 1.5])("%p threads", async (threads) => {
    await expect(loadTiny(space, { threads })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
  });

  test("numbers that an Int32Array would bend", () => withContext(async (context) => {
    for (const token of [2 ** 32 + 70, 65.9, NaN]) expect(() => model.detokenise([token])).toThrow(expect.objectContaining({
      code: "E_BAD_ARGUMENT",
    }));
    const batch = new Batch();
    batch.add(5, 0.5, 0);
    await expect(context.decode(batch)).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
    const vector = await randomVector(model, 1);
    expect(() => model.vectorHandle({ ...vector, layers: [0, 0, 1] })).toThrow(expect.objectContaining({ code: "E_SHAPE" }));
    expect(() => model.vectorHandle({ ...vector, layers: [2, 1, 0] })).toThrow(expect.objectContaining({ code: "E_SHAPE" }));
  }));

  test("a tail that does not exist", async () => {
    const steer = [{ vector: await randomVector(model, 1), schedule: { kind: "fixed" as const }, tail: "Mean" as "mean" }];
    await expect(generateText(model, "abc", { steer })).rejects.toMatchObject({ code: "E_BAD_SPEC" });
  });
});

describe("what a generation reports", () => {
  test("alpha 0 where a vector has ended", async () => {
    const vector = await randomVector(model, 1, { nSteps: 2 });
    const { tokens } = await generateText(
      model, "abc", { maxNewTokens: 4, steer: [{ vector, schedule: { kind: "fixed", alpha: 1 }, tail: "stop" }] },
    );
    expect(tokens.map(({ readings }) => readings[0]!.alpha)).toEqual([1, 1, 0, 0]);
  });

  test("the texts of the tokens joined are the text, whatever a stop string holds back", async () => {
    const { text } = await generateText(model, "abc", { maxNewTokens: 12 });
    // A stop string that begins like the text's end but never comes: everything held back must still arrive.
    const stop = [`${text.slice(-4)}never`];
    let streamed = "";
    for await (const token of generate(model, "abc", { maxNewTokens: 12, stop })) streamed += token.text;
    expect(streamed).toBe(text);
  });
});

test("any number of generations listen to one signal: nothing is said, nothing is kept, all are stopped", async () => {
  const warnings: string[] = [];
  const listen = (warning: Error): void => { warnings.push(warning.name); };
  process.on("warning", listen);
  const abort = new AbortController();
  await Promise.all(Array.from({ length: 30 }, () => generateText(model, "steer", { maxNewTokens: 2, signal: abort.signal })));
  const all = Array.from({ length: 30 }, () => generateText(model, "steer", { maxNewTokens: 100, signal: abort.signal }));
  setImmediate(() => abort.abort());
  for (const outcome of await Promise.allSettled(all)) expect(outcome).toMatchObject({ status: "rejected", reason: { code: "E_ABORTED" } });
  await new Promise(setImmediate);
  process.off("warning", listen);
  expect(warnings).toEqual([]);
});
