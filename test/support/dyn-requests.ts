import { expect, jest } from "@jest/globals";
import type {
  GenerateOptions, GenerationResult, Model, Sampling, ScheduleInput, Steering, VectorData,
} from "../../lib/index.js";
import { Context, type StepResult } from "../../lib/engine/index.js";
import { seededRandom } from "../../lib/maths/random.js";
import { digits } from "./tiny-files.js";

export const dynamic = (settings: object = {}): ScheduleInput => ({ kind: "dynamic", topP: 0.5, ...settings });

/** Changes every guess until `jest.restoreAllMocks()`. */
export function changeGuesses(change: (guess: number) => number): void {
  const { decode } = Context.prototype;
  jest.spyOn(Context.prototype, "decode").mockImplementation(async function (this: Context, ...given): Promise<StepResult> {
    const result = await decode.apply(this, given);
    return { ...result, guesses: result.guesses.map(change) };
  });
}
export const wrongIn = ({ info }: Model) => (guess: number): number => (guess + 1) % info.nVocab;

/** Expects the same tokens, and the same alphas and KLs but for rounding. */
export function expectSame(found: GenerationResult, expected: GenerationResult): void {
  expect(found.tokens.map(({ token }) => token)).toEqual(expected.tokens.map(({ token }) => token));
  found.tokens.forEach(({ readings, logProbability }, step) => {
    const other = expected.tokens[step]!;
    readings.forEach(({ alpha, kl }, index) => {
      expect(alpha).toBeCloseTo(other.readings[index]!.alpha, digits(4));
      expect(kl ?? 0).toBeCloseTo(other.readings[index]!.kl ?? 0, digits(4));
    });
    expect(logProbability ?? 0).toBeCloseTo(other.logProbability ?? 0, digits(4));
  });
  expect([found.finishReason, found.text]).toEqual([expected.finishReason, expected.text]);
}

export interface Request {
  prompt: string;
  options: GenerateOptions;
}

/** The i-th of a fixed list of requests: one to three properties, both reductions, greedy and sampled. `more`: settings of every Dyn. */
export function request(vectors: readonly VectorData[], i: number, more: object = {}): Request {
  const random = seededRandom(5000 + i);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const steer = Array.from({ length: 1 + (i % 3) }, (_, index): Steering => ({
    vector: vectors[index]!,
    schedule: index > 0 && random() < 0.3 ? { kind: "fixed", alpha: random() }
      : dynamic({ topP: 0.1 + 0.8 * random(), strongAlpha: 0.5 + 2 * random(), klReduction: pick(["mean", "sum"]), ...more }),
    tail: pick(["mean", "hold", "stop"]),
    ...(random() < 0.2 && { phases: ["answer", "thinking"] }),
  }));
  const sampling = pick<Sampling>([
    {}, {}, { temperature: 0.8, seed: i }, { temperature: 1.2, topK: 20, topP: 0.9, seed: i }, { repeatPenalty: 1.3 },
    { temperature: 0.7, presencePenalty: 0.5, xtcProbability: 0.5, xtcThreshold: 0.1, seed: i },
    { temperature: 1, seed: i, grammar: "root ::= [a-z ]*" },
  ]);
  const others = pick<GenerateOptions>([{}, { logProbabilities: true }, { stop: ["e"] }]);
  return { prompt: `${i} steers`, options: { steer, sampling, maxNewTokens: 1 + Math.floor(random() * 16), ...others } };
}
