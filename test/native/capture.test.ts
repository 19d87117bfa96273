import { expect, test } from "@jest/globals";
import { readdirSync, readFileSync } from "node:fs";
import { extract, type Dataset, type PromptActivations } from "../../lib/index.js";
import { captureActivations, captureMeans } from "../../lib/capture/index.js";
import { generateText } from "../../lib/generate/index.js";
import { loadVector, saveVector } from "../../lib/vector/vector-file.js";
import { saveActivations } from "../../lib/capture/activation-file.js";
import { decodeSafetensors } from "../../lib/formats/safetensors.js";
import { Batch } from "../../lib/engine/index.js";
import { tinyForFile } from "../support/file-model.js";
import { forward } from "../support/reference-forward.js";
import { loadTiny, maxDifference, ON_DEVICE, tolerance } from "../support/tiny-files.js";
import type { IclOrigin } from "../../lib/vector/index.js";

const ROUNDING = tolerance(5e-5);
const N_STEPS = 5;
const { space, tiny, model } = await tinyForFile();

/** Weighted mean input of W_O at the rows that predict each greedy token, recomputing everything. */
function referenceMeans(prompts: Array<{ tokens: number[]; weight: number }>): Float64Array {
  const { nLayer, nEmbd } = tiny.shape;
  const means = new Float64Array(nLayer * N_STEPS * nEmbd);
  const weights = new Array<number>(N_STEPS).fill(0);
  for (const { tokens, weight } of prompts) {
    const sequence = [...tokens];
    for (let step = 0; step < N_STEPS; step++) {
      const { logits, headOut } = forward(tiny, sequence);
      headOut.forEach((layer, il) => layer.at(-1)!.forEach((value, i) => { means[(il * N_STEPS + step) * nEmbd + i]! += weight * value; }));
      weights[step]! += weight;
      const last = logits.at(-1)!;
      const next = last.indexOf(Math.max(...last));
      if (model.isEndOfGeneration(next)) break;
      sequence.push(next);
    }
  }
  return means.map((sum, i) => sum / weights[Math.floor(i / nEmbd) % N_STEPS]!);
}

test("means over prompts of different lengths and weights equal the reference", async () => {
  const prompts = ["a", "longer prompt", "mid one", "b c d", "more than fit side by side", "x"].map(
    (text, index) => ({ tokens: model.tokenise(text), weight: 1 + (index % 3) }),
  );
  const { means, nSteps } = await captureMeans(model, prompts, { site: "head_out", maxNewTokens: N_STEPS });
  expect(nSteps).toBe(N_STEPS);
  // On a device a close choice can make another next token: there the first step alone.
  const compared = (values: Float64Array): Float64Array => values.filter(
    (_, i) => !ON_DEVICE || Math.floor(i / tiny.shape.nEmbd) % N_STEPS === 0,
  );
  expect(maxDifference(compared(means), compared(referenceMeans(prompts)))).toBeLessThan(ROUNDING);
});

test("a prompt of weight 3 equals the same prompt three times", async () => {
  const [a, b] = ["one", "another"].map((text) => model.tokenise(text));
  const options = { site: "head_out", maxNewTokens: N_STEPS } as const;
  const weighted = await captureMeans(model, [{ tokens: a!, weight: 3 }, { tokens: b!, weight: 1 }], options);
  const repeated = await captureMeans(model, [a!, a!, b!, a!].map((tokens) => ({ tokens, weight: 1 })), options);
  expect(maxDifference(weighted.means, repeated.means)).toBeLessThan(ROUNDING);
});

test("prompts longer than a batch are fed in pieces", async () => {
  const prompts = ["p".repeat(200), "q".repeat(190), "r".repeat(180), "s".repeat(170)].map(
    (text) => ({ tokens: model.tokenise(text), weight: 1 }),
  );
  const together = await captureMeans(model, prompts, { site: "head_out", maxNewTokens: 2 });
  const alone = await Promise.all(prompts.map((prompt) => captureMeans(model, [prompt], { site: "head_out", maxNewTokens: 2 })));
  const mean = together.means.map((_, i) => alone.reduce((sum, { means }) => sum + means[i]!, 0) / alone.length);
  expect(maxDifference(together.means, mean)).toBeLessThan(ROUNDING);
});

