import type { GateReading } from "../engine/index.js";
import { SteeringError } from "../errors.js";

/** The alpha and KL of one steering in one step. */
export interface Reading {
  /** What was added: times the gate's value, if there is a gate. */
  alpha: number;
  /** In nats: KL(P || S) of Dyn; what a budget's alpha spent; null if it was not measured. */
  kl: number | null;
  /** What the steering's gate read; absent without a gate, and where it was not read because nothing was to be added. */
  gate?: GateReading;
}

/** The error for logits that are not a distribution. */
export function notFinite(): SteeringError {
  return new SteeringError("E_NOT_FINITE", "the model's logits are not finite, or no token is allowed: the steering is too strong, "
    + "the weights are broken, or the logit bias forbids all tokens");
}
