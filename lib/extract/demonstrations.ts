import { requireInteger } from "../checks.js";
import { SteeringError } from "../errors.js";
import { assertDifferent, datasetReference, type Dataset } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import { packageVersion } from "../formats/index.js";
import { drawWithReplacement } from "../maths/index.js";
import { demonstrationTokens, promptGroups, resolveDemonstrationFormat, type DemonstrationOptions } from "../prompt/index.js";
import { MAX_PROMPTS } from "../results/index.js";
import { askedForm, delta, type Format, type HookSite, type IclOrigin, type Provenance, SteeringVector } from "../vector/index.js";
import { captureContrast, hashPairs, type PromptPair } from "./contrast.js";
import { contrastHealth } from "./health.js";

/** Options of an extraction from demonstrations, as published (docs/method.md §2 and §3). */
export interface ExtractOptions extends DemonstrationOptions {
  /** Demonstrations of the wanted behaviour and of its contrast. Both datasets hold the same queries, row by row. */
  positive: Dataset;
  negative: Dataset;
  /** ICL demonstrations per prompt; default 4. */
  iclExamples?: number;
  /** Prompts per side, drawn with replacement; default 30. */
  support?: number;
  /** Token steps; default 30. */
  maxNewTokens?: number;
  /** Seed of the draw; default 32. */
  seed?: number;
  /** 0-based prompt indices, repetitions allowed, instead of a draw by `support` and `seed`. */
  supportIndices?: readonly number[];
  /** Where activations are read and later steered; default `head_out`, as published. */
  site?: HookSite;
  /** Layers to extract, 0-based, ascending; default: all. */
  layers?: readonly number[];
  /**
   * How to write demonstrations and question: `qa`, as published, or `chat`, with the demonstrations as earlier turns. `auto` (default):
   * `qa` for datasets with an instruction, which the published ones have, otherwise as `prompts.tokens`.
   */
  format?: Format | "auto";
  signal?: AbortSignal;
  /** Reports the tokens computed so far and an upper bound of the total. */
  onProgress?: (done: number, total: number) => void;
}

/**
 * Extract a steering vector by ICL contrast (docs/method.md §2 and §3): for each token step, the mean activation under demonstrations of
 * the positive behaviour minus that under demonstrations of the negative one, by default at the input of W_O of every layer.
 *
 * @throws SteeringError E_BAD_DATASET, E_BAD_ARGUMENT, E_CONTEXT_FULL, E_NO_SITE, E_SHAPE, E_ABORTED
 */
export async function extractIcl(model: Engine, options: ExtractOptions): Promise<SteeringVector> {
  return runExtraction(model, await planExtraction(model, options), options);
}

/** A complete description of an extraction, made before anything is computed. The same plan gives the same vector. */
export interface ExtractionPlan {
  site: HookSite;
  layers: readonly number[];
  provenance: Provenance & { origin: IclOrigin };
  pairs: PromptPair[];
  maxNewTokens: number;
}

export async function planExtraction(model: Engine, options: ExtractOptions): Promise<ExtractionPlan> {
  const { positive, negative, iclExamples = 4, support = 30, maxNewTokens = 30, seed = 32 } = options;
  const { site = "head_out", promptFormat = "clean" } = options;
  const layers = options.layers ?? model.siteLayers(site);
  requireInteger("support", support, { min: 1, max: MAX_PROMPTS });
  requireInteger("maxNewTokens", maxNewTokens, { min: 1 });
  assertDifferent(positive, negative);
  const format = resolveDemonstrationFormat(model, [positive.instruction, negative.instruction], options);
  const sides = [positive, negative].map((dataset) => ({ dataset, groups: promptGroups(dataset, iclExamples) }));
  const nGroups = Math.min(...sides.map(({ groups }) => groups.length));
  if (options.supportIndices && (options.support ?? options.seed) !== undefined) {
    throw new SteeringError("E_BAD_ARGUMENT", "supportIndices replaces support and seed; give one or the other");
  }
  const supportIndices = options.supportIndices?.slice() ?? drawWithReplacement(nGroups, support, seed);
  if (supportIndices.length === 0) throw new SteeringError("E_BAD_ARGUMENT", "supportIndices is empty; expected at least one index");
  for (const index of supportIndices) requireInteger("each of supportIndices", index, { min: 0, max: nGroups - 1 });
  // A prompt drawn several times has the same activations each time, so compute it once and weight it by its count.
  const counts = new Map<number, number>();
  for (const index of supportIndices) counts.set(index, (counts.get(index) ?? 0) + 1);

  const prompts = await Promise.all(sides.map(({ dataset, groups }) => Promise.all([...counts].map(async ([index, weight]) =>
    ({ tokens: await demonstrationTokens(model, dataset.instruction, groups[index]!, { ...options, format }), weight })))));
  const pairs = prompts[0]!.map(({ tokens, weight }, i): PromptPair => ({ positive: tokens, negative: prompts[1]![i]!.tokens, weight }));
  return {
    site, layers: [...layers], pairs, maxNewTokens,
    provenance: {
      property: `${positive.name} vs ${negative.name}`,
      origin: {
        kind: "icl",
        positive: datasetReference(positive),
        negative: datasetReference(negative),
        iclExamples, support: supportIndices.length, seed: options.supportIndices ? null : seed, supportIndices,
        maxNewTokens, promptFormat,
        promptsHash: hashPairs(pairs),
      },
      ...askedForm(format, options),
      model: await model.fingerprint(),
      madeBy: `llama-steer ${packageVersion()}`,
    },
  };
}

export async function runExtraction(
  model: Engine,
  plan: ExtractionPlan,
  { signal, onProgress }: Pick<ExtractOptions, "signal" | "onProgress"> = {},
): Promise<SteeringVector> {
  const { site, layers, pairs, maxNewTokens, provenance } = plan;
  const contrast = await captureContrast(model, pairs, {
    site, layers, maxNewTokens, ...(signal && { signal }), ...(onProgress && { onProgress }),
  });
  const { nSteps, width, data } = delta(contrast.positive, contrast.negative);
  const health = contrastHealth(layers, contrast.rows);
  return new SteeringVector({ site, layers, nSteps, width, data, provenance: { ...provenance, health } });
}
