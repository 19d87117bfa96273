import { requireInteger, requireNumber, requireOneOf } from "../checks.js";
import { SteeringError } from "../errors.js";
import { datasetReference, type Dataset } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import { promptTokens, type FormatOptions } from "../prompt/index.js";
import { assertMadeFor, type CurvePoint, type KlCalibration, SteeringVector, type VectorData } from "../vector/index.js";
import { formatFor, measureKl, type KlPoint } from "./measure-kl.js";
import { KL_BUDGET, KL_STATISTICS, type KlStatistic, searchBudget } from "./search.js";
import { measureVariety, variedAlpha } from "./variety.js";

/** Options of `calibrateByKl`. */
export interface KlCalibrationOptions extends FormatOptions {
  vector: VectorData;
  /** Questions to answer, at best some that the vector was not made from; their outputs are not used. */
  questions: Dataset;
  /** Allowed KL in nats per token; default 1. */
  budget?: number;
  /** Whether the budget is that of the mean (default) or of the 95th percentile over the tokens. */
  budgetOf?: KlStatistic;
  /** Largest number of questions; default 4. Questions that do not fit into the context are left out. */
  n?: number;
  /** Tokens of each answer; default 12. */
  maxNewTokens?: number;
  signal?: AbortSignal;
  /** Reports the answers so far and the total, which grows while the search goes on. */
  onProgress?: (done: number, total: number) => void;
}

/**
 * Find the alpha that spends a KL budget (docs/method.md §8), without a judge: the vector may move the distribution of the next token by
 * `budget` nats per token, on average or in 95 % of the tokens. The search starts far below and stops where the KL explodes. Where answers
 * repeat themselves at that alpha, the largest weaker one at which they do not is taken.
 *
 * @returns what was measured, by ascending alpha, and a copy of the vector with its calibration; undefined if no alpha spends the budget
 * @throws SteeringError E_BAD_ARGUMENT, E_CONTEXT_FULL (no question fits), and what `measureKl` throws
 */
export async function calibrateByKl(
  model: Engine, options: KlCalibrationOptions,
): Promise<{ curve: KlPoint[]; vector: SteeringVector | undefined }> {
  const { vector, budget = KL_BUDGET, budgetOf = "mean", n = 4, maxNewTokens = 12, signal, onProgress } = options;
  requireNumber("budget", budget, { above: 0 });
  requireOneOf("budgetOf", budgetOf, KL_STATISTICS);
  requireInteger("n", n, { min: 1 });
  requireInteger("maxNewTokens", maxNewTokens, { min: 1 });
  assertMadeFor(vector, await model.fingerprint());
  const format = formatFor(vector, options);
  const questions = await fitting(model, options.questions, { ...format, n, maxNewTokens });
  let [before, total] = [0, 0];
  const measure = async (alphas: readonly number[]): Promise<KlPoint[]> => {
    before = total;
    return measureKl(model, vector, {
      alphas, questions, maxNewTokens, ...format, signal,
      onProgress: (done, ofThese) => { total = before + ofThese; onProgress?.(before + done, total); },
    });
  };
  const { alpha: spending, curve } = await searchBudget(measure, budget, budgetOf);
  if (spending === undefined) return { curve, vector: undefined };
  const { alpha, variety } = await variedAlpha(spending, (alphas) =>
    measureVariety(model, vector, alphas, { questions, signal, ...format }));
  const calibration: KlCalibration = {
    by: "kl", schedule: { kind: "fixed", alpha }, budget, ...(budgetOf !== "mean" && { budgetOf }), variety,
    ...(alpha !== spending && { spending }), n: questions.length,
    questions: datasetReference(options.questions), curve: curve.map(curvePoint),
  };
  return { curve, vector: new SteeringVector({ ...vector, provenance: { ...vector.provenance, calibration } }) };
}

/** A measured point as it is stored: JSON has no infinity. */
export function curvePoint({ alpha, mean, p95 }: KlPoint): CurvePoint {
  const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
  return { value: alpha, kl: { mean: finite(mean), p95: finite(p95) } };
}

/** The first `n` questions that fit into the context with their answers. */
async function fitting(
  model: Engine, { name, rows }: Dataset, { n, maxNewTokens, ...format }: FormatOptions & { n: number; maxNewTokens: number },
): Promise<string[]> {
  const kept: string[] = [];
  for (const { input } of rows) {
    if (kept.length === n) break;
    if ((await promptTokens(model, input, format)).length + maxNewTokens <= model.maxContext) kept.push(input);
  }
  if (kept.length > 0) return kept;
  throw new SteeringError("E_CONTEXT_FULL", `no question of ${name} fits into the model's context of ${model.maxContext} tokens with an `
    + `answer of ${maxNewTokens}; use shorter questions, fewer tokens, or a longer context (loadModel's ropeScaling)`);
}
