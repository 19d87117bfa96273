import { createHash } from "node:crypto";
import { captureActivations, type CaptureOptions, type PromptActivations } from "../capture/index.js";
import type { Engine } from "../engine/index.js";
import type { PairedRows } from "../maths/index.js";
import type { StepMeans } from "../vector/index.js";

/** Two prompts that differ only in the property. */
export interface PromptPair {
  positive: readonly number[];
  negative: readonly number[];
  /** Above 0, e.g. how often a draw with replacement picked this pair. */
  weight: number;
}

/** Pairs whose rows are kept for the health of a vector: enough for its figures, and a bound on memory and time. */
export const HEALTH_PAIRS = 64;

/** Activations of both sides of a contrast while the model continues the prompts greedily. */
export interface Contrast {
  /** Mean per layer and token step, over the prompts that reach the step. */
  positive: StepMeans;
  negative: StepMeans;
  /** Per layer, for the first `HEALTH_PAIRS` pairs: each prompt's mean over the steps that both prompts of its pair reach. */
  rows: PairedRows[];
}

/**
 * Captures both prompts of each pair, next to each other, so that only the running pairs are in memory step by step. Steps that less
 * than `leastShare` of the prompts of a side reach are left out of its means. Throws what `captureActivations` throws.
 */
export async function captureContrast(
  model: Engine, pairs: readonly PromptPair[], { leastShare = 0, ...options }: CaptureOptions & { leastShare?: number },
): Promise<Contrast> {
  const prompts = pairs.flatMap(({ positive, negative }) => [positive, negative]);
  const costs = prompts.map((tokens) => tokens.length + options.maxNewTokens);
  const total = costs.reduce((sum, cost) => sum + cost, 0);
  const [positive, negative] = [new WeightedSteps(options.maxNewTokens), new WeightedSteps(options.maxNewTokens)];
  const rows: Array<{ positive: Float32Array[]; negative: Float32Array[] }> = [];
  let [first, done]: [PromptActivations | undefined, number] = [undefined, 0];
  for await (const record of captureActivations(model, prompts, options)) {
    done += costs[record.prompt]!;
    options.onProgress?.(done, total);
    const { weight } = pairs[Math.floor(record.prompt / 2)]!;
    (first ? negative : positive).add(record, weight);
    if (!first) {
      first = record;
      continue;
    }
    const nSteps = Math.min(first.nSteps, record.nSteps);
    for (const place of record.prompt < 2 * HEALTH_PAIRS ? record.layers.keys() : []) {
      const layer = rows[place] ??= { positive: [], negative: [] };
      layer.positive.push(meanOverSteps(first, place, nSteps));
      layer.negative.push(meanOverSteps(record, place, nSteps));
    }
    first = undefined;
  }
  return { positive: positive.means(leastShare), negative: negative.means(leastShare), rows };
}

/** Weighted sums per layer and step, in double precision. */
class WeightedSteps {
  private sums = new Float64Array(0);
  private readonly weights: number[] = [];
  private shape = { nLayer: 0, width: 0 };

  constructor(private readonly maxSteps: number) {}

  add({ layers, nSteps, width, data }: PromptActivations, weight: number): void {
    if (this.sums.length === 0) {
      this.shape = { nLayer: layers.length, width };
      this.sums = new Float64Array(layers.length * this.maxSteps * width);
    }
    for (let step = 0; step < nSteps; step++) this.weights[step] = (this.weights[step] ?? 0) + weight;
    for (let layer = 0; layer < layers.length; layer++) {
      const to = layer * this.maxSteps * width;
      const from = layer * nSteps * width;
      for (let i = 0; i < nSteps * width; i++) this.sums[to + i]! += weight * data[from + i]!;
    }
  }

  means(leastShare: number): StepMeans {
    const { nLayer, width } = this.shape;
    const nSteps = this.weights.filter((weight) => weight >= leastShare * this.weights[0]!).length; // later steps never weigh more
    const means = new Float64Array(nLayer * nSteps * width);
    for (let layer = 0; layer < nLayer; layer++) {
      for (let step = 0; step < nSteps; step++) {
        const from = (layer * this.maxSteps + step) * width;
        const to = (layer * nSteps + step) * width;
        for (let i = 0; i < width; i++) means[to + i] = this.sums[from + i]! / this.weights[step]!;
      }
    }
    return { nLayer, nSteps, width, means };
  }
}

/** Mean of a layer's first steps. */
export function meanOverSteps(
  { nSteps: all, width, data }: Pick<PromptActivations, "nSteps" | "width" | "data">, layer: number, nSteps: number, firstStep = 0,
): Float32Array {
  const sum = new Float64Array(width);
  for (let step = firstStep; step < nSteps; step++) {
    const from = (layer * all + step) * width;
    for (let i = 0; i < width; i++) sum[i]! += data[from + i]! / (nSteps - firstStep);
  }
  return Float32Array.from(sum);
}

/** SHA-256 of the token ids of all prompts, those of the positive side first. */
export function hashPairs(pairs: readonly PromptPair[]): string {
  const hash = createHash("sha256");
  for (const tokens of [...pairs.map(({ positive }) => positive), ...pairs.map(({ negative }) => negative)]) {
    hash.update(Int32Array.from(tokens)).update("\n");
  }
  return `sha256:${hash.digest("hex")}`;
}