const dataset = (name: string, outputs: string[]): Dataset =>
  ({ name, instruction: "", rows: Array.from({ length: 10 }, (_, i) => ({ input: `q${i}`, output: outputs[i % outputs.length]! })) });

test("a delta is a difference: opposite for swapped sides; the same side twice is refused, and so is a draw that is none", async () => {
  const options = { iclExamples: 1, support: 6, maxNewTokens: 3 };
  const [positive, negative] = [dataset("P", ["yes", "sure"]), dataset("N", ["no"])];
  const forth = await extract(model, { strength: false, ...options, positive, negative });
  const back = await extract(model, { strength: false, ...options, positive: negative, negative: positive });
  // Both sides share batches, in which the order of the rows changes the last digits.
  expect(maxDifference(back.data, forth.data.map((value) => -value))).toBeLessThan(ROUNDING);
  expect(forth.data.some((value) => Math.abs(value) > 0.01)).toBe(true);
  await expect(extract(model, { strength: false, ...options, positive, negative: { ...positive, name: "Q" } })).rejects.toMatchObject({
    code: "E_BAD_DATASET",
  });
  await expect(extract(model, { strength: false, ...options, positive, negative: "ENG" as unknown as Dataset })).rejects.toMatchObject({
    code: "E_BAD_DATASET", message: expect.stringContaining('negative: expected a dataset; to load it, use loadDataset("ENG")'),
  });
  await expect(extract(
    model, { strength: false, ...options, positive: { ...positive, rows: [{ input: "a" }] } as unknown as Dataset, negative: positive },
  )).rejects.toMatchObject({ code: "E_BAD_DATASET", message: expect.stringContaining("positive: expected a dataset") });
  const { support: _, ...given } = options;
  expect(
    (await extract(
      model, { strength: false, ...given, positive, negative, supportIndices: (forth.provenance.origin as IclOrigin).supportIndices },
    )).data,
  ).toEqual(forth.data);
  for (const supportIndices of [[], [-1], [0.5], [1000]]) {
    await expect(extract(model, { strength: false, ...given, positive, negative, supportIndices })).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT",
    });
  }
  await expect(extract(model, { strength: false, ...options, positive, negative, supportIndices: [0] })).rejects.toMatchObject({
    code: "E_BAD_ARGUMENT",
  });
});

test("extract, save, load and steer; a vector of another model is refused by name", async () => {
  const vector = await extract(
    model,
    { strength: false, positive: dataset("P", ["yes"]), negative: dataset("N", ["no"]), iclExamples: 1, support: 3, maxNewTokens: 3 },
  );
  const path = space.path("vector.safetensors");
  await saveVector(path, vector);
  const loaded = await loadVector(path);
  expect(loaded).toEqual(vector);
  const steer = [{ vector: loaded, schedule: { kind: "fixed" as const, alpha: 1 } }];
  const own = await generateText(model, "hi", { steer, maxNewTokens: 4 });
  expect(own.tokens).toHaveLength(4);

  const { model: stranger } = await loadTiny(space, {}, 2);
  await expect(generateText(stranger, "hi", { steer, maxNewTokens: 4 })).rejects.toMatchObject({
    code: "E_MODEL_MISMATCH", message: expect.stringContaining("fileHash"),
  });
  const forced = await generateText(stranger, "hi", { steer, maxNewTokens: 4, allowMismatch: true });
  expect(forced.tokens).toHaveLength(4);
  stranger.dispose();
});

