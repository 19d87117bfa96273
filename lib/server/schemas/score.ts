import { z } from "zod";
import { chatRequestSchema } from "./chat.js";
import { canonicalSteeringSchema, steeringInputSchema } from "./steering.js";

const { messages, template_variables } = chatRequestSchema.shape;
const tokens = z.array(z.number().int().min(0).max(2 ** 31 - 1)).min(1);

/** Body of `POST /v1/score`: how likely the model finds a text, after messages or a prompt. */
export const scoreRequestSchema = z.strictObject({
  model: z.string().max(200).optional(),
  messages: messages.optional(),
  prompt: z.union([z.string(), tokens]).optional(),
  /** A text, or its tokens, e.g. those of an answer's steps. */
  continuation: z.union([z.string().min(1), tokens]),
  steering: steeringInputSchema.nullish(),
  template_variables,
}).refine(({ messages: given, prompt }) => (given === undefined) !== (prompt === undefined), "expected either messages or prompt");

export const scoreResponseSchema = z.object({
  object: z.literal("score"),
  model: z.string(),
  steering: canonicalSteeringSchema,
  tokens: z.array(z.object({ id: z.number().int(), token: z.string(), logprob: z.number(), unsteered_logprob: z.number() })),
  perplexity: z.number(),
  unsteered_perplexity: z.number(),
  /** `perplexity` − `unsteered_perplexity`. */
  delta_perplexity: z.number(),
});

/** Body of `POST /v1/evaluate`. */
export const evaluateRequestSchema = z.strictObject({
  model: z.string().max(200).optional(),
  texts: z.array(z.strictObject({ question: z.string().max(20_000).optional(), text: z.string().max(100_000) })).min(1).max(256),
  evaluators: z.array(z.discriminatedUnion("kind", [
    /** The language of each text. `wanted`: ISO 639 code. */
    z.strictObject({ kind: z.literal("language"), wanted: z.string().max(20).optional() }),
    /** Words, characters, and repetition. */
    z.strictObject({ kind: z.literal("fluency") }),
    /** Perplexity under the unsteered model, after the question. */
    z.strictObject({ kind: z.literal("perplexity") }),
    /** A probe of `GET /v1/vectors`. */
    z.strictObject({ kind: z.literal("probe"), probe: z.string().max(200), wanted: z.enum(["positive", "negative"]).optional() }),
  ])).min(1).max(16),
});

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);
export const evaluateResponseSchema = z.object({
  object: z.literal("evaluation"),
  /** One per evaluator: its columns for each text (docs/evaluation.md); "" is the label. */
  data: z.array(z.object({
    name: z.string(), wanted: z.string().nullable(),
    results: z.array(z.record(z.string(), z.union([scalar, z.array(scalar)]))),
  })),
});
