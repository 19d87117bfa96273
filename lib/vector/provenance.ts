import { z } from "zod";
import { integerList, listOf } from "../formats/index.js";
import { scheduleSchema } from "../steering/index.js";

/** Upper limit for layers; the deepest models have a few hundred. */
export const MAX_LAYERS = 100_000;
/** Upper limit for the vectors that another is derived from. */
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
/** Identifies the model that a vector belongs to: the vector is meaningless in any other model. */
export type ModelFingerprint = z.infer<typeof fingerprintSchema>;

const iclSchema = z.object({
  kind: z.literal("icl"),
  positive: datasetSchema,
  negative: datasetSchema,
  /** ICL demonstrations per prompt. */
  iclExamples: z.number().int(),
  /** Prompts per side, drawn with replacement. */
  support: z.number().int(),
  /** Seed of the draw; null if the caller supplied the prompts. */
  seed: z.number().int().nullable(),
  /** Indices of the drawn prompts. */
  supportIndices: integerList,
  /** Requested limit of token steps; unknown for vectors of version 0.1. */
  maxNewTokens: z.number().int().optional(),
  /** Format of the prompts; unknown for vectors of version 0.1. */
  promptFormat: z.enum(["clean", "published"]).optional(),
  /** SHA-256 of the token ids of all prompts of both sides. */
  promptsHash: z.string(),
});
/** Extracted by contrasting prompts with demonstrations, as published (docs/method.md §2 and §3). */
export type IclOrigin = z.infer<typeof iclSchema>;

/** Methods of finding a direction in the activations of pairs of texts. */
export const PAIR_METHODS = ["mean", "pca", "probe"] as const;
/** One of `PAIR_METHODS`. */
export type PairMethod = (typeof PAIR_METHODS)[number];

/** Ways to put a question to a model: with its chat template, as `Q:…\nA:`, or as it is. */
export const FORMATS = ["chat", "qa", "raw"] as const;
/** One of `FORMATS`. */
export type Format = (typeof FORMATS)[number];

const layerScoreSchema = z.object({ layer: z.number().int(), accuracy: z.number(), auc: z.number() });
const pairsSchema = z.object({
  kind: z.literal("pairs"),
  method: z.enum(PAIR_METHODS),
  positive: datasetSchema,
  negative: datasetSchema,
  /** In older files, which have no `format`: how the question precedes the text. */
  template: z.enum(["question", "chat", "none"]).optional(),
  /** Which activations of the text are read: their mean, the last, or one per token step. */
  pooling: z.enum(["mean", "last", "step"]),
  /** Number of pairs that the directions are computed from. */
  nPairs: z.number().int(),
  /** How well each tested layer's direction separates held-out pairs. */
  layerScores: listOf(layerScoreSchema, MAX_LAYERS).optional(),
  seed: z.number().int(),
  promptsHash: z.string(),
});
/** Extracted from given pairs of texts, as in CAA. */
export type PairsOrigin = z.infer<typeof pairsSchema>;

const derivedSchema = z.object({
  kind: z.literal("derived"),
  /** The operation, e.g. "0.5 · (ITA vs ENG) − FRA vs ENG". */
  expression: z.string(),
  /** The operands. */
  from: listOf(z.object({ property: z.string(), hash: z.string() }), MAX_PARTS),
});
/** Computed from other vectors. */
export type DerivedOrigin = z.infer<typeof derivedSchema>;

const importedSchema = z.object({
  kind: z.literal("imported"),
  format: z.enum(["control-vector", "published"]),
  /** Name of the file. */
  file: z.string(),
  /** SHA-256 of the file's content. */
  hash: z.string(),
});
/** Imported from another program's file, which records less. */
export type ImportedOrigin = z.infer<typeof importedSchema>;

const calibrationSchema = z.object({
  schedule: scheduleSchema,
  /** The measured effect, e.g. "language ITA". */
  effect: z.string(),
  /** Target share of answers with the effect. */
  wanted: z.number(),
  /** Measured share of answers with the effect. */
  found: z.number(),
  /** Median ΔPPL of the answers. */
  deltaPerplexity: z.number(),
  /** Number of questions. */
  n: z.number().int(),
  questions: datasetSchema,
});
/** The intensity that reached the target effect at the lowest cost in fluency. */
export type Calibration = z.infer<typeof calibrationSchema>;

const provenanceSchema = z.object({
  /** The behaviour, e.g. "ITA vs ENG". */
  property: z.string(),
  /** An `IclOrigin`, `PairsOrigin`, `DerivedOrigin` or `ImportedOrigin`. */
  origin: z.discriminatedUnion("kind", [iclSchema, pairsSchema, derivedSchema, importedSchema]),
  /** How the questions were put to the model during the extraction; older files do not say (`formatOf`). */
  format: z.enum(FORMATS).optional(),
  /** The system message, or opening line, of those questions. */
  system: z.string().optional(),
  calibration: calibrationSchema.optional(),
  model: fingerprintSchema,
  /** Version of llama-steer that created it. */
  madeBy: z.string(),
});
/** How a vector was made. */
export type Provenance = z.infer<typeof provenanceSchema>;

const FORMAT_OF_TEMPLATE = { question: "qa", chat: "chat", none: "raw" } as const;

/** How the questions were put to the model during the extraction; undefined if the vector does not say. */
export function formatOf({ format, origin }: Provenance): Format | undefined {
  if (format || origin.kind === "icl") return format ?? "qa";
  return origin.kind === "pairs" && origin.template ? FORMAT_OF_TEMPLATE[origin.template] : undefined;
}

/** A line for the user of a vector whose questions were put to the model in another format; undefined if it was the same, or unknown. */
export function formatNotice(name: string, provenance: Provenance, format: Format): string | undefined {
  const made = formatOf(provenance);
  if (made === undefined || made === format) return undefined;
  return `${name} was made with --format ${made}, but is used with --format ${format}; its effect may be weaker. `
    + `Use --format ${made}, or extract a vector with --format ${format}`;
}

/** Format version 1 had only one kind of origin, whose fields it stored at the top level. */
const provenanceOf1 = provenanceSchema.pick({ property: true, model: true, madeBy: true }).extend(iclSchema.omit({ kind: true }).shape)
  .transform(({ property, model, madeBy, ...origin }): Provenance => ({ property, model, madeBy, origin: { kind: "icl", ...origin } }));

/** Parse the provenance in a vector file of this format version. Throws the errors of JSON.parse and zod. */
export function parseProvenance(json: string, version: "1" | "2"): Provenance {
  return (version === "1" ? provenanceOf1 : provenanceSchema).parse(JSON.parse(json));
}
