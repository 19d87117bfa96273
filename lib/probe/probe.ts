import { SteeringError } from "../errors.js";
import type { DatasetReference, HookSite, ModelFingerprint } from "../vector/index.js";

/** How a probe judges texts that it was not trained on. */
export interface ProbeMetrics {
  /** Texts, of both properties. */
  n: number;
  /** Share on the right side of one half. */
  accuracy: number;
  /** Area under the ROC curve. */
  auc: number;
  /** Expected calibration error over 10 bins of probability. */
  ece: number;
  /** Mean square of the distance between probability and truth. */
  brier: number;
}

/** What cross-validation found for a layer, with the λ that suits it best. */
export interface ProbeLayer {
  layer: number;
  lambda: number;
  accuracy: number;
  auc: number;
  /** Mean log loss in nats, by which layer and λ are chosen. */
  logLoss: number;
}

/** How a probe came to be. */
export interface ProbeProvenance {
  /** The behaviours that it tells apart, e.g. "ITA vs ENG"; a probability near 1 means the first. */
  property: string;
  positive: DatasetReference;
  negative: DatasetReference;
  /** What the held-out texts are: datasets of their own, or a part of the training sets, by question. */
  heldOut: { kind: "datasets"; positive: DatasetReference; negative: DatasetReference } | { kind: "split" };
  /** Texts that it was trained on, of both properties. */
  trainedOn: number;
  /** Penalty of the logistic regression, on standardised features. */
  lambda: number;
  folds: number;
  /** Seed of the folds, and of the split. */
  seed: number;
  model: ModelFingerprint;
  /** Version of llama-steer that made it. */
  madeBy: string;
}

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
  if (activation.length !== weights.length) throw new SteeringError("E_SHAPE", `the probe has width ${weights.length}; the activation has ${activation.length}`);
  let sum = bias;
  for (let i = 0; i < weights.length; i++) sum += weights[i]! * activation[i]!;
  if (!Number.isFinite(sum)) throw new SteeringError("E_NOT_FINITE", "an activation that a probe reads is not finite");
  return sum;
}
