import { expect, test } from "@jest/globals";
import { perplexityOf } from "../../lib/generate/index.js";

test("a text whose tokens were each one of k equally likely ones has perplexity k", () => {
  for (const k of [1, 7, 256_000]) expect(perplexityOf(Array.from({ length: 9 }, () => -Math.log(k))) / k).toBeCloseTo(1, 12);
});

test("the mean is over tokens, of log probabilities", () => {
  expect(perplexityOf([Math.log(0.5), Math.log(0.125)])).toBeCloseTo(4, 12);
});
