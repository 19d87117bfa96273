import { z } from "zod";
import { integerList, listOf } from "../formats/index.js";
import { scheduleSchema } from "../steering/index.js";

/** The deepest models have a few hundred. */
export const MAX_LAYERS = 100_000;
/** Vectors that one is derived from. */
const MAX_PARTS = 100_000;

export const datasetSchema = z.object({
  name: z.string(),
  /** SHA-256 of the rows and the instruction. */
  hash: z.string(),
});
/** A dataset that a vector or probe was made from. */
export type DatasetReference = z.infer<typeof datasetSchema>;

export const fingerprintSchema = z.object({
  architecture: z.string(),
  nLayer: z.number().int(),
  nEmbd: z.number().int(),
  nHead: z.number().int(),
  /** Hash of every token's text and attributes. */
  tokenizerHash: z.string(),
  /** Hash of the model file's content. */
  fileHash: z.string(),
  quantisation: z.string(),
});
/** The model that a vector belongs to: in any other model it means nothing. */
export type ModelFingerprint = z.infer<typeof fingerprintSchema>;

const iclSchema = z.object({
  kind: z.literal("icl"),
  positive: datasetSchema,
  negative: datasetSchema,
  /** ICL demonstrations per prompt. */
  iclExamples: z.number().int(),
  /** Prompts per side, drawn with replacement. */
  support: z.number().int(),
  /** Seed of the draw; null where the prompts were given. */
  seed: z.number().int().nullable(),
  /** The prompts that were drawn. */
  supportIndices: integerList,
  /** The most token steps that were asked for; unknown for vectors of version 0.1. */
  maxNewTokens: z.number().int().optional(),
  /** How the prompts were written; unknown for vectors of version 0.1. */
  promptFormat: z.enum(["clean", "published"]).optional(),
  /** SHA-256 of the token ids of all prompts of both sides. */
  promptsHash: z.string(),
});
/** Contrast of prompts with demonstrations, as published (docs/method.md §2 and §3). */
export type IclOrigin = z.infer<typeof iclSchema>;

/** How a direction is found in the activations of pairs of texts. */
export const PAIR_METHODS = ["mean", "pca", "probe"] as const;
/** One of `PAIR_METHODS`. */
export type PairMethod = (typeof PAIR_METHODS)[number];

const layerScoreSchema = z.object({ layer: z.number().int(), accuracy: z.number(), auc: z.number() });
const pairsSchema = z.object({
  kind: z.literal("pairs"),
  method: z.enum(PAIR_METHODS),
  positive: datasetSchema,
  negative: datasetSchema,
  /** How the question is put before the text: as `Q:…\nA:`, by the model's chat template, or not at all. */
  template: z.enum(["question", "chat", "none"]),
  /** Which of the text's rows are read: their mean, the last, or one per token step. */
  pooling: z.enum(["mean", "last", "step"]),
  /** Pairs that the directions are made of. */
  nPairs: z.number().int(),
  /** For each layer that was tried, how well its direction separates held-out pairs. */
  layerScores: listOf(layerScoreSchema, MAX_LAYERS).optional(),
  seed: z.number().int(),
  promptsHash: z.string(),
});
/** Contrast of given pairs of texts, e.g. CAA. */
export type PairsOrigin = z.infer<typeof pairsSchema>;

const derivedSchema = z.object({
  kind: z.literal("derived"),
  /** What was done, e.g. "0.5 · (ITA vs ENG) − FRA vs ENG". */
  expression: z.string(),
  /** The vectors it was done to. */
  from: listOf(z.object({ property: z.string(), hash: z.string() }), MAX_PARTS),
});
/** Made of other vectors. */
export type DerivedOrigin = z.infer<typeof derivedSchema>;

const importedSchema = z.object({
  kind: z.literal("imported"),
  format: z.enum(["control-vector", "published"]),
  /** Name of the file. */
  file: z.string(),
  /** SHA-256 of the file's content. */
  hash: z.string(),
});
/** Read from a file of another program, which records less. */
export type ImportedOrigin = z.infer<typeof importedSchema>;

const calibrationSchema = z.object({
  schedule: scheduleSchema,
  /** What was measured, e.g. "language ITA". */
  effect: z.string(),
  /** Share of answers that had to show the effect. */
  wanted: z.number(),
  /** Share of answers that showed it. */
  found: z.number(),
  /** Median ΔPPL of the answers. */
  deltaPerplexity: z.number(),
  /** Questions asked. */
  n: z.number().int(),
  questions: datasetSchema,
});
/** The intensity that had an effect at the least cost in fluency. */
export type Calibration = z.infer<typeof calibrationSchema>;

const provenanceSchema = z.object({
  /** The behaviour, e.g. "ITA vs ENG". */
  property: z.string(),
  /** An `IclOrigin`, `PairsOrigin`, `DerivedOrigin` or `ImportedOrigin`. */
  origin: z.discriminatedUnion("kind", [iclSchema, pairsSchema, derivedSchema, importedSchema]),
  calibration: calibrationSchema.optional(),
  model: fingerprintSchema,
  /** Version of llama-steer that made it. */
  madeBy: z.string(),
});
/** How a vector came to be. */
export type Provenance = z.infer<typeof provenanceSchema>;

/** Format version 1 knew one origin, and wrote it beside the rest. */
const provenanceOf1 = provenanceSchema.pick({ property: true, model: true, madeBy: true }).extend(iclSchema.omit({ kind: true }).shape)
  .transform(({ property, model, madeBy, ...origin }): Provenance => ({ property, model, madeBy, origin: { kind: "icl", ...origin } }));

/** The provenance in a vector file of this format version. Throws what JSON and zod throw. */
export function parseProvenance(json: string, version: "1" | "2"): Provenance {
  return (version === "1" ? provenanceOf1 : provenanceSchema).parse(JSON.parse(json));
}
