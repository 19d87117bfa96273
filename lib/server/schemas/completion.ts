import { z } from "zod";
import { choiceSteeringSchema } from "./chat.js";
import { finishReason, generationShape, topLogprobs, usageSchema } from "./generation-settings.js";
import { canonicalSteeringSchema, stepDetailsSchema } from "./steering.js";

const MAX_PROMPTS = 64;
const tokens = z.array(z.number().int().min(0).max(2 ** 31 - 1)).min(1);

/** Body of `POST /v1/completions`. */
export const completionRequestSchema = z.strictObject({
  ...generationShape,
  /** A text that the model continues as it is, its tokens, or several of either. */
  prompt: z.union([z.string(), tokens, z.array(z.string()).min(1).max(MAX_PROMPTS), z.array(tokens).min(1).max(MAX_PROMPTS)]),
  /** The number of alternatives to return per token, besides its own log probability. */
  logprobs: topLogprobs.nullish(),
  echo: z.boolean().nullish(),
  best_of: z.literal(1).nullish(),
  suffix: z.literal("").nullish(),
});
export type CompletionRequest = z.infer<typeof completionRequestSchema>;

const logprobsSchema = z.object({
  tokens: z.array(z.string()),
  token_logprobs: z.array(z.number()),
  top_logprobs: z.array(z.record(z.string(), z.number())),
  text_offset: z.array(z.number().int()),
});

const answer = {
  id: z.string(), object: z.literal("text_completion"), created: z.number().int(), model: z.string(), system_fingerprint: z.string(),
};

/** Answer of `POST /v1/completions` without `stream`. */
export const completionResponseSchema = z.object({
  ...answer,
  choices: z.array(z.object({
    index: z.number().int(), text: z.string(), logprobs: logprobsSchema.nullable(), finish_reason: finishReason,
    llama_steer: choiceSteeringSchema,
  })),
  usage: usageSchema,
  steering: canonicalSteeringSchema,
});

/** The data of each event of a stream; the last event is `[DONE]`. */
export const completionChunkSchema = z.object({
  ...answer,
  choices: z.array(z.object({
    index: z.number().int(), text: z.string(), logprobs: logprobsSchema.nullable(), finish_reason: finishReason.nullable(),
    steering_details: stepDetailsSchema.optional(),
    llama_steer: choiceSteeringSchema.omit({ steps: true }).optional(),
  })),
  usage: usageSchema.nullish(),
  steering: canonicalSteeringSchema.optional(),
});
