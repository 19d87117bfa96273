import { expect } from "@jest/globals";
import type { GateReading, GenerationResult } from "../../lib/index.js";
import { digits, tolerance } from "./tiny-files.js";

/** A GPU's back end merges operations, but not across a place that is read, so the last bits depend on what is read. */
const hasLastBits = tolerance(0) < 1e-3;
/** Tokens and log probabilities, to compare to the last bit. */
export const bits = ({ tokens }: GenerationResult): unknown =>
  tokens.map(({ token, logProbability }) => [token, hasLastBits ? logProbability : logProbability?.toFixed(3)]);
/** What the first steering added per step, and what its gate read. */
export const alphas = ({ tokens }: GenerationResult): number[] => tokens.map(({ readings }) => readings[0]!.alpha);
export const gates = ({ tokens }: GenerationResult): GateReading[] => tokens.map(({ readings }) => readings[0]!.gate!);
export const probabilities = (result: GenerationResult): number[] => gates(result).map(({ probability }) => probability);

/** Expects the same tokens, with the same log probabilities but for rounding. */
export function expectSameTokens(found: GenerationResult, expected: GenerationResult): void {
  expect(found.tokens.map(({ token }) => token)).toEqual(expected.tokens.map(({ token }) => token));
  found.tokens.forEach(({ logProbability }, i) => expect(logProbability).toBeCloseTo(expected.tokens[i]!.logProbability!, digits(4)));
}
