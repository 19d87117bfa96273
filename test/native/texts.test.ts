import { expect, jest, test } from "@jest/globals";
import { writeFileSync } from "node:fs";
import type { PromptedText } from "../../lib/experiments.js";
import { loadModel } from "../../lib/index.js";
import { captureActivations, captureTexts } from "../../lib/capture/index.js";
import { generateText } from "../../lib/generate/index.js";
import { Context } from "../../lib/engine/index.js";
import { tinyForFile } from "../support/file-model.js";
import { collectTexts, promptedText, SHARING } from "../support/prompted-texts.js";
import { forward } from "../support/reference-forward.js";
import { loadTiny, maxDifference, randomVector, tolerance } from "../support/tiny-files.js";
import { encodeGguf } from "../support/tiny-model.js";

/** Single precision against double, over three layers. */
const ROUNDING = tolerance(5e-5);
const { space, tiny, model } = await tinyForFile();
const text = (prompt: string, answer: string): PromptedText => promptedText(model, prompt, answer);

/** Mean input of W_O over the answer's positions, per layer, from the forward pass in double precision. */
function reference({ prompt, answer }: PromptedText): Float64Array {
  const { nLayer, nEmbd } = tiny.shape;
  const means = new Float64Array(nLayer * nEmbd);
  forward(tiny, [...prompt, ...answer]).headOut.forEach((layer, il) => layer.slice(prompt.length)
    .forEach((row) => row.forEach((value, i) => {
    means[il * nEmbd + i]! += value / answer.length;
  })));
  return means;
}

test("means over the answer's rows equal the reference, with prompts in common and without", async () => {
  const texts = SHARING.map(([prompt, answer]) => text(prompt, answer));
  const found = await collectTexts(model, texts);
  expect(found.map((one) => [one.text, one.layers, one.width, one.nRows])).toEqual(texts.map(
    ({ answer }, i) => [i, [0, 1, 2], tiny.shape.nEmbd, answer.length],
  ));
  found.forEach(({ means }, i) => expect(maxDifference(means, reference(texts[i]!))).toBeLessThan(ROUNDING));
});

test("more texts than sequences, in any order: each as if it were alone", async () => {
  const texts = Array.from({ length: 60 }, (_, i) => text(`question ${i % 7}`, `answer ${"n".repeat(i % 11)} ${i}`));
  const together = await collectTexts(model, texts);
  expect(together.map((one) => one.text)).toEqual(texts.map((_, i) => i));
  for (const i of [0, 7, 14, 30, 59]) {
    const [alone] = await collectTexts(model, [texts[i]!]);
    expect(maxDifference(alone!.means, together[i]!.means)).toBeLessThan(ROUNDING);
  }
});

test("rows are shared only up to the first that is captured, even where an answer begins like another text's prompt", async () => {
  const [whole, begun] = [text("a long question indeed", "x"), text("a long ", "question indeed")];
  for (const texts of [[whole, begun], [begun, whole], [begun, begun]]) {
    const found = await collectTexts(model, texts);
    found.forEach(({ means }, i) => expect(maxDifference(means, reference(texts[i]!))).toBeLessThan(ROUNDING));
  }
});

test("every row is computed once, a prompt in common once for all, and none with logits", async () => {
  const answers = ["yes", "no, not at all", "y", "maybe", "not now"];
  const texts = answers.map((answer) => text("a question that is not short", answer));
  const decode = jest.spyOn(Context.prototype, "decode");
  await collectTexts(model, texts);
  const batches = decode.mock.calls.map(([batch]) => batch.toNative());
  decode.mockRestore();
  expect(batches.reduce((sum, { tokens }) => sum + tokens.length, 0)).toBe(
    texts[0]!.prompt.length + texts.reduce((sum, { answer }) => sum + answer.length, 0),
  );
  expect(batches.length).toBe(2); // the first text, then the others behind its prompt
  expect(batches.every(({ outputs, samples }) => samples === undefined && outputs.every((output) => output === 0))).toBe(true);
});

