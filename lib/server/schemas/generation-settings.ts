import { z } from "zod";
import { detailsInputSchema, MAX_CANDIDATES, steeringInputSchema } from "./steering.js";

/** Most answers to one request. */
export const MAX_CHOICES = 16;
const MAX_STOPS = 16;
const MAX_BIASES = 1024;
const MAX_PROBES = 16;
/** A longer grammar is refused anyway. */
const MAX_GRAMMAR = 2 ** 18;

const fraction = z.number().gt(0).max(1);
const stopText = z.string().min(1).max(1000);

/** `response_format`: any text, any JSON, or JSON that a schema describes. */
const responseFormatSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text") }),
  z.strictObject({ type: z.literal("json_object") }),
  z.strictObject({
    type: z.literal("json_schema"),
    json_schema: z.strictObject({
      name: z.string().max(200), description: z.string().max(10_000).optional(),
      schema: z.unknown().refine((schema) => schema !== undefined, "expected a JSON schema"),
      strict: z.boolean().nullish(),
    }),
  }),
]);

/** Fields that OpenAI's clients send and that change nothing here. */
const ignored = Object.fromEntries([
  "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
  "prompt_cache_options",
].map((name) => [name, z.unknown().optional()])) as Record<string, z.ZodOptional<z.ZodUnknown>>;

/** What chat and text completions have in common; null is as good as absent. */
export const generationShape = {
  ...ignored,
  /** An id of `GET /v1/models`; default: the first. */
  model: z.string().min(1).max(200).optional(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_usage: z.boolean().optional(), include_obfuscation: z.boolean().optional() }).nullish(),
  /** Number of answers; with a temperature, answer i has the seed `seed + i`. */
  n: z.number().int().min(1).max(MAX_CHOICES).nullish(),
  max_tokens: z.number().int().min(1).max(2 ** 20).nullish(),
  stop: z.union([stopText, z.array(stopText).max(MAX_STOPS)]).nullish(),
  /** Default: random. The answer reports it. */
  seed: z.number().int().min(0).max(2 ** 31 - 1).nullish(),
  /** Default 0, the likeliest token; 1 if `n` is more than 1. */
  temperature: z.number().min(0).max(2).nullish(),
  top_p: fraction.nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  logit_bias: z.record(z.string().regex(/^\d{1,9}$/, "expected a token id"), z.number().min(-100).max(100))
    .refine((biases) => Object.keys(biases).length <= MAX_BIASES, `expected at most ${MAX_BIASES} tokens`).nullish(),
  response_format: responseFormatSchema.nullish(),
  // Beyond OpenAI's API, as llama.cpp's server names them.
  top_k: z.number().int().min(0).max(2 ** 20).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  typical_p: fraction.nullish(),
  repeat_penalty: z.number().gt(0).max(100).nullish(),
  repeat_last_n: z.number().int().min(0).max(2 ** 20).nullish(),
  /** Allow only texts of this grammar (GBNF). */
  grammar: z.string().max(MAX_GRAMMAR).nullish(),
  // Ours.
  steering: steeringInputSchema.nullish(),
  steering_details: detailsInputSchema.nullish(),
  /** Ids of probes of `GET /v1/vectors` (`kind: "probe"`) that read every token. */
  monitor: z.array(z.string().max(200)).max(MAX_PROBES).nullish(),
  /** Token ids that the answer begins with; the model continues after them. */
  first_tokens: z.array(z.number().int().min(0).max(2 ** 31 - 1)).max(2 ** 16).nullish(),
};

/** Most alternatives of `top_logprobs` and `logprobs`. */
export const topLogprobs = z.number().int().min(0).max(MAX_CANDIDATES);

export const usageSchema = z.object({
  prompt_tokens: z.number().int(), completion_tokens: z.number().int(), total_tokens: z.number().int(),
  /** Prompt tokens that were not computed, because an earlier request with the same steering began with them. */
  prompt_tokens_details: z.object({ cached_tokens: z.number().int() }),
});

/** What an answer took; the rates are of this answer, whoever else shared its steps. */
export const timingsSchema = z.object({
  /** From the request's arrival to the first token, including the wait in the queue. */
  first_token_seconds: z.number(),
  /** Duration of the steps that produced the tokens. */
  seconds: z.number(),
  tokens_per_second: z.number(),
  decodes: z.number().int(), rows: z.number().int(), guesses: z.number().int(), hits: z.number().int(),
});

/** Why an answer ended: by itself or at a stop string, or at `max_tokens`. */
export const finishReason = z.enum(["stop", "length"]);
