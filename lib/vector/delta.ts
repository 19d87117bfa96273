import { SteeringError } from "../errors.js";

/** Mean activations per layer and token step. */
export interface StepMeans {
  /** Number of captured layers. */
  nLayer: number;
  nSteps: number;
  width: number;
  /** `[nLayer, nSteps, width]` */
  means: Float64Array;
}

/** A measured mean difference in the captured layers. */
export interface Delta {
  nLayer: number;
  nSteps: number;
  width: number;
  /** `[nLayer, nSteps, width]` */
  data: Float32Array;
}

/**
 * Δ_i = mean_i(positive) − mean_i(negative) (docs/method.md §3), for the steps that both sides reached.
 * Throws E_SHAPE if the sides come from models of different shapes.
 */
export function delta(positive: StepMeans, negative: StepMeans): Delta {
  const { nLayer, width } = positive;
  if (nLayer !== negative.nLayer || width !== negative.width) {
    throw new SteeringError("E_SHAPE",
      `cannot subtract means of ${negative.nLayer} layers of width ${negative.width} from ${nLayer} layers of width ${width}`);
  }
  const nSteps = Math.min(positive.nSteps, negative.nSteps);
  const data = new Float32Array(nLayer * nSteps * width);
  for (let layer = 0; layer < nLayer; layer++) {
    const to = layer * nSteps * width;
    const a = layer * positive.nSteps * width;
    const b = layer * negative.nSteps * width;
    for (let i = 0; i < nSteps * width; i++) data[to + i] = positive.means[a + i]! - negative.means[b + i]!;
  }
  return { nLayer, nSteps, width, data };
}
