import { z } from "zod";
import { HOOK_SITES } from "../../vector/index.js";
import { canonicalSteeringSchema } from "./steering.js";

/** A steering vector or a probe that requests can name. */
export const vectorSchema = z.object({
  /** Its name in `steering` and `monitor`. */
  id: z.string(),
  object: z.literal("vector"),
  kind: z.enum(["vector", "probe"]),
  /** The behaviour, e.g. "Italian". */
  property: z.string(),
  description: z.string().optional(),
  /** Where it is: in the server's folder, or ready-made with the package. Only vectors of the folder can be deleted. */
  source: z.enum(["folder", "gallery"]),
  /** How it was made: "words", "pairs", "icl", "derived" or "imported"; probes: "trained". */
  origin: z.string(),
  site: z.string(),
  layers: z.array(z.number().int()),
  n_steps: z.number().int(),
  /** How the questions were put to the model when it was made. */
  format: z.string().nullable(),
  /** Ids of the served models that it was made for; empty if there is none, or if the model has not been loaded yet. */
  models: z.array(z.string()),
  /** The file hash of the model that it was made for. */
  model_hash: z.string(),
  /** As `steering` uses it without a schedule; null if it needs one. */
  steering: canonicalSteeringSchema.element.nullable(),
  /** Dyn's strong alpha and largest alpha for it, for a shorthand that names neither; null if its useful alpha is not known. */
  dynamic: z.object({ strongAlpha: z.number(), alphaMax: z.number() }).nullable(),
  /** The calibration with its curve, as in the file (docs/vectors.md); null without. */
  calibration: z.record(z.string(), z.unknown()).nullable(),
  /** The verdict and its figures, as in the file; null without. */
  health: z.looseObject({ verdict: z.enum(["strong", "usable", "weak", "noise"]), reason: z.string() }).nullable(),
  /** A question with answers of the model, of vectors from the gallery. */
  sample: z.object({ question: z.string(), unsteered: z.string(), steered: z.string() }).nullable(),
  sha256: z.string(),
  bytes: z.number().int(),
});
export type VectorEntry = z.infer<typeof vectorSchema>;

export const vectorListSchema = z.object({
  object: z.literal("list"),
  data: z.array(vectorSchema),
  /** Files of the folder that are not vectors or probes. */
  problems: z.array(z.object({ file: z.string(), code: z.string(), message: z.string() })),
});

export const deletedSchema = z.object({ id: z.string(), object: z.literal("vector"), deleted: z.literal(true) });

const text = z.string().min(1).max(4000);
const model = z.string().max(200).optional();
const limits = { max_new_tokens: z.number().int().min(1).max(256).optional(), site: z.enum(HOOK_SITES).optional() };

/** Body of `POST /v1/vectors/extract`: two descriptions, or pairs of answers. */
export const extractRequestSchema = z.union([
  z.strictObject({
    model,
    /** The wanted behaviour, as the end of a sentence that begins "You are someone who". */
    towards: text,
    /** The behaviour to turn away from; default: a neutral assistant. */
    away: text.optional(),
    questions: z.array(text).min(2).max(256).optional(),
    ...limits,
    /** Measure how strongly to add the vector; default true. */
    strength: z.boolean().optional(),
  }),
  z.strictObject({
    model,
    /** Names of the two sides; they become the vector's property, "A vs B". */
    names: z.tuple([z.string().min(1).max(100), z.string().min(1).max(100)]).optional(),
    pairs: z.array(z.strictObject({
      /** What both texts answer; default: nothing. */
      question: z.string().max(4000).optional(), positive: text, negative: text,
    })).min(1).max(4096).refine((pairs) => new Set(pairs.map(({ question }) => question === undefined)).size === 1,
      "either all pairs have a question, or none"),
    method: z.enum(["mean", "pca", "probe"]).optional(),
    pooling: z.enum(["mean", "last", "step"]).optional(),
    ...limits,
    strength: z.boolean().optional(),
  }),
]);
export type ExtractRequest = z.infer<typeof extractRequestSchema>;


/** Body of `POST /v1/vectors/{id}/calibrate`. */
export const calibrateRequestSchema = z.strictObject({
  model,
  /** Allowed mean KL in nats per token. */
  budget: z.number().gt(0).max(100).optional(),
  questions: z.array(text).min(1).max(64).optional(),
  max_new_tokens: z.number().int().min(1).max(256).optional(),
});
export type CalibrateRequest = z.infer<typeof calibrateRequestSchema>;
