import type { Engine } from "../engine/index.js";
import { isMeasured, parseSchedule } from "../steering/index.js";
import { scoreTokens, type Prompt, type ScoreOptions } from "./generate.js";
import { replay } from "./generation-stream.js";
import type { GenerationResult } from "./generation.js";
import type { Steering } from "./live-steering.js";

/** Perplexity of one or more tokens: e to the mean negative log probability (docs/method.md §6). */
export function perplexityOf(logProbabilities: readonly number[]): number {
  return Math.exp(-logProbabilities.reduce((sum, value) => sum + value, 0) / logProbabilities.length);
}

/** Perplexity of a continuation. Throws what `scoreTokens` throws. */
export async function perplexity(
  model: Engine, prompt: Prompt, continuation: readonly number[], options: ScoreOptions = {},
): Promise<number> {
  return perplexityOf(await scoreTokens(model, prompt, continuation, options));
}

/** The prompts and the answer that ΔPPL compares (docs/method.md §6). */
export interface DeltaPerplexityPrompts {
  /** The question alone. */
  noIcl: Prompt;
  /** The question after demonstrations. */
  icl: Prompt;
  /** The unsteered model's answer to `icl`, as tokens. */
  iclOutput: readonly number[];
}

/**
 * ΔPPL (docs/method.md §6): the perplexity of the ICL output under the steered question, minus its perplexity under its own prompt. It
 * measures how much less likely the answer is with steering than with demonstrations.
 */
export async function deltaPerplexity(
  model: Engine, { noIcl, icl, iclOutput }: DeltaPerplexityPrompts, options: ScoreOptions = {},
): Promise<number> {
  const { steer: _, ...unsteered } = options;
  return deltaPerplexityFrom(model, noIcl, { tokens: iclOutput, perplexity: perplexity(model, icl, iclOutput, unsteered) }, options);
}

/** An ICL output and its perplexity under its own prompt: a number, or a promise while it is being measured. */
export interface ReferenceOutput {
  tokens: readonly number[];
  perplexity: number | Promise<number>;
}

/** ΔPPL against an ICL output whose perplexity is measured separately. */
export async function deltaPerplexityFrom(
  model: Engine, noIcl: Prompt, reference: ReferenceOutput, options: ScoreOptions = {},
): Promise<number> {
  const [steered, own] = await Promise.all([perplexity(model, noIcl, reference.tokens, options), reference.perplexity]);
  return steered - own;
}

/**
 * Replaces each dynamic schedule and budget with the alphas that they found in a generation, per step, and 0 after its last step. Other
 * schedules are kept, since they apply to continuations of any length. This is how ΔPPL is measured for Dyn (docs/method.md §6).
 */
export function withFoundAlphas(steer: readonly Steering[], result: Pick<GenerationResult, "tokens" | "endReadings">): Steering[] {
  const recorded = replay(steer, result);
  return steer.map((steering, index) => (isMeasured(parseSchedule(steering.schedule)) ? recorded[index]! : steering));
}
