import { describe, expect, jest, test } from "@jest/globals";
import type { PromptedText } from "../../lib/experiments.js";
import type { Dataset, ExtractPairsOptions, HookSite, Pooling, SteeringVector } from "../../lib/index.js";
import { extractPairs, POOLINGS } from "../../lib/extract/pairs.js";
import { loadVector } from "../../lib/vector/vector-file.js";
import { PAIR_METHODS } from "../../lib/vector/index.js";
import { extractWithin } from "../../lib/extract/pairs.js";
import { Context } from "../../lib/engine/index.js";
import { tinyForFile } from "../support/file-model.js";
import { collectTexts, promptedText, SHARING } from "../support/prompted-texts.js";
import { forward } from "../support/reference-forward.js";
import { maxDifference, tolerance } from "../support/tiny-files.js";

/** Single precision against double, over three layers. */
const ROUNDING = tolerance(5e-5);
const { space, tiny, model } = await tinyForFile();
const text = (prompt: string, answer: string): PromptedText => promptedText(model, prompt, answer);

type ReadSite = Extract<HookSite, "head_out" | "resid_post">;
const LAYERS: Record<ReadSite, number[]> = { head_out: [0, 1, 2], resid_post: [0, 1] };

/** Rows of a text `[layer][step][width]`, from the forward pass in double precision over the whole of it. */
function reference({ prompt, answer }: PromptedText, site: ReadSite, pooling: Pooling, maxSteps = Infinity): Float64Array[][] {
  const { headOut, residPost } = forward(tiny, [...prompt, ...answer]);
  return LAYERS[site].map((layer) => {
    const rows = { head_out: headOut, resid_post: residPost }[site][layer]!;
    if (pooling === "last") return [rows.at(-1)!];
    if (pooling === "step") return rows.slice(prompt.length - 1, -1).slice(0, maxSteps); // the row before each of the answer's tokens
    const own = rows.slice(prompt.length);
    return [own[0]!.map((_, j) => own.reduce((sum, row) => sum + row[j]! / own.length, 0))];
  });
}

const flat = (rows: Float64Array[][]): number[] => rows.flat().flatMap((row) => [...row]);

describe.each(["head_out", "resid_post"] as const)("rows of texts at %s", (site) => {
  test.each(POOLINGS)("%s: those of the reference, with prompts in common and without", async (pooling) => {
    const texts = SHARING.map(([prompt, answer]) => text(prompt, answer));
    const found = await collectTexts(model, texts, { site, pooling });
    found.forEach(({ means, layers, width, nRows, nSteps }, i) => {
      const { length } = texts[i]!.answer;
      expect({ layers, width, nRows, nSteps }).toEqual({
        layers: LAYERS[site], width: tiny.shape.nEmbd, nRows: pooling === "mean" ? length : 1, nSteps: pooling === "step" ? length : 1,
      });
      expect(maxDifference(means, flat(reference(texts[i]!, site, pooling)))).toBeLessThan(ROUNDING);
    });
  });

  test("step: at most so many, and nothing behind the last of them is computed", async () => {
    const texts = ["yes", "no, not at all", "maybe"].map((answer) => text("a question that is not short", answer));
    const decode = jest.spyOn(Context.prototype, "decode");
    const found = await collectTexts(model, texts, { site, pooling: "step", maxSteps: 3 });
    const rows = decode.mock.calls.reduce((sum, [batch]) => sum + batch.size, 0);
    decode.mockRestore();
    // The first text whole; of the others the prompt's last token and two of the answer.
    expect(rows).toBe(texts[0]!.prompt.length + 2 + 2 * 3);
    found.forEach(({ means, nSteps }, i) => {
      expect(nSteps).toBe(3);
      expect(maxDifference(means, flat(reference(texts[i]!, site, "step", 3)))).toBeLessThan(ROUNDING);
    });
  });
});

test.each(["last", "step"] as const)("%s: more texts than sequences, in any order, each as if it were alone", async (pooling) => {
  const texts = Array.from({ length: 60 }, (_, i) => text(`question ${i % 7}`, `answer ${"n".repeat(i % 11)} ${i}`));
  const together = await collectTexts(model, texts, { pooling });
  expect(together.map((one) => one.text)).toEqual(texts.map((_, i) => i));
  for (const i of [0, 7, 14, 30, 59]) {
    const [alone] = await collectTexts(model, [texts[i]!], { pooling });
    expect(maxDifference(alone!.means, together[i]!.means)).toBeLessThan(ROUNDING);
  }
});

test("step: a text that another one begins with, whose cells it could take, is read where it ends all the same", async () => {
  const [whole, begun] = [text("a long question indeed", "x"), text("a long ", "question indeed")];
  for (const texts of [[whole, begun], [begun, whole], [begun, begun]]) {
    for (const pooling of ["last", "step"] as const) {
      const found = await collectTexts(model, texts, { pooling });
      found.forEach(({ means }, i) => expect(maxDifference(means, flat(reference(texts[i]!, "head_out", pooling)))).toBeLessThan(ROUNDING));
    }
  }
});

