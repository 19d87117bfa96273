import { afterAll, describe, expect, test } from "@jest/globals";
import { readFileSync, writeFileSync } from "node:fs";
import { loadClassifier, loadEmbedder } from "../../lib/experiments.js";
import { findPullable } from "../../lib/models/pull.js";
import { modelPath } from "../../lib/models/registry.js";
import { addon, type NativeEmbedder } from "../../lib/native/index.js";
import { readGguf } from "../support/gguf-reader.js";
import { ggufBytes, type Metadata, type Tensor } from "../support/gguf-writer.js";
import { architectureGguf } from "../support/tiny-architectures.js";
import { scratch } from "../support/tiny-files.js";

const space = scratch();
afterAll(() => space[Symbol.dispose]());
const [MEAN, CLS, LAST, RANK] = [1, 2, 3, 4];
const TEXTS = ["Hello", "What is honey made of?", "Bees make it from nectar, and keep it for the winter."];
const encoder = readGguf(readFileSync(modelPath(findPullable("tiny-formality"))));
const causal = readGguf(architectureGguf("llama"));
causal.metadata["tokenizer.ggml.add_space_prefix"] = false;
const { "bert.pooling_type": _, ...undeclared } = encoder.metadata;

/** A file like the one that was read, with more metadata. */
function file(name: string, { metadata, tensors }: { metadata: Metadata; tensors: Tensor[] }, more: Metadata): string {
  const path = space.path(`${name}.gguf`);
  writeFileSync(path, ggufBytes({ ...metadata, ...more }, tensors));
  return path;
}

/** Vectors as the native side gives them, not normalised. */
async function vectorsOf(path: string, texts: readonly string[]): Promise<number[][]> {
  const model = await addon().loadModel(path, { nGpuLayers: 0, useMmap: true });
  const embedder: NativeEmbedder = await model.createEmbedder({ nThreads: 1 });
  model.dispose();
  const [{ width }, all] = [embedder.info(), await embedder.embed(texts)];
  embedder.dispose();
  return texts.map((_, index) => Array.from(all.subarray(index * width, (index + 1) * width)));
}

describe("an encoder", () => {
  const cls = file("cls", encoder, { "bert.pooling_type": CLS });
  const mean = file("mean", encoder, { "bert.pooling_type": MEAN });

  test("pooled by its first token, it gives what a classifier's head makes the same file's logits of", async () => {
    const of = (name: string): Float32Array => encoder.tensors.find((tensor) => tensor.name === name)!.data;
    const times = (matrix: Float32Array, vector: readonly number[], bias: Float32Array): number[] => Array.from(bias, (start, row) =>
      vector.reduce((sum, value, column) => sum + matrix[row * vector.length + column]! * value, start));
    const vectors = await vectorsOf(cls, TEXTS);
    using classifier = await loadClassifier("tiny-formality", { threads: 1, vet: false });
    const expected = await classifier.classify(TEXTS);
    vectors.forEach((vector, index) => {
      const logits = times(of("cls.output.weight"), vector, of("cls.output.bias"));
      logits.forEach((logit, label) => expect(Math.abs(logit - expected[index]!.logits[label]!)).toBeLessThan(0.02)); // F16 weights
    });
  });

  test("texts at once are each as alone, of length 1, and differ by their pooling", async () => {
    using embedder = await loadEmbedder(mean, { threads: 1, vet: false });
    expect([embedder.pooling, embedder.width]).toEqual(["mean", encoder.metadata["bert.embedding_length"]]);
    const together = await embedder.embed(TEXTS);
    for (const [index, vector] of together.entries()) {
      expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
      const [alone] = await embedder.embed([TEXTS[index]!]);
      expect(cosine(alone!, vector)).toBeGreaterThan(0.9999);
    }
    expect(cosine(together[0]!, together[1]!)).toBeLessThan(0.99);
    using first = await loadEmbedder(cls, { threads: 1, vet: false });
    expect(cosine((await first.embed(TEXTS))[2]!, together[2]!)).toBeLessThan(0.99);
  });

  test("a text that is too long is named; a disposed model refuses", async () => {
    const embedder = await loadEmbedder(mean, { threads: 1, vet: false });
    await expect(embedder.embed(["short", "word ".repeat(400)])).rejects.toMatchObject({
      code: "E_CONTEXT_FULL", message: expect.stringMatching(/^text 1 has \d+ tokens; the embedding model takes 256/),
    });
    await expect(embedder.embed("short" as never)).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
    await expect(embedder.embed([" "])).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
    embedder.dispose();
    await expect(embedder.embed(["short"])).rejects.toMatchObject({ code: "E_DISPOSED" });
  });
});

describe("a causal model", () => {
  const path = (pooling: number): string => file(`causal-${pooling}`, causal, { "llama.pooling_type": pooling });
  const text = "bees";

  test("its mean is that of the last tokens of all beginnings, since every token sees those before it", async () => {
    const beginnings = Array.from(text, (_, index) => text.slice(0, index + 1)); // one byte, one token
    const [whole] = await vectorsOf(path(MEAN), [text]);
    const lasts = await vectorsOf(path(LAST), beginnings);
    const first = await vectorsOf(path(CLS), [text]); // the mark before the text
    const rows = [first[0]!, ...lasts];
    whole!.forEach((value, index) => {
      const expected = rows.reduce((sum, row) => sum + row[index]!, 0) / rows.length;
      expect(Math.abs(value - expected)).toBeLessThan(1e-3);
    });
  });

  test("batch after batch, nothing of earlier texts is left", async () => {
    using embedder = await loadEmbedder(path(LAST), { threads: 1, vet: false });
    const before = await embedder.embed([text]);
    await embedder.embed(["something else", "and more"]);
    expect(await embedder.embed([text])).toEqual(before);
  });
});

test.each<[string, Metadata, string]>([
  ["none declared", {}, "declares no pooling (bert.pooling_type)"],
  ["none", { "bert.pooling_type": 0 }, "declares no pooling"],
  ["rank", { "bert.pooling_type": RANK }, "scores pairs of texts"],
  ["unknown", { "bert.pooling_type": 9 }, "bert.pooling_type is 9"],
  ["no mark to read", { "bert.pooling_type": CLS, "tokenizer.ggml.add_bos_token": false }, "tokenizer.json"],
])("pooling %s is refused", async (name, metadata, reason) => {
  const path = file(`refused-${name.replaceAll(" ", "-")}`, { ...encoder, metadata: undeclared as Metadata }, metadata);
  await expect(loadEmbedder(path, { vet: false })).rejects.toMatchObject({ code: "E_BAD_GGUF", message: expect.stringContaining(reason) });
});

test("vetting tries an embedding model, too", async () => {
  process.env["LLAMA_STEER_HOME"] = space.path("home");
  using embedder = await loadEmbedder(space.path("mean.gguf"), { threads: 1 });
  expect(await embedder.embed(TEXTS)).toHaveLength(TEXTS.length);
}, 30_000);

function cosine(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, index) => sum + value * b[index]!, 0);
}
