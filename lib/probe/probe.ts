import { z } from "zod";
import { SteeringError } from "../errors.js";
import { listOf } from "../formats/index.js";
import { FORMATS, MAX_LAYERS, datasetSchema, fingerprintSchema, type HookSite } from "../vector/index.js";

const share = z.number().min(0).max(1);
const count = z.number().int().min(0);

const metricsSchema = z.object({
  /** Number of texts, of both properties. */
  n: count,
  /** Share of texts whose probability is on the correct side of one half. */
  accuracy: share,
  /** Area under the ROC curve. */
  auc: share,
  /** Expected calibration error over 10 bins of probability. */
  ece: share,
  /** Mean squared difference between probability and label. */
  brier: share,
});
/** How well a probe judges held-out texts. */
export type ProbeMetrics = z.infer<typeof metricsSchema>;

const layerSchema = z.object({
  layer: count,
  lambda: z.number().positive(),
  accuracy: share,
  auc: share,
  /** Mean log loss in nats, the criterion for layer and λ. */
  logLoss: z.number(),
});
/** Cross-validation result of a layer with its best λ. */
export type ProbeLayer = z.infer<typeof layerSchema>;

/** What a probe is trained on: answers, or the last tokens of prompts. */
export type ProbeReads = "answer" | "prompt";
export const PROBE_READS: readonly ProbeReads[] = ["answer", "prompt"];

const provenanceSchema = z.object({
  /** The behaviours that the probe separates, e.g. "ITA vs ENG"; a probability near 1 means the first. */
  property: z.string(),
  positive: datasetSchema,
  negative: datasetSchema,
  /** Source of the held-out texts: separate datasets, or a part of the training sets, split by question. */
  heldOut: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("datasets"), positive: datasetSchema, negative: datasetSchema }),
    z.object({ kind: z.literal("split") }),
  ]),
  /** What the probe was trained on, if not answers: the last tokens of prompts. */
  reads: z.enum(PROBE_READS).optional(),
  /** How the questions precede the texts; older files, all in the format `qa`, do not say. */
  format: z.enum(FORMATS).optional(),
  system: z.string().optional(),
  templateVariables: z.record(z.string(), z.unknown()).optional(),
  /** Number of training texts, of both properties. */
  trainedOn: count,
  /** Penalty of the logistic regression on standardised features. */
  lambda: z.number().positive(),
  folds: count,
  /** Seed of the folds and of the split. */
  seed: z.number().int(),
  model: fingerprintSchema,
  /** Version of llama-steer that trained it. */
  madeBy: z.string(),
});
/** How a probe was made. */
export type ProbeProvenance = z.infer<typeof provenanceSchema>;

/** Content of a probe file besides tensor and site: JSON, in one metadata entry. */
export const probeSchema = z.object({
  layer: count,
  bias: z.number(),
  heldOut: metricsSchema,
  layers: listOf(layerSchema, MAX_LAYERS),
  provenance: provenanceSchema,
});

/**
 * A logistic regression on a model's activations: `p = 1 / (1 + exp(−(weights · activation + bias)))`. Immutable.
 */
export interface Probe {
  readonly site: HookSite;
  /** 0-based. */
  readonly layer: number;
  /** `[width]`, for raw activations: the standardisation is folded in. */
  readonly weights: Float32Array;
  readonly bias: number;
  readonly heldOut: ProbeMetrics;
  /** Every tested layer, ascending. */
  readonly layers: readonly ProbeLayer[];
  readonly provenance: ProbeProvenance;
}

/** Log odds that an activation `[width]` has the property. Throws E_SHAPE, E_NOT_FINITE. */
export function probeLogit({ weights, bias }: Pick<Probe, "weights" | "bias">, activation: ArrayLike<number>): number {
  if (activation.length !== weights.length) {
    throw new SteeringError("E_SHAPE", `the probe has width ${weights.length}; the activation has ${activation.length}`);
  }
  let sum = bias;
  for (let i = 0; i < weights.length; i++) sum += weights[i]! * activation[i]!;
  if (!Number.isFinite(sum)) throw new SteeringError("E_NOT_FINITE", "the activation that the probe reads is not finite");
  return sum;
}