test("raw activations are the ones whose mean is the mean, prompt by prompt, in order", async () => {
  const prompts = ["a", "longer prompt", "mid one", "b c d", "x", "one more", "and another", "last"].map((text) => model.tokenise(text));
  const options = { site: "resid_post", layers: [0, 2], maxNewTokens: 3 } as const;
  const records: PromptActivations[] = [];
  for await (const record of captureActivations(model, prompts, options)) records.push(record);
  expect(records.map(({ prompt }) => prompt)).toEqual(prompts.map((_, index) => index));
  const { means, nSteps, nLayer, width } = await captureMeans(model, prompts.map((tokens) => ({ tokens, weight: 1 })), options);
  expect([nLayer, width]).toEqual([2, tiny.shape.nEmbd]);
  for (const record of records) expect([record.layers, record.width, record.data.length]).toEqual([
    [0, 2], width, 2 * record.nSteps * width,
  ]);
  const running = records.filter((record) => record.nSteps === nSteps);
  expect(running.length).toBe(records.length); // none ends early, so that every step has the same weight
  const mean = means.map((_, i) => records.reduce((sum, { data }) => sum + data[i]!, 0) / records.length);
  expect(maxDifference(means, mean)).toBeLessThan(1e-6);
  const alone = await collect(captureActivations(model, [prompts[1]!], options));
  expect(maxDifference(alone[0]!.data, records[1]!.data)).toBeLessThan(ROUNDING);
});

test("activations are streamed to a file that any safetensors reader reads; a capture that fails leaves none", async () => {
  const prompts = Array.from({ length: 20 }, (_, i) => model.tokenise(`prompt ${i}`));
  const path = space.path("activations.safetensors");
  const source = { site: "attn_out" as const, nPrompts: prompts.length, model: await model.fingerprint() };
  expect(await saveActivations(path, captureActivations(model, prompts, { site: "attn_out", maxNewTokens: 2 }), source)).toBe(20);
  const { tensors, metadata } = decodeSafetensors(readFileSync(path), path);
  expect(metadata).toMatchObject({ hook_site: "attn_out", layer_base: "0", layers: "[0,1,2]" });
  expect([...tensors.keys()]).toEqual(prompts.map((_, i) => `prompt.${i}`));
  const [record] = await collect(captureActivations(model, [prompts[7]!], { site: "attn_out", maxNewTokens: 2 }));
  expect(tensors.get("prompt.7")!.shape).toEqual([3, 2, tiny.shape.nEmbd]);
  expect(maxDifference(tensors.get("prompt.7")!.data, record!.data)).toBeLessThan(ROUNDING);

  const abort = new AbortController();
  const failing = space.path("failing.safetensors");
  const records = captureActivations(model, prompts, { site: "attn_out", maxNewTokens: 2, signal: abort.signal });
  const aborted = saveActivations(
    failing, (async function* () { for await (const one of records) { yield one; abort.abort(); } })(), source,
  );
  await expect(aborted).rejects.toMatchObject({ code: "E_ABORTED" });
  expect(readdirSync(space.folder).filter((name) => name.startsWith("failing"))).toEqual([]);
});

test("rows without logits have no stream behind the last layer's attention", async () => {
  using context = await model.createContext({ nCtx: 64, nSeqMax: 1 });
  const batch = (site: "resid_post" | "attn_out"): Batch => {
    const rows = new Batch();
    rows.add(5, 0, 0, { capture: { into: model.createCapture(site, [2], 1), step: 0, weight: 1 } });
    return rows;
  };
  await expect(context.decode(batch("resid_post"))).rejects.toMatchObject({
    code: "E_SHAPE", message: expect.stringContaining("no logits"),
  });
  await context.decode(batch("attn_out"));
});

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

test("a token outside the vocabulary is refused before it meets the work of others", async () => {
  const other = model.generate("steer", { maxNewTokens: 8 }).result();
  await expect(model.capture([[1, 2, 999_999]], { site: "head_out", maxNewTokens: 2 }).next()).rejects.toMatchObject({
    code: "E_BAD_TOKEN",
  });
  expect((await other).tokens.length).toBeGreaterThan(0);
  await expect((async () =>
    model.capture("steer" as unknown as string[], { site: "head_out", maxNewTokens: 2 }).next())()).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT",
    });
});