test("answers that are fed in several pieces, and a text as long as the context", async () => {
  const texts = ["a", "b", "c", "d"].map((letter) => text("question", letter.repeat(180)));
  const found = await collectTexts(model, texts);
  found.forEach(({ means }, i) => expect(maxDifference(means, reference(texts[i]!))).toBeLessThan(ROUNDING));
  const [{ prompt, answer }] = texts as [PromptedText];
  const full: PromptedText = { prompt, answer: new Array<number>(model.info.nCtxTrain - prompt.length).fill(answer[0]!) };
  expect((await collectTexts(model, [full]))[0]!.nRows).toBe(full.answer.length);
  await expect(collectTexts(model, [{ ...full, answer: [...full.answer, 1] }])).rejects.toMatchObject({ code: "E_CONTEXT_FULL" });
});

test("the mean is that of the single rows, which captureActivations gives, at every site that has them", async () => {
  const one = text("a question", "an answer");
  for (const site of ["attn_out", "mlp_out", "resid_mid", "resid_post"] as const) {
    const [found] = await collectTexts(model, [one], { site });
    expect(found!.layers).toEqual(site === "attn_out" ? [0, 1, 2] : [0, 1]);
    const prefixes = one.answer.map((_, i) => [...one.prompt, ...one.answer.slice(0, i + 1)]);
    const mean = new Float64Array(found!.means.length);
    for await (const { data } of captureActivations(model, prefixes, { site, layers: found!.layers, maxNewTokens: 1 })) data.forEach(
      (value, i) => { mean[i]! += value / prefixes.length; },
    );
    expect(maxDifference(found!.means, mean)).toBeLessThan(ROUNDING);
  }
});

test("beside steered generations: both as if they were alone", async () => {
  const steer = [{ vector: await randomVector(model, 3), schedule: { kind: "dynamic" as const } }];
  const texts = Array.from({ length: 20 }, (_, i) => text("a question", `answer ${i}`));
  const prompt = model.tokenise("a question");
  const alone = await generateText(model, prompt, { steer, maxNewTokens: 12 });
  const [beside, found] = await Promise.all([generateText(model, prompt, { steer, maxNewTokens: 12 }), collectTexts(model, texts)]);
  expect(beside.tokens.map(({ token }) => token)).toEqual(alone.tokens.map(({ token }) => token));
  found.forEach(({ means }, i) => expect(maxDifference(means, reference(texts[i]!))).toBeLessThan(ROUNDING));
});

test("what cannot be read is refused, and harms nobody else", async () => {
  const good = text("a question", "yes");
  const others = collectTexts(model, [good, good]);
  await expect(collectTexts(model, [good], { site: "resid_post", layers: [1, 2] })).rejects.toMatchObject({
    code: "E_SHAPE", message: expect.stringContaining("last layer (2)"),
  });
  await expect(collectTexts(model, [good], { layers: [3] })).rejects.toMatchObject({ code: "E_SHAPE" });
  await expect(collectTexts(model, [good], { layers: [] })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
  await expect(collectTexts(model, [good, { ...good, answer: [] }])).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
  await expect(collectTexts(model, [good, { ...good, answer: [1e6] }])).rejects.toMatchObject({ code: "E_BAD_TOKEN" });
  expect((await others).map(({ nRows }) => nRows)).toEqual([good.answer.length, good.answer.length]);
});

test("an abort ends it; the model goes on", async () => {
  const texts = Array.from({ length: 50 }, (_, i) => text("a question", `answer ${i}`));
  const abort = new AbortController();
  await expect(collectTexts(model, texts, { signal: abort.signal, onProgress: () => abort.abort() })).rejects.toMatchObject(
    { code: "E_ABORTED" },
  );
  await expect(collectTexts(model, texts, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "E_ABORTED" });
  expect(maxDifference((await collectTexts(model, [texts[3]!]))[0]!.means, reference(texts[3]!))).toBeLessThan(ROUNDING);
  for await (const _ of captureTexts(model, texts, { site: "head_out" })) break;
  expect((await collectTexts(model, texts)).length).toBe(50);
});

test("weights that are broken are E_NOT_FINITE, not means", async () => {
  const broken = await loadTiny(space, {}, 9);
  broken.model.dispose();
  broken.tiny.weights.get("blk.0.ffn_down.weight")!.data[0] = NaN;
  writeFileSync(space.path("broken.gguf"), encodeGguf(broken.tiny));
  await using stranger = await loadModel(space.path("broken.gguf"), { threads: 1, gpuLayers: 0, vet: false });
  await expect(collectTexts(stranger, [promptedText(stranger, "a question", "yes")], { site: "resid_post" })).rejects.toMatchObject({
    code: "E_NOT_FINITE",
  });
});
