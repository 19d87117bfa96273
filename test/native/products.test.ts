import { rmSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { afterAll, expect, test } from "@jest/globals";
import type { Model, VectorData } from "../../lib/index.js";
import { Batch, type Context } from "../../lib/engine/index.js";
import { loadArchitecture, randomVector, scratch } from "../support/tiny-files.js";

const space = scratch();
afterAll(() => space[Symbol.dispose]());

/** One steered decode at head_out: on the graph path, it needs W_O's products of the vector. */
async function steer(model: Model, context: Context, vector: VectorData): Promise<number> {
  context.kvClear();
  const batch = new Batch();
  batch.add(70, 0, 0, { output: true, terms: [{ vector: model.vectorHandle(vector), step: 0, alpha: 1 }] });
  await context.decode(batch);
  return context.logits(0).length;
}

/** What a decode gives whose vector was made this long before the model's file, of which W_O is read, was removed. */
async function steerWithoutFile(seed: number, milliseconds: number): Promise<{ nLogits: number | Error; late: unknown }> {
  const model = await loadArchitecture(space, "llama", { seed, steeringPath: "graph" });
  using context = await model.createContext({ nCtx: 32, nSeqMax: 1 });
  const [first, early, late] = await Promise.all([1, 2, 3].map((each) => randomVector(model, each, { site: "head_out" })));
  await steer(model, context, first!);
  model.vectorHandle(early!);
  await setTimeout(milliseconds);
  rmSync(model.info.path);
  const result = {
    nLogits: await steer(model, context, early!).catch((error: Error) => error),
    late: await steer(model, context, late!).catch((error: Error) => error),
  };
  model.dispose();
  return result;
}

test("a vector's products with W_O are computed when the vector is made, before any decode needs them", async () => {
  let result = await steerWithoutFile(1, 100);
  for (const [index, longer] of [1000, 10_000].entries()) if (result.nLogits instanceof Error) result = await steerWithoutFile(index
    + 2, longer);
  expect(result).toEqual({ nLogits: expect.any(Number), late: expect.objectContaining({ code: "E_BAD_GGUF" }) });
}, 60_000);

test("products that fail do so in every decode that needs them, and in no other", async () => {
  const model = await loadArchitecture(space, "llama", { seed: 9, steeringPath: "graph" });
  using context = await model.createContext({ nCtx: 32, nSeqMax: 1 });
  const [whole, broken] = await Promise.all([1, 2].map((each) => randomVector(model, each, { site: "head_out" })));
  const nLogits = await steer(model, context, whole!);
  rmSync(model.info.path);
  for (let turn = 0; turn < 2; turn++) {
    await expect(steer(model, context, broken!)).rejects.toMatchObject({
      code: "E_BAD_GGUF", message: expect.stringContaining(model.info.path),
    });
    expect(await steer(model, context, whole!)).toBe(nLogits);
  }
  model.dispose();
});
