import { assertDataset } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import type { PairMethod, SteeringVector } from "../vector/index.js";
import { extractIcl, type ExtractOptions } from "./demonstrations.js";
import { extractPairs, type ExtractPairsOptions } from "./pairs.js";
import { withStrength } from "./strength.js";

/** Options of every extraction. */
export interface StrengthOption {
  /** Measure how strongly to add the vector, and store that as its calibration (docs/method.md §8); default true. */
  strength?: boolean;
}
/** Options of `extract`: from demonstrations, as published (the default), or from pairs of texts. */
export type ExtractionOptions = StrengthOption
  & ((ExtractOptions & { method?: "icl" }) | (ExtractPairsOptions & { method: PairMethod }));

/**
 * Extract a steering vector by contrasting two datasets that hold the same queries.
 *
 * `method: "icl"` (default): for each token step, the mean activation under demonstrations of the positive behaviour minus that under
 * demonstrations of the negative one (docs/method.md §2 and §3). `"mean"`, `"pca"`, `"probe"`: a direction computed from the datasets'
 * own answers, without generating text: their mean difference, the principal component of their differences, or the direction of a
 * logistic regression.
 *
 * At the end, the alpha that spends the KL budget of `calibrateByKl` is measured with four questions that the vector was not made from,
 * and becomes the vector's calibration: `generate` with `steer: vector` uses it. Without one, if no alpha spends the budget or no
 * question fits into the context.
 *
 * @throws SteeringError E_BAD_DATASET, E_BAD_ARGUMENT, E_BAD_GGUF (no chat template), E_CONTEXT_FULL, E_NO_SITE, E_SHAPE, E_NOT_FINITE,
 *   E_ABORTED
 */
export async function extract(model: Engine, options: ExtractionOptions): Promise<SteeringVector> {
  const { method = "icl" } = options;
  for (const side of ["positive", "negative"] as const) assertDataset(options[side], side);
  const vector = method === "icl" ? await extractIcl(model, options as ExtractOptions)
    : await extractPairs(model, options as ExtractPairsOptions);
  return options.strength === false ? vector : withStrength(model, vector, options);
}
