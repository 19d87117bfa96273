import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError } from "../errors.js";
import type { NativeSamplerOptions } from "../native/index.js";
import { int32s } from "./batch.js";

/** How to pick tokens. Everything is off by default; llama.cpp's sampler chain applies the settings in this order. */
export const samplingSchema = z.strictObject({
  /** Added to the logits of some tokens, by token id; `-Infinity` forbids one. */
  logitBias: z.record(z.string().regex(/^\d+$/, "expected a token id"), z.number().or(z.literal(-Infinity))).optional(),
  /** Divides the logits of the last `repeatLastN` tokens, including the prompt's; 1 = off. */
  repeatPenalty: z.number().positive().finite().default(1),
  repeatLastN: z.number().int().min(0).default(64),
  /** Keep the k likeliest tokens; 0 = off. */
  topK: z.number().int().min(0).default(0),
  /** Keep the likeliest tokens up to this probability; 1 = off. */
  topP: z.number().gt(0).max(1).default(1),
  /** Keep the tokens that are at least this fraction as likely as the likeliest; 0 = off. */
  minP: z.number().min(0).max(1).default(0),
  /** 0 = pick the likeliest of the remaining tokens. */
  temperature: z.number().min(0).finite().default(0),
  /** Seed of the random draws; the same seed gives the same text. */
  seed: z.number().int().min(0).max(2 ** 31 - 1).default(0),
});
/** How to pick tokens. Missing settings are off, so `{}` picks the likeliest token. */
export type Sampling = z.input<typeof samplingSchema>;

/** Returns native sampler options, or null if they amount to greedy decoding. `history`: the prompt. Throws E_BAD_ARGUMENT. */
export function toNativeSampler(input: Sampling, history: readonly number[], nCtx: number): NativeSamplerOptions | null {
  const refusal = (problem: string): SteeringError => new SteeringError("E_BAD_ARGUMENT", problem);
  const { logitBias = {}, ...rest } = parsedBy(samplingSchema, input, refusal, "sampling");
  const options = { ...rest, repeatLastN: Math.min(rest.repeatLastN, nCtx) }; // llama.cpp allocates memory for them
  const biases = Object.entries(logitBias);
  if (options.temperature === 0 && options.repeatPenalty === 1 && biases.length === 0) return null;
  return {
    ...options, history: int32s(history.slice(-Math.max(1, options.repeatLastN)), "history"),
    biasTokens: int32s(biases.map(([token]) => Number(token)), "logitBias"),
    biases: Float32Array.from(biases, ([, bias]) => bias),
  };
}
