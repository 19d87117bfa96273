import { describe, expect, test } from "@jest/globals";
import type { GenerateOptions, Sampling } from "../../lib/index.js";
import { generateText } from "../../lib/generate/index.js";
import { Batch } from "../../lib/engine/index.js";
import { tinyForFile } from "../support/file-model.js";
import { softmax } from "../support/linear.js";

const { model } = await tinyForFile();

const PROMPT = "sample";
const run = async (sampling: Sampling, options: GenerateOptions = {}): Promise<number[]> =>
  (await generateText(model, PROMPT, { maxNewTokens: 12, ...options, sampling })).tokens.map(({ token }) => token);

/** Logits that follow the prompt. */
async function nextLogits(): Promise<number[]> {
  using context = await model.createContext({ nCtx: 64, nSeqMax: 1 });
  const batch = new Batch();
  const prompt = model.tokenise(PROMPT);
  const rows = prompt.map((token, position) => batch.add(token, position, 0, { output: position === prompt.length - 1 }));
  await context.decode(batch);
  return Array.from(context.logits(rows.at(-1)!));
}

/** How often each token comes first over many seeds. */
async function frequencies(sampling: Sampling, n: number): Promise<Map<number, number>> {
  const firsts = await Promise.all(Array.from(
    { length: n }, (_, seed) => run({ ...sampling, seed: seed * 7919 + 1 }, { maxNewTokens: 1 }),
  ));
  const counts = new Map<number, number>();
  for (const [token] of firsts) if (token !== undefined) counts.set(token, (counts.get(token) ?? 0) + 1 / n);
  return counts;
}

describe("the draw", () => {
  test("the same seed gives the same text, another seed another", async () => {
    const texts = await Promise.all([1, 1, 2].map((seed) => run({ temperature: 1.5, seed })));
    expect(texts[1]).toEqual(texts[0]);
    expect(texts[2]).not.toEqual(texts[0]);
  });

  test("follows the softmax of the logits divided by the temperature", async () => {
    const logits = await nextLogits();
    const n = 600;
    for (const temperature of [0.7, 1.6]) {
      const expected = softmax(logits.map((logit) => logit / temperature));
      const measured = await frequencies({ temperature }, n);
      const likeliest = expected.map((p, token) => ({ p, token })).sort((a, b) => b.p - a.p).slice(0, 5).filter(({ token }) => token > 2);
      // Five standard deviations: fails by chance about once in two million.
      for (const { p, token } of likeliest) expect(Math.abs((measured.get(token) ?? 0) - p)).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / n));
    }
  });

  test.each<[string, Sampling, (sorted: number[], p: number[]) => number[]]>([
    ["topK", { topK: 3 }, (sorted) => sorted.slice(0, 3)],
    ["minP", { minP: 0.3 }, (sorted, p) => sorted.filter((token) => p[token]! >= 0.3 * p[sorted[0]!]!)],
    ["topP", { topP: 0.4 }, (sorted, p) => {
      let sum = 0;
      return sorted.filter((token) => { const isKept = sum < 0.4; sum += p[token]!; return isKept; });
    }],
  ])("%s keeps the tokens that it should", async (_, sampling, kept) => {
    const p = softmax(await nextLogits());
    const sorted = p.map((_unused, token) => token).sort((a, b) => p[b]! - p[a]!);
    const allowed = kept(sorted, p);
    const seen = [...(await frequencies({ temperature: 3, ...sampling }, 200)).keys()];
    expect(seen.length).toBeGreaterThan(1);
    for (const token of seen) expect(allowed).toContain(token);
  });
});

describe("without a draw", () => {
  test("temperature 0 and topK 1 are the likeliest token", async () => {
    const greedy = await run({});
    expect(await run({ topK: 5, topP: 0.5 })).toEqual(greedy);
    expect(await run({ temperature: 2, topK: 1 })).toEqual(greedy);
    expect(await run({ logitBias: { 5: 0 } })).toEqual(greedy);
  });

  test("a logit bias forbids and forces", async () => {
    const greedy = await run({});
    expect(await run({ logitBias: { [greedy[0]!]: -Infinity } })).not.toContain(greedy[0]);
    expect(await run({ logitBias: { 77: 1000 } })).toEqual(new Array(12).fill(77));
  });

  test("a repetition penalty counts the answer and the prompt", async () => {
    const forced = { logitBias: { 77: 12, 78: 11.9 }, repeatPenalty: 5 };
    expect(new Set(await run(forced)).size).toBeGreaterThan(2);
    const [last] = model.tokenise(PROMPT).slice(-1) as [number];
    const [first] = await run({ logitBias: { [last]: 12 } });
    expect(first).toBe(last);
    expect((await run({ logitBias: { [last]: 12 }, repeatPenalty: 1e6 }))[0]).not.toBe(last);
  });
});

test.each<[string, Sampling, string]>([
  ["temperature", { temperature: -1 }, "E_BAD_ARGUMENT"],
  ["temperature", { temperature: NaN }, "E_BAD_ARGUMENT"],
  ["topK", { topK: 1.5 }, "E_BAD_ARGUMENT"],
  ["topP", { topP: 0 }, "E_BAD_ARGUMENT"],
  ["minP", { minP: 2 }, "E_BAD_ARGUMENT"],
  ["repeatPenalty", { repeatPenalty: 0 }, "E_BAD_ARGUMENT"],
  ["seed", { seed: -1 }, "E_BAD_ARGUMENT"],
  ["logitBias", { logitBias: { 99999: 1 } }, "E_BAD_TOKEN"],
  ["logitBias", { logitBias: { x: 1 } }, "E_BAD_ARGUMENT"],
  ["logitBias", { logitBias: { "": 1 } }, "E_BAD_ARGUMENT"],
  ["", { tempreature: 1 } as Sampling, "E_BAD_ARGUMENT"],
])("a bad %s (%p) is refused", async (name, sampling, code) => {
  await expect(run(sampling)).rejects.toMatchObject({ code, message: expect.stringContaining(name) });
});
