import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadClassifier, type Classifier } from "../../lib/experiments.js";
import { loadModel } from "../../lib/index.js";
import { findPullable } from "../../lib/models/pull.js";
import { modelPath } from "../../lib/models/registry.js";
import { addon } from "../../lib/native/index.js";
import { packageRoot } from "#native/prebuilt";
import { readGguf } from "../support/gguf-reader.js";
import { ggufBytes } from "../support/gguf-writer.js";
import { encodeGguf, tinyModel } from "../support/tiny-model.js";
import { scratch } from "../support/tiny-files.js";

const GOLDEN = JSON.parse(readFileSync(join(packageRoot, "test", "golden", "tiny-formality.json"), "utf8")) as Array<{
  text: string; logits: number[]
}>;
const NAME = "tiny-formality";
const space = scratch();
let classifier: Classifier;

beforeAll(async () => {
  classifier = await loadClassifier(NAME, { threads: 1, vet: false });
});

afterAll(() => {
  classifier.dispose();
  space[Symbol.dispose]();
});

test("labels come from the file", () => expect(classifier.labels).toEqual(["formal", "informal"]));

test("logits are those of PyTorch, and the probabilities their softmax", async () => {
  const found = await classifier.classify(GOLDEN.map(({ text }) => text));
  for (const [i, { label, logits, probabilities }] of found.entries()) {
    const expected = GOLDEN[i]!.logits;
    logits.forEach((logit, k) => expect(Math.abs(logit - expected[k]!)).toBeLessThan(0.02));
    const formal = 1 / (1 + Math.exp(logits[1]! - logits[0]!));
    expect(probabilities["formal"]).toBeCloseTo(formal, 12);
    expect(probabilities["informal"]).toBeCloseTo(1 - formal, 12);
    expect(label).toBe(logits[0]! > logits[1]! ? "formal" : "informal");
  }
});

test("many texts at once are each as alone, in their order", async () => {
  const texts = Array.from({ length: 100 }, (_, i) => GOLDEN[i % GOLDEN.length]!.text);
  const [together, alone] = [
    await classifier.classify(texts), await Promise.all(texts.slice(0, 20).map(async (text) => (await classifier.classify([text]))[0]!)),
  ];
  expect(together).toHaveLength(100);
  alone.forEach(({ logits }, i) => logits.forEach((logit, k) => expect(Math.abs(logit - together[i]!.logits[k]!)).toBeLessThan(5e-3)));
});

test("no texts are no work", async () => expect(await classifier.classify([])).toEqual([]));

test("a text that is too long is named, and the classifier goes on", async () => {
  await expect(classifier.classify(["short", "word ".repeat(400)])).rejects.toMatchObject({
    code: "E_CONTEXT_FULL", message: expect.stringMatching(/^text 1 has \d+ tokens; the classifier takes 256: shorten or split it$/),
  });
  expect(await classifier.classify(["short"])).toHaveLength(1);
});

test.each([["a string"], [[3]], [["text", " "]], [undefined]])("texts of %j are refused", async (texts) => {
  await expect(classifier.classify(texts as string[])).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
});

test("a language model is no classifier, and a classifier no language model", async () => {
  const path = space.path("tiny.gguf");
  writeFileSync(path, encodeGguf(tinyModel(1)));
  await expect(loadClassifier(path, { vet: false })).rejects.toMatchObject({
    code: "E_BAD_GGUF", message: expect.stringContaining("no classification head"),
  });
  await expect(loadModel(modelPath(findPullable(NAME)), { vet: false })).rejects.toMatchObject({
    code: "E_BAD_GGUF", message: expect.stringContaining("not a causal language model"),
  });
});

test("a file whose texts would lack the mark that the head reads is refused", async () => {
  const { metadata, tensors } = readGguf(readFileSync(modelPath(findPullable(NAME))));
  expect(metadata["tokenizer.ggml.add_bos_token"]).toBe(true);
  const path = space.path("no-bos.gguf");
  writeFileSync(path, ggufBytes({ ...metadata, "tokenizer.ggml.add_bos_token": false }, tensors));
  await expect(loadClassifier(path, { vet: false })).rejects.toMatchObject({
    code: "E_BAD_GGUF", message: expect.stringContaining("tokenizer.json"),
  });
  writeFileSync(path, ggufBytes(metadata, tensors));
  using same = await loadClassifier(path, { vet: false });
  expect((await same.classify([GOLDEN[0]!.text]))[0]!.label).toBe((await classifier.classify([GOLDEN[0]!.text]))[0]!.label);
});

test("a disposed classifier refuses, and what was under way ends well", async () => {
  const own = await loadClassifier(NAME, { threads: 1, vet: false });
  const underWay = own.classify(GOLDEN.map(({ text }) => text));
  await new Promise(setImmediate);
  own.dispose();
  own.dispose();
  expect(await underWay).toHaveLength(GOLDEN.length);
  await expect(own.classify(["text"])).rejects.toMatchObject({ code: "E_DISPOSED" });
});

test("the addon refuses arguments of the wrong kind, and a second call while one is under way", async () => {
  const model = await addon().loadModel(modelPath(findPullable(NAME)), { nGpuLayers: 0, useMmap: true });
  const native = await model.createClassifier({ nThreads: 1 });
  expect(() => native.classify([1] as unknown as string[])).toThrow();
  expect(() => native.classify("text" as unknown as string[])).toThrow();
  const first = native.classify(["text"]);
  expect(() => native.classify(["text"])).toThrow(expect.objectContaining({ code: "E_BUSY" }));
  await first;
  native.dispose();
  model.dispose();
});

test("vetting tries a classifier too", async () => {
  process.env["LLAMA_STEER_HOME"] = space.path("home");
  (await loadClassifier(NAME, { threads: 1 })).dispose();
  const damaged = readFileSync(modelPath(findPullable(NAME))).subarray(0, 100_000);
  writeFileSync(space.path("damaged.gguf"), damaged);
  await expect(loadClassifier(space.path("damaged.gguf"))).rejects.toMatchObject({ code: "E_BAD_GGUF" });
}, 30_000);
