import { z } from "zod";
import { scheduleSchema } from "../../steering/index.js";
import { canonicalSteeringSchema, detailsInputSchema, MAX_STEERINGS, steeringInputSchema } from "./steering.js";

/** Most steerings that one answer ever has, dropped ones included. */
export const MOST_OF_ANSWER = MAX_STEERINGS * 2;
const index = z.number().int().min(0).max(MOST_OF_ANSWER);

/** One change of a running answer; it takes effect at the next token. */
const changeSchema = z.union([
  /** A slider: the entry of the steering gets a fixed alpha, or a new schedule. */
  z.strictObject({ index, alpha: z.number().min(-1e6).max(1e6) }),
  z.strictObject({ index, schedule: scheduleSchema }),
  /** The entry is not added any more; its readings continue, with alpha 0. */
  z.strictObject({ index, drop: z.literal(true) }),
  /** Further vectors, which come last in the readings. */
  z.strictObject({ add: steeringInputSchema }),
]);
export type SteeringChange = z.infer<typeof changeSchema>;

/** Body of `PATCH /v1/generations/{id}/steering`. */
export const changeRequestSchema = z.strictObject({
  /** Which answer of the request; default: all. */
  choice: z.number().int().min(0).max(1024).optional(),
  changes: z.array(changeSchema).min(1).max(MAX_STEERINGS),
});

/** Answer of `GET /v1/generations/{id}` and of changes to it. */
export const generationSchema = z.object({
  id: z.string(),
  object: z.literal("generation"),
  model: z.string(),
  created: z.number().int(),
  status: z.enum(["queued", "running", "completed", "cancelled", "failed"]),
  choices: z.array(z.object({
    index: z.number().int(),
    /** Tokens so far. */
    n_tokens: z.number().int(),
    steering: canonicalSteeringSchema,
  })),
});

/** Body of `POST /v1/generations/{id}/replay`: the answer once more, with the alphas that it had; answered as the request was. */
export const replayRequestSchema = z.strictObject({
  stream: z.boolean().optional(),
  stream_options: z.strictObject({ include_usage: z.boolean().optional(), include_obfuscation: z.boolean().optional() }).nullish(),
  steering_details: detailsInputSchema.optional(),
});
