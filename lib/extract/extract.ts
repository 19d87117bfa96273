import { SteeringError } from "../errors.js";
import { assertDataset } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import type { PairMethod, SteeringVector } from "../vector/index.js";
import { throughCache, type CacheOption } from "./cache.js";
import { extractTexts, type ExtractTextsOptions } from "./contrast-texts.js";
import { extractIcl, type ExtractOptions } from "./demonstrations.js";
import { extractPairs, type ExtractPairsOptions } from "./pairs.js";
import { withStrength } from "./strength.js";
import { extractWords, type ExtractWordsOptions } from "./words.js";

/** Options of every extraction. */
export interface StrengthOption {
  /** Measure how strongly to add the vector, and store that as its calibration (docs/method.md §8); default true. */
  strength?: boolean;
}
/** Options of `extract`: descriptions in words, demonstrations as published (`icl`, the default of datasets), or pairs of texts. */
export type ExtractionOptions = StrengthOption & CacheOption & (ExtractWordsOptions | (ExtractOptions & { method?: "icl" })
  | (ExtractPairsOptions & { method: PairMethod }) | ExtractTextsOptions);

/** What says which kind of extraction is meant. */
const SOURCES = ["towards", "positive", "texts"] as const;

/**
 * Extract a steering vector by contrasting a behaviour with another one, and judge the contrast (`provenance.health`).
 *
 * - `towards`, `away`: descriptions in words; the model answers everyday questions under both.
 * - `positive`, `negative`: two datasets that hold the same queries. `method: "icl"` (default): for each token step, the mean activation
 *   under demonstrations of the positive behaviour minus that under demonstrations of the negative one (docs/method.md §2 and §3).
 *   `"mean"`, `"pca"`, `"probe"`: a direction computed from the datasets' own answers, without generating text: their mean difference, the
 *   principal component of their differences, or the direction of a logistic regression.
 * - `texts`: personas and openings, or pairs of texts, whose last tokens are read; the same methods, `"mean"` by default.
 *
 * At the end, the alpha that spends the KL budget of `calibrateByKl` is measured with four questions that the vector was not made from,
 * and becomes the vector's calibration: `generate` with `steer: vector` uses it. Without one, if no alpha spends the budget or no
 * question fits into the context.
 *
 * The vector is kept in the cache folder; the same extraction then only reads it.
 *
 * @throws SteeringError E_BAD_DATASET, E_BAD_ARGUMENT, E_BAD_GGUF (no chat template), E_CONTEXT_FULL, E_NO_SITE, E_SHAPE, E_NOT_FINITE,
 *   E_ABORTED
 */
export async function extract(model: Engine, options: ExtractionOptions): Promise<SteeringVector> {
  return throughCache(model, options, async () => {
    const vector = await contrast(model, options);
    return options.strength === false ? vector : withStrength(model, vector, options);
  });
}

function contrast(model: Engine, options: ExtractionOptions): Promise<SteeringVector> {
  const given = SOURCES.filter((name) => name in options && (options as unknown as Record<string, unknown>)[name] !== undefined);
  if (given.length > 1) {
    throw new SteeringError("E_BAD_ARGUMENT", `extract takes one source: ${given.join(" and ")} exclude each other`);
  }
  if (given[0] !== "towards" && (options as { away?: unknown }).away !== undefined) {
    throw new SteeringError("E_BAD_ARGUMENT", "away needs towards, the behaviour that is wanted");
  }
  if (given[0] === "towards") return extractWords(model, options as ExtractWordsOptions);
  if (given[0] === "texts") return extractTexts(model, options as ExtractTextsOptions);
  if (given.length === 0 && !("negative" in options)) {
    throw new SteeringError("E_BAD_ARGUMENT", "extract has no source; expected towards, positive and negative, or texts");
  }
  const datasets = options as ExtractOptions | ExtractPairsOptions;
  for (const side of ["positive", "negative"] as const) assertDataset(datasets[side], side);
  const { method = "icl" } = options as { method?: string };
  return method === "icl" ? extractIcl(model, options as ExtractOptions) : extractPairs(model, options as ExtractPairsOptions);
}
