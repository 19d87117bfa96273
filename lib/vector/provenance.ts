import { z } from "zod";
import { integerList, listOf } from "../formats/index.js";
import { scheduleSchema } from "../steering/index.js";

/** Upper limit for layers; the deepest models have a few hundred. */
export const MAX_LAYERS = 100_000;
/** Upper limit for the vectors that another is derived from. */
const MAX_PARTS = 100_000;
/** Upper limit for the points of a calibration's curve; a search takes a dozen. */
const MAX_CURVE = 10_000;

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

/** How to put a question to a model: with its chat template, as `Q:…\nA:`, or as it is. */
export type Format = "chat" | "qa" | "raw";
export const FORMATS = ["chat", "qa", "raw"] as const satisfies readonly Format[];

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

/** Ways to reduce a generated answer to directions: one per token step, or their mean. */
export const WORD_POOLINGS = ["step", "mean"] as const;
const wordsSchema = z.object({
  kind: z.literal("words"),
  /** The wanted behaviour, as the end of a sentence that begins "You are someone who". */
  towards: z.string(),
  /** The behaviour to turn away from; null for a neutral system message. */
  away: z.string().nullable(),
  /** System messages, with `{}` for the description; question i is asked under message i modulo their number. */
  paraphrases: listOf(z.string(), MAX_PARTS),
  /** SHA-256 of the questions. */
  questionsHash: z.string(),
  nQuestions: z.number().int(),
  /** Requested limit of token steps. */
  maxNewTokens: z.number().int(),
  pooling: z.enum(WORD_POOLINGS),
  /** SHA-256 of the token ids of all prompts of both sides. */
  promptsHash: z.string(),
});
/** Extracted from two descriptions, under which the model answered the same questions. */
export type WordsOrigin = z.infer<typeof wordsSchema>;

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

const curvePointSchema = z.object({
  /** What was tried: alpha, or p_top of Dyn. */
  value: z.number(),
  /** KL(unsteered ‖ steered) in nats per token: its mean and its 95th percentile; null if the model broke down. */
  kl: z.object({ mean: z.number().nullable(), p95: z.number().nullable() }).optional(),
  /** Share of answers with the effect. */
  found: z.number().optional(),
  /** Cost in fluency; null if the model broke down. */
  cost: z.number().nullable().optional(),
});
/** One strength that a calibration tried, and what it measured there. */
export type CurvePoint = z.infer<typeof curvePointSchema>;
const curveSchema = listOf(curvePointSchema, MAX_CURVE);

const effectSchema = z.object({
  /** Files of version 0.1 do not say. */
  by: z.literal("effect").optional(),
  schedule: scheduleSchema,
  /** The measured effect, e.g. "language ITA". */
  effect: z.string(),
  /** Target share of answers with the effect. */
  wanted: z.number(),
  /** Measured share of answers with the effect. */
  found: z.number(),
  /** Median ΔPPL of the answers or, as `costBy` says, their median perplexity under the unsteered model. */
  deltaPerplexity: z.number(),
  /** How the cost in fluency was measured; absent: by demonstrations, as ΔPPL. */
  costBy: z.enum(["demonstrations", "perplexity"]).optional(),
  /** Number of questions. */
  n: z.number().int(),
  questions: datasetSchema,
  curve: curveSchema.optional(),
});
/** The strength that reached the target effect at the lowest cost in fluency. */
export type EffectCalibration = z.infer<typeof effectSchema>;

const klCalibrationSchema = z.object({
  by: z.literal("kl"),
  schedule: scheduleSchema,
  /** KL that the search looked for, in nats per token (docs/method.md §8). */
  budget: z.number(),
  /** Which KL that is; absent: the mean. */
  budgetOf: z.enum(["mean", "p95"]).optional(),
  /** Share of distinct tokens in an answer at this strength, divided by that in the unsteered one. */
  variety: z.number().optional(),
  /** The alpha that spends the budget, if it is not this one because answers repeated themselves there. */
  spending: z.number().optional(),
  /** Number of questions. */
  n: z.number().int(),
  /** Where the questions come from. */
  questions: datasetSchema,
  curve: curveSchema,
});
/** The strength that spends a KL budget: how far the vector may move the next-token distribution. */
export type KlCalibration = z.infer<typeof klCalibrationSchema>;