test("a text without a prompt has rows, but none that predicts its first token", async () => {
  const whole = text("a question", "yes");
  const bare = { prompt: [], answer: [...whole.prompt, ...whole.answer] };
  for (const pooling of ["mean", "last"] as const) {
    const [found] = await collectTexts(model, [bare], { pooling });
    expect(maxDifference(found!.means, flat(reference(bare, "head_out", pooling)))).toBeLessThan(ROUNDING);
  }
  await expect(collectTexts(model, [bare], { pooling: "step" })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
  for (const options of [{ maxSteps: 3 }, { pooling: "step", maxSteps: 0 }, { pooling: "step", maxSteps: 1.5 }] as const) await expect(
    collectTexts(model, [whole], options),
  ).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
});

const dataset = (name: string, answers: Array<[string, string]>): Dataset => ({
  name, instruction: "", rows: answers.map(([input, output]) => ({ input, output })),
});
const QUESTIONS = ["what is it?", "who goes there", "when?", "how far is it now", "why", "where to", "which one of them"];
const POSITIVE = dataset("yes", QUESTIONS.map((question, i) => [question, `y${"e".repeat(2 * (i % 4))}s${i}`]));
const NEGATIVE = dataset("no", QUESTIONS.map((question, i) => [question, `no, not ${i * 7} at all`]));

const extracted = (options: Partial<ExtractPairsOptions> = {}): Promise<SteeringVector> => extractPairs(
  model, { positive: POSITIVE, negative: NEGATIVE, site: "head_out", ...options },
);

/** Texts of a side, as the prompt `question` has them. */
const texts = ({ rows }: Dataset): PromptedText[] => rows.map(({ input, output }) => text(`Q:${input}\nA:`, output));

describe.each(["head_out", "resid_post"] as const)("vectors of pairs at %s", (site) => {
  test.each(["mean", "last"] as const)("mean difference of %s rows: that of the reference", async (pooling) => {
    const vector = await extracted({ site, pooling });
    const means = [POSITIVE, NEGATIVE].map((side) => {
      const rows = texts(side).map((one) => flat(reference(one, site, pooling)));
      return rows[0]!.map((_, j) => rows.reduce((sum, row) => sum + row[j]!, 0) / rows.length);
    });
    expect({ site: vector.site, layers: vector.layers, nSteps: vector.nSteps, width: vector.width }).toEqual({
      site, layers: LAYERS[site], nSteps: 1, width: tiny.shape.nEmbd,
    });
    expect(maxDifference(vector.data, means[0]!.map((value, j) => value - means[1]![j]!))).toBeLessThan(ROUNDING);
  });

  test("mean difference per step: that of the reference over the pairs that reach it; nothing at the first", async () => {
    const vector = await extracted({ site, pooling: "step", maxNewTokens: 12 });
    const sides = [POSITIVE, NEGATIVE].map((side) => texts(side).map((one) => reference(one, site, "step", 12)));
    const steps = QUESTIONS.map((_, i) => Math.min(...sides.map((side) => side[i]![0]!.length)));
    expect(Math.max(...steps)).toBeGreaterThan(Math.min(...steps)); // or it would not matter who reaches a step
    expect(vector.nSteps).toBe(Math.max(...steps));
    const wanted = LAYERS[site].flatMap((_, layer) => Array.from({ length: vector.nSteps }, (_unused, step) => {
      const reaching = steps.flatMap((n, i) => (n > step ? [i] : []));
      return Array.from(
        { length: vector.width },
        (_one, j) => reaching.reduce(
          (sum, i) => sum + (sides[0]![i]![layer]![step]![j]! - sides[1]![i]![layer]![step]![j]!) / reaching.length, 0,
        ),
      );
    }));
    expect(maxDifference(vector.data, wanted.flat())).toBeLessThan(ROUNDING);
    for (const norms of vector.norms()) expect(norms[0]).toBe(0);
  });
});

describe.each(PAIR_METHODS)("%s", (method) => {
  test.each(POOLINGS)("of %s rows: datasets that are swapped turn it round", async (pooling) => {
    const [forth, back] = [
      await extracted({ method, pooling }), await extracted({ method, pooling, positive: NEGATIVE, negative: POSITIVE }),
    ];
    expect(Math.max(...forth.data)).toBeGreaterThan(100 * ROUNDING);
    expect(maxDifference(back.data, forth.data.map((value) => -value))).toBeLessThan(ROUNDING * 10); // through the inverse of a penalty
  });

  test("layers in several passes: as in one", async () => {
    const [one, several] = [
      await extracted({ method, pooling: "step" }),
      await extractWithin(model, { positive: POSITIVE, negative: NEGATIVE, site: "head_out", method, pooling: "step" }, 1),
    ];
    expect(several.layers).toEqual([0, 1, 2]);
    expect(maxDifference(several.data, one.data)).toBeLessThan(ROUNDING);
  });

  test("rows without a partner, and the order of rows, change nothing", async () => {
    const negative = { ...NEGATIVE, rows: [{ input: "alone", output: "nobody asks" }, ...[...NEGATIVE.rows].reverse()] };
    expect(maxDifference((await extracted({ method, negative })).data, (await extracted({ method })).data)).toBeLessThan(ROUNDING);
  });
});

test("the answers alone: behind BOS, without the question", async () => {
  const vector = await extracted({ format: "raw", pooling: "last" });
  const means = [POSITIVE, NEGATIVE].map(({ rows }) => rows.map(({ output }) => flat(reference(text("", output), "head_out", "last"))));
  const wanted = means[0]![0]!.map((_, j) => means[0]!.reduce((sum, row, i) => sum + (row[j]! - means[1]![i]![j]!) / QUESTIONS.length, 0));
  expect(maxDifference(vector.data, wanted)).toBeLessThan(ROUNDING);
});

test("a draw of pairs, the best layers, and what is known of both, through a file", async () => {
  const vector = await extracted({ method: "pca", pooling: "last", nPairs: 5, layers: { best: 2 }, seed: 7 });
  expect(vector.layers.length).toBe(2);
  await vector.save(space.path("pairs.safetensors"));
  const { provenance, data } = await loadVector(space.path("pairs.safetensors"));
  expect(data).toEqual(vector.data);
  expect(provenance).toEqual(vector.provenance);
  const { origin, property } = provenance;
  if (origin.kind !== "pairs") throw new Error(`kind ${origin.kind}`);
  expect(property).toBe("yes vs no");
  expect(origin).toMatchObject({ method: "pca", pooling: "last", nPairs: 5, seed: 7, positive: { name: "yes" }, negative: { name: "no" } });
  expect(origin.layerScores!.map(({ layer }) => layer)).toEqual([0, 1, 2]);
  const order = [...origin.layerScores!].sort((a, b) => b.auc - a.auc || b.accuracy - a.accuracy || a.layer - b.layer);
  expect(vector.layers).toEqual(order.slice(0, 2).map(({ layer }) => layer).sort());
  // The directions that are kept are those of all pairs.
  const same = await extracted({ method: "pca", pooling: "last", nPairs: 5, layers: vector.layers, seed: 7 });
  expect(maxDifference(same.data, vector.data)).toBeLessThan(ROUNDING);
  expect(same.provenance.origin).toEqual({ ...origin, layerScores: undefined });
});

test("what cannot be done is refused", async () => {
  const refused = (options: Partial<ExtractPairsOptions>, code: string, message = ""): Promise<void> =>
    expect(extracted(options)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  await refused({ negative: dataset("other", [["nobody asks", "this"]]) }, "E_BAD_DATASET", "no query in common");
  await refused({ negative: POSITIVE }, "E_BAD_DATASET", "have the same rows");
  await refused({ negative: { ...NEGATIVE, rows: NEGATIVE.rows.map((row) => ({ ...row, output: "  " })) } }, "E_BAD_DATASET", "is empty");
  await refused({ nPairs: 8 }, "E_BAD_DATASET", "7 pairs");
  await refused({ nPairs: 1, layers: { best: 1 } }, "E_BAD_DATASET", "two questions");
  await refused({ pooling: "step", maxNewTokens: 1 }, "E_BAD_DATASET", "their difference is zero");
  await refused({ maxNewTokens: 3 }, "E_BAD_ARGUMENT", "pooling");
  for (const best of [0, 1.5, 4]) await refused({ layers: { best } }, "E_BAD_ARGUMENT");
  for (const layers of [[], [1, 0], [1, 1]]) await refused({ layers }, "E_BAD_ARGUMENT");
  await refused({ layers: [3] }, "E_SHAPE");
  await refused({ site: "resid_post", layers: [2] }, "E_SHAPE", "last layer");
  await refused({ nPairs: 0 }, "E_BAD_ARGUMENT");
  await refused({ seed: 0.5 }, "E_BAD_ARGUMENT");
  await refused({ method: "median" as "mean" }, "E_BAD_ARGUMENT", "mean, pca, probe");
  await refused({ format: "chat" }, "E_BAD_GGUF", "no chat template");
  await refused(
    { positive: { ...POSITIVE, rows: POSITIVE.rows.map((row) => ({ ...row, output: "long ".repeat(2000) })) } }, "E_CONTEXT_FULL",
  );
  await refused({ signal: AbortSignal.abort() }, "E_ABORTED");
});

test("progress ends at its total, in several passes too; an abort in between ends it", async () => {
  const calls: Array<[number, number]> = [];
  await extractWithin(model, { positive: POSITIVE, negative: NEGATIVE, onProgress: (...call) => calls.push(call) }, 1);
  const total = calls[0]![1];
  expect(calls.every(([, each]) => each === total)).toBe(true);
  expect(calls.map(([done]) => done)).toEqual(calls.map(([done]) => done).sort((a, b) => a - b));
  expect(calls.at(-1)).toEqual([total, total]);
  const abort = new AbortController();
  await expect(extracted({ signal: abort.signal, onProgress: () => abort.abort() })).rejects.toMatchObject({ code: "E_ABORTED" });
  expect((await extracted()).layers).toEqual([0, 1, 2]);
});
