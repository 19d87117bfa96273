import { describe, expect, test } from "@jest/globals";
import type { GenerateOptions, GenerationResult, Steering, TokenCandidate } from "../../lib/index.js";
import { generateText } from "../../lib/generate/index.js";
import { tinyForFile } from "../support/file-model.js";
import { digits, randomVector } from "../support/tiny-files.js";

const { model } = await tinyForFile();
const vectors = await Promise.all([1, 2].map((seed) => randomVector(model, seed, { nSteps: 6, scale: 1 })));
const PROMPT = [1, 5, 9, 12, 3];
const answer = (options: GenerateOptions): Promise<GenerationResult> =>
  generateText(model, PROMPT, { maxNewTokens: 8, logProbabilities: true, ...options });
const ids = ({ tokens }: GenerationResult): number[] => tokens.map(({ token }) => token);
const fixed = (alpha: number, index = 0): Steering => ({ vector: vectors[index]!, schedule: { kind: "fixed", alpha } });
const dynamic = (index: number, strongAlpha = 2): Steering => ({ vector: vectors[index]!, schedule: { kind: "dynamic", strongAlpha } });

function expectSame(found: readonly TokenCandidate[] | null, expected: readonly TokenCandidate[]): void {
  expect(found!.map(({ token }) => token)).toEqual(expected.map(({ token }) => token));
  found!.forEach(({ logProbability }, index) => expect(logProbability).toBeCloseTo(expected[index]!.logProbability, digits(4)));
}

describe("the candidates of each stream", () => {
  test("are the likeliest tokens, of which a greedy answer takes the first", async () => {
    const { tokens } = await answer({ candidates: model.info.nVocab > 100 ? 100 : model.info.nVocab });
    for (const { token, logProbability, candidates } of tokens) {
      const { output, unsteered, strong } = candidates!;
      expect(output[0]!.token).toBe(token);
      expect(output[0]!.logProbability).toBeCloseTo(logProbability!, 5);
      expect(output.map((each) => each.logProbability)).toEqual(output.map((each) => each.logProbability).sort((a, b) => b - a));
      expect(output.reduce((sum, each) => sum + Math.exp(each.logProbability), 0)).toBeLessThan(1 + 1e-5);
      expect([unsteered, strong]).toEqual([null, []]);
    }
  });

  test.each(["on", "off"] as const)("P is unsteered and S strongly steered, pipeline %s", async (pipeline) => {
    const both = await answer({ steer: [dynamic(0), fixed(0.3, 1), dynamic(1, 3)], candidates: 4, pipeline });
    const firstTokens = ids(both);
    const plain = await answer({ firstTokens, candidates: 4 });
    const strong = [await answer({ firstTokens, steer: fixed(2), candidates: 4 }),
      await answer({ firstTokens, steer: fixed(3, 1), candidates: 4 })];
    for (const [step, { candidates }] of both.tokens.entries()) {
      const of = ({ tokens }: GenerationResult): readonly TokenCandidate[] => tokens[step]!.candidates!.output;
      expectSame(candidates!.unsteered, of(plain));
      expectSame(candidates!.strong[0]!, of(strong[0]!));
      expect(candidates!.strong[1]).toBeNull();
      expectSame(candidates!.strong[2]!, of(strong[1]!));
    }
  });

  test("a number that is not one is refused", async () => {
    for (const candidates of [-1, 1.5, 101]) await expect(answer({ candidates })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
  });
});

describe("an answer that begins with given tokens", () => {
  test("can begin with one that its sampler forbids", async () => {
    const [first] = ids(await answer({}));
    const given = await answer({ firstTokens: [first!], sampling: { temperature: 1, seed: 1, logitBias: { [first!]: -Infinity } } });
    expect(ids(given)[0]).toBe(first);
    expect(ids(given).slice(1)).not.toContain(first);
  });

  test.each([
    ["greedy", {}], ["sampled", { temperature: 1.5, seed: 7 }], ["penalised", { temperature: 1, repeatPenalty: 1.5, seed: 3 }],
    ["sampled with XTC", { temperature: 1.5, seed: 7, xtcProbability: 0.5, xtcThreshold: 0.01 }],
  ])("%s: its own beginning changes nothing after it", async (_, sampling) => {
    const whole = await answer({ sampling, steer: dynamic(0) });
    for (const n of [1, 3, 8]) {
      const again = await answer({ sampling, steer: dynamic(0), firstTokens: ids(whole).slice(0, n) });
      expect([ids(again), again.text]).toEqual([ids(whole), whole.text]);
      again.tokens.forEach(({ logProbability, readings }, step) => {
        expect(logProbability).toBeCloseTo(whole.tokens[step]!.logProbability!, digits(4));
        expect(readings[0]!.alpha).toBeCloseTo(whole.tokens[step]!.readings[0]!.alpha, digits(4));
      });
    }
  });

  test("another candidate leads to another answer, that of a prompt with these tokens", async () => {
    const { tokens } = await answer({ candidates: 2 });
    const firstTokens = [tokens[0]!.token, tokens[1]!.candidates!.output[1]!.token];
    const other = await answer({ firstTokens });
    expect(ids(other).slice(0, 2)).toEqual(firstTokens);
    const continued = await generateText(model, [...PROMPT, ...firstTokens], { maxNewTokens: 6 });
    expect(ids(other).slice(2)).toEqual(ids(continued));
  });

  test("its tokens and their number are checked", async () => {
    await expect(answer({ firstTokens: [model.info.nVocab] })).rejects.toMatchObject({ code: "E_BAD_TOKEN" });
    await expect(answer({ firstTokens: [1, 2, 3], maxNewTokens: 2 })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
  });
});
