import { expect, test } from "@jest/globals";
import { writeFileSync } from "node:fs";
import { loadModel, type LoadModelOptions, type RopeScaling } from "../../lib/index.js";
import { generateText } from "../../lib/generate/index.js";
import { tinyForFile } from "../support/file-model.js";
import { loadTiny, maxDifference } from "../support/tiny-files.js";
import { Batch, type Engine } from "../../lib/engine/index.js";
import { architectureMetadata, architectureShape, architectureTensors } from "../support/tiny-architectures.js";
import { ggufBytes } from "../support/gguf-writer.js";

const { space, model: plain } = await tinyForFile();

const trained = plain.info.nCtxTrain;

const load = (ropeScaling: RopeScaling, options: LoadModelOptions = {}): Promise<Engine> =>
  loadTiny(space, { ropeScaling, ...options }).then(({ model }) => model);

/** Logits after a prompt of 24 tokens. */
async function logits(model: Engine): Promise<Float32Array> {
  using context = await model.createContext({ nCtx: 512, nSeqMax: 1 });
  const batch = new Batch();
  for (let i = 0; i < 24; i++) batch.add(1 + (7 * i) % 20, i, 0, { output: i === 23 });
  await context.decode(batch);
  return context.logits(23);
}

test("without it, the context is the file's; with it, so many times as long, and an answer goes on beyond", async () => {
  const prompt = Array.from({ length: trained }, (_, i) => 1 + i % 20);
  await expect(generateText(plain, prompt, { maxNewTokens: 4 })).rejects.toMatchObject({
    code: "E_CONTEXT_FULL", message: expect.stringContaining("ropeScaling"),
  });
  for (const kind of ["yarn", "linear"] as const) {
    using model = await load({ kind, factor: 2 });
    expect(model.maxContext).toBe(2 * trained);
    expect((await generateText(model, prompt, { maxNewTokens: 4 })).tokens).toHaveLength(4);
    await expect(generateText(model, [...prompt, ...prompt], { maxNewTokens: 4 })).rejects.toMatchObject({ code: "E_CONTEXT_FULL" });
  }
});

test("factor 1 changes nothing; YaRN is neither linear nor nothing, and depends on the context that it scales", async () => {
  const usual = await logits(plain);
  for (const kind of ["yarn", "linear"] as const) {
    using same = await load({ kind, factor: 1 });
    expect(maxDifference(await logits(same), usual)).toBeLessThan(1e-5);
  }
  using linear = await load({ kind: "linear", factor: 4 });
  using yarn = await load({ kind: "yarn", factor: 4 });
  using other = await load({ kind: "yarn", factor: 4, originalContext: 16 });
  const [a, b, c] = [await logits(linear), await logits(yarn), await logits(other)];
  expect(Math.min(maxDifference(a, b), maxDifference(b, c), maxDifference(a, usual), maxDifference(b, usual))).toBeGreaterThan(1e-4);
  expect(other.maxContext).toBe(64);
});

test.each(["yarn", "linear"] as const)("%s: a file that says it itself gives the same as one that is told", async (kind) => {
  const shape = architectureShape("llama");
  const metadata = architectureMetadata("llama", shape, false);
  const files = {
    says: {
      ...metadata, "llama.rope.scaling.type": kind, "llama.rope.scaling.factor": { f32: 2.5 },
      "llama.rope.scaling.original_context_length": 64,
    },
    nothing: metadata,
  };
  for (const [name, keys] of Object.entries(files)) writeFileSync(
    space.path(`${name}.gguf`), ggufBytes(keys, architectureTensors("llama", {}, shape)),
  );
  const options = { threads: 1, gpuLayers: 0, vet: false, flashAttention: false, kvType: "f32" } as const;
  using says = await loadModel(space.path("says.gguf"), options);
  using untold = await loadModel(space.path("nothing.gguf"), options);
  using told = await loadModel(space.path("nothing.gguf"), { ...options, ropeScaling: { kind, factor: 2.5, originalContext: 64 } });
  const expected = await logits(says);
  expect(maxDifference(await logits(told), expected)).toBeLessThan(1e-6);
  expect(maxDifference(await logits(untold), expected)).toBeGreaterThan(1e-4);
});

test.each([
  { kind: "longrope", factor: 2 }, { kind: "yarn", factor: 0.5 }, { kind: "yarn", factor: NaN }, { kind: "linear", factor: 1e9 },
  { kind: "yarn", factor: 2, originalContext: 0 },
])("%j is refused", async (scaling) => {
  await expect(load(scaling as RopeScaling)).rejects.toMatchObject({
    code: "E_BAD_ARGUMENT", message: expect.stringContaining("ropeScaling"),
  });
});
