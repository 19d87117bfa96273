import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError } from "../errors.js";
import { listOf } from "../formats/index.js";
import type { NativeSamplerOptions } from "../native/index.js";
import { int32s } from "./batch.js";

/** llama.cpp cuts longer sequence breakers. */
const LONGEST_BREAKER = 40;
/** Each one is compared with every token of the vocabulary. */
const MAX_BREAKERS = 16;
/** Largest intensity of a penalty: beyond any difference of logits, and far from overflow. */
const MAX_PENALTY = 1e6;

const probability = z.number().min(0).max(1);
const breaker = z.string().min(1).refine((text) => Buffer.byteLength(text) <= LONGEST_BREAKER, `expected at most ${LONGEST_BREAKER} bytes`);

/** How to pick tokens. Everything is off by default; llama.cpp's sampler chain applies the settings in this order. */
export const samplingSchema = z.strictObject({
  /** Allow only texts of this grammar, in llama.cpp's notation (GBNF); its first rule is `root`. */
  grammar: z.string().optional(),
  /** Allow only JSON that this schema describes; instead of a grammar. */
  jsonSchema: z.unknown().optional(),
  /** Added to the logits of some tokens, by token id; `-Infinity` forbids one. */
  logitBias: z.record(z.string().regex(/^\d+$/, "expected a token id"), z.number().or(z.literal(-Infinity))).optional(),
  /** Divides positive logits of the last `repeatLastN` tokens, including the prompt's, and multiplies negative ones; 1 = off. */
  repeatPenalty: z.number().positive().finite().default(1),
  /** Subtracted from the logit of every token among the last `repeatLastN`; 0 = off. */
  presencePenalty: z.number().min(-MAX_PENALTY).max(MAX_PENALTY).default(0),
  /** Subtracted from the logit of a token for each time that it is among the last `repeatLastN`; 0 = off. */
  frequencyPenalty: z.number().min(-MAX_PENALTY).max(MAX_PENALTY).default(0),
  repeatLastN: z.number().int().min(0).default(64),
  /**
   * DRY: subtracts `dryMultiplier · dryBase ^ (n − dryAllowedLength)` from a token that would repeat a sequence, where the n tokens before
   * it, at least `dryAllowedLength`, already stood before the same token. 0 = off.
   */
  dryMultiplier: z.number().min(0).max(MAX_PENALTY).default(0),
  dryBase: z.number().min(1).max(MAX_PENALTY).default(1.75),
  dryAllowedLength: z.number().int().min(1).max(MAX_PENALTY).default(2),
  /** How many of the last tokens DRY looks at, including the prompt's. */
  dryLastN: z.number().int().min(0).default(64),
  /** Texts that no repeated sequence extends across. */
  drySequenceBreakers: listOf(breaker, MAX_BREAKERS).default(["\n", ":", "\"", "*"]),
  /** Keep the tokens whose logits are at most this many standard deviations below the highest; 0 = off. */
  topNSigma: z.number().min(0).finite().default(0),
  /** Keep the k likeliest tokens; 0 = off. */
  topK: z.number().int().min(0).default(0),
  /** Keep the tokens whose surprise is closest to the expected one, up to this probability; 1 = off. */
  typicalP: z.number().gt(0).max(1).default(1),
  /** Keep the likeliest tokens up to this probability; 1 = off. */
  topP: z.number().gt(0).max(1).default(1),
  /** Keep the tokens that are at least this fraction as likely as the likeliest; 0 = off. */
  minP: probability.default(0),
  /**
   * XTC: with this probability, drop all tokens that are at least `xtcThreshold` likely, except the least likely of them; 0 = off, as is a
   * threshold above 0.5.
   */
  xtcProbability: probability.default(0),
  xtcThreshold: probability.default(0.1),
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
  const { logitBias = {}, grammar, jsonSchema, ...rest } = parsedBy(samplingSchema, input, refusal, "sampling");
  const biases = Object.entries(logitBias);
  const isConstrained = grammar !== undefined || jsonSchema !== undefined;
  if (isGreedy(rest) && biases.length === 0 && !isConstrained) return null;
  // llama.cpp allocates memory for as many tokens.
  const options = { ...rest, repeatLastN: Math.min(rest.repeatLastN, nCtx), dryLastN: Math.min(rest.dryLastN, nCtx) };
  return {
    ...options, history: int32s(history.slice(-Math.max(1, options.repeatLastN, options.dryLastN)), "history"),
    biasTokens: int32s(biases.map(([token]) => Number(token)), "logitBias"),
    biases: Float32Array.from(biases, ([, bias]) => bias),
  };
}

/** True if nothing can change which token is the likeliest, or draw another. */
function isGreedy({ temperature, repeatPenalty, typicalP, ...rest }: Omit<z.output<typeof samplingSchema>, "logitBias">): boolean {
  const { presencePenalty, frequencyPenalty, dryMultiplier, xtcProbability } = rest;
  const isOff = [presencePenalty, frequencyPenalty, dryMultiplier, xtcProbability].every((value) => value === 0);
  return temperature === 0 && repeatPenalty === 1 && typicalP === 1 && isOff;
}