const triedSchema = z.object({
  schedule: scheduleSchema,
  /** Nats per token by which answers become likelier towards the description than away from it; null if they are empty or broken. */
  gain: z.number().nullable(),
  /** Nats per token of log probability towards the description that they lose. */
  loss: z.number().nullable(),
  /** As in `KlCalibration`. */
  variety: z.number().nullable(),
});
const descriptionSchema = klCalibrationSchema.extend({
  by: z.literal("description"),
  /** The fixed alpha that spends the budget. */
  spending: z.number(),
  /** All schedules that were tried; `schedule` is one of them. */
  tried: listOf(triedSchema, MAX_CURVE),
});
/** The schedule that moves answers furthest towards the vector's description while they stay fluent (docs/method.md §8). */
export type DescriptionCalibration = z.infer<typeof descriptionSchema>;
/** A measured strength: by its effect on answers, by a KL budget, or by a vector's own descriptions. */
export type Calibration = EffectCalibration | KlCalibration | DescriptionCalibration;

/** Verdicts about a contrast, from the best to the worst. */
export const VERDICTS = ["strong", "usable", "weak", "noise"] as const;
const layerHealthSchema = z.object({
  layer: z.number().int(),
  agreement: z.number(),
  splitHalf: z.number(),
  auc: z.number(),
  /** Length of the mean difference, divided by the mean length of the activations. */
  relativeNorm: z.number(),
});
const healthSchema = z.object({
  verdict: z.enum(VERDICTS),
  /** Why, in a sentence with the figures that decided. */
  reason: z.string(),
  /** Pairs of prompts or texts that the figures are from. */
  nPairs: z.number().int(),
  /** Mean cosine of each pair's difference to the mean difference of the other pairs, over all layers. */
  agreement: z.number(),
  /** Cosine between the mean differences of the even and the odd pairs. */
  splitHalf: z.number(),
  /** How well the direction of one half of the pairs separates both sides of the other half. */
  auc: z.number(),
  /** Probability of a mean difference as long as this one if the sides of each pair were swapped at random. */
  chance: z.number(),
  layers: listOf(layerHealthSchema, MAX_LAYERS),
  /** What the vector and a random vector with the same norms do to answers to held-out questions, both at this alpha. */
  effect: z.object({
    alpha: z.number(),
    /** KL per token, in nats. */
    kl: z.number(), randomKl: z.number(),
    /** Vectors from words: by how many nats per token answers become likelier towards the description (docs/method.md §9). */
    gain: z.number().optional(), randomGain: z.number().optional(),
    /** Share of distinct tokens in an answer, divided by that in the unsteered one. */
    variety: z.number().optional(),
  }).optional(),
});
/** How consistent the contrast is that a vector was made from. */
export type Health = z.infer<typeof healthSchema>;
/** The same, of one layer. */
export type LayerHealth = z.infer<typeof layerHealthSchema>;

const provenanceSchema = z.object({
  /** The behaviour, e.g. "ITA vs ENG". */
  property: z.string(),
  /** An `IclOrigin`, `PairsOrigin`, `WordsOrigin`, `DerivedOrigin` or `ImportedOrigin`. */
  origin: z.discriminatedUnion("kind", [iclSchema, pairsSchema, wordsSchema, derivedSchema, importedSchema]),
  /** How the questions were put to the model during the extraction; older files do not say (`formatOf`). */
  format: z.enum(FORMATS).optional(),
  /** The system message, or opening line, of those questions. */
  system: z.string().optional(),
  /** The variables of the chat template; empty if there were none. Other formats have none, and older files do not say. */
  templateVariables: z.record(z.string(), z.unknown()).optional(),
  calibration: z.union([klCalibrationSchema, descriptionSchema, effectSchema]).optional(),
  health: healthSchema.optional(),
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

/** Format version 1 had only one kind of origin, whose fields it stored at the top level. */
const provenanceOf1 = provenanceSchema.pick({ property: true, model: true, madeBy: true }).extend(iclSchema.omit({ kind: true }).shape)
  .transform(({ property, model, madeBy, ...origin }): Provenance => ({ property, model, madeBy, origin: { kind: "icl", ...origin } }));

/** Parse the provenance in a vector file of this format version. Throws the errors of JSON.parse and zod. */
export function parseProvenance(json: string, version: "1" | "2"): Provenance {
  return (version === "1" ? provenanceOf1 : provenanceSchema).parse(JSON.parse(json));
}
