import { z } from "zod";
import { SteeringError } from "../errors.js";
import { listOf } from "../formats/index.js";
import { MAX_LAYERS, datasetSchema, fingerprintSchema, type HookSite } from "../vector/index.js";

const share = z.number().min(0).max(1);
const count = z.number().int().min(0);

const metricsSchema = z.object({
  /** Texts, of both properties. */
  n: count,
  /** Share on the right side of one half. */
  accuracy: share,
  /** Area under the ROC curve. */
  auc: share,
  /** Expected calibration error over 10 bins of probability. */
  ece: share,
  /** Mean square of the distance between probability and truth. */
  brier: share,
});
/** How well a probe judges held-out texts. */
export type ProbeMetrics = z.infer<typeof metricsSchema>;

const layerSchema = z.object({
  layer: count,
  lambda: z.number().positive(),
  accuracy: share,
  auc: share,
  /** Mean log loss in nats, by which layer and λ are chosen. */
  logLoss: z.number(),
});
/** What cross-validation found for a layer, with the λ that suits it best. */
export type ProbeLayer = z.infer<typeof layerSchema>;

const provenanceSchema = z.object({
  /** The behaviours that it tells apart, e.g. "ITA vs ENG"; a probability near 1 means the first. */
  property: z.string(),
  positive: datasetSchema,
  negative: datasetSchema,
  /** What the held-out texts are: datasets of their own, or a part of the training sets, by question. */
  heldOut: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("datasets"), positive: datasetSchema, negative: datasetSchema }),
    z.object({ kind: z.literal("split") }),
  ]),
  /** Texts that it was trained on, of both properties. */
  trainedOn: count,
  /** Penalty of the logistic regression, on standardised features. */
  lambda: z.number().positive(),
  folds: count,
  /** Seed of the folds, and of the split. */
  seed: z.number().int(),
  model: fingerprintSchema,
  /** Version of llama-steer that made it. */
  madeBy: z.string(),
});
/** How a probe came to be. */
export type ProbeProvenance = z.infer<typeof provenanceSchema>;

/** What a probe's file holds beside its tensor and its site: JSON, in one entry of the metadata. */
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
  /** `[width]`, of activations as they are: the standardisation is folded in. */
  readonly weights: Float32Array;
  readonly bias: number;
  readonly heldOut: ProbeMetrics;
  /** Every layer that was tried, ascending. */
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
  if (!Number.isFinite(sum)) throw new SteeringError("E_NOT_FINITE", "an activation that a probe reads is not finite");
  return sum;
}
