import { z } from "zod";
import { steeringSpecSchema, writtenSpecSchema } from "../../steering/index.js";

/** Most properties of one composition. */
export const MAX_STEERINGS = 16;
/** Most candidates per stream and token. */
export const MAX_CANDIDATES = 20;

/** A specification, whose `vector` is an id of `GET /v1/vectors`, or its shorthand, e.g. `italian:dyn,p=0.5`. */
const oneSteering = z.union([z.string().min(1).max(4096), writtenSpecSchema]);

/** How to steer: one specification or several to compose. A vector alone, e.g. `italian`, is added with its calibrated schedule. */
export const steeringInputSchema = z.union([oneSteering, z.array(oneSteering).max(MAX_STEERINGS)]);
export type SteeringInput = z.infer<typeof steeringInputSchema>;

/** The canonical specifications, with all defaults filled in; one per reading. */
export const canonicalSteeringSchema = z.array(steeringSpecSchema);

/** What to tell of each token: alphas, KLs and probes (`true`), and also the likeliest tokens of each stream. */
export const detailsInputSchema = z.union([
  z.boolean(), z.strictObject({ candidates: z.number().int().min(0).max(MAX_CANDIDATES).default(0) }),
]);

/** A token that a stream could have continued with; `logprob` in nats, before the sampler's settings. */
export const candidateSchema = z.object({ id: z.number().int(), token: z.string(), bytes: z.array(z.number().int()), logprob: z.number() });
export type CandidateToken = z.infer<typeof candidateSchema>;

export const readingSchema = z.object({
  alpha: z.number(),
  /** In nats: KL(P ‖ S) of Dyn, what the token spent of a budget; null for schedules that do not measure. */
  kl: z.number().nullable(),
  /** What the steering's gate read; absent without a gate, and where nothing was to be added. */
  gate: z.object({ probability: z.number(), value: z.number() }).optional(),
});

/** One token of an answer, as it was steered. */
export const stepDetailsSchema = z.object({
  /** Token step, from 0. */
  step: z.number().int(),
  /** Token id. */
  id: z.number().int(),
  /** The token's own text; `delta.content` comes later than it inside a UTF-8 character or a possible stop string. */
  token: z.string(),
  phase: z.enum(["thinking", "answer"]),
  /** In nats, under the steered distribution, before the sampler's settings. */
  logprob: z.number(),
  /** One per entry of the canonical steering. */
  readings: z.array(readingSchema),
  /** One probability per entry of `monitor`. */
  monitors: z.array(z.number()).optional(),
  /** The likeliest tokens of each stream, if asked for. */
  candidates: z.object({
    output: z.array(candidateSchema),
    /** P; null in steps that measure nothing. */
    unsteered: z.array(candidateSchema).nullable(),
    /** S of each reading; null for schedules that do not measure. */
    strong: z.array(z.array(candidateSchema).nullable()),
  }).optional(),
});
export type StepDetails = z.infer<typeof stepDetailsSchema>;

/** Body of `POST /v1/steering/validate`. */
export const validateRequestSchema = z.strictObject({ model: z.string().max(200).optional(), steering: steeringInputSchema });

export const validateResponseSchema = z.discriminatedUnion("valid", [
  z.object({
    valid: z.literal(true),
    steering: canonicalSteeringSchema,
    /** Each in shorthand; null where the shorthand cannot express it. */
    shorthand: z.array(z.string().nullable()),
  }),
  z.object({ valid: z.literal(false), error: z.object({ code: z.string(), message: z.string() }) }),
]);
