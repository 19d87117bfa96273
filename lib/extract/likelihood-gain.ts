import type { SteeringError } from "../errors.js";
import type { Engine } from "../engine/index.js";
import { generateText, scoreTokens, type Steering } from "../generate/index.js";
import { promptTokens, type FormatOptions } from "../prompt/index.js";
import { formatOf, type VectorData } from "../vector/index.js";
import { promptsUnder, type Descriptions } from "./descriptions.js";

interface GainOptions extends Pick<FormatOptions, "templateVariables"> {
  /** Questions that the vector was not made from. */
  questions: readonly string[];
  maxNewTokens: number;
  signal?: AbortSignal;
}

/**
 * By how many nats per token steered answers are likelier towards the description than unsteered ones, as a mean over the questions; NaN
 * if none has an answer.
 */
export type MeasureGain = (vector: VectorData, alpha: number) => Promise<number>;

/**
 * Prepares to measure whether a vector has the effect that its descriptions name. The model itself judges: the log odds of an answer are
 * its mean log probability per token under the first description minus that under the second one.
 */
export function gainMeasure(model: Engine, descriptions: Descriptions, { questions, maxNewTokens, ...options }: GainOptions): MeasureGain {
  const { templateVariables, signal } = options;
  let unsteered: Array<Promise<number>> | undefined;
  const odds = async (index: number, format: FormatOptions["format"], steer: readonly Steering[]): Promise<number> => {
    const question = questions[index]!;
    const how = { ...(format && { format }), ...(templateVariables && { templateVariables }) };
    const asked = await promptTokens(model, question, how);
    const { tokens } = await generateText(model, asked, { steer, maxNewTokens, ...(signal && { signal }) });
    const answer = tokens.map(({ token }) => token).filter((token) => !model.isEndOfGeneration(token));
    if (answer.length === 0) return NaN;
    const prompts = await promptsUnder(model, descriptions, index, question, how);
    const [towards, away] = await Promise.all([prompts.positive, prompts.negative].map(async (prompt) => {
      const scores = await scoreTokens(model, prompt, answer, { ...(signal && { signal }) });
      return scores.reduce((sum, score) => sum + score, 0) / scores.length;
    }));
    return towards! - away!;
  };
  return async (vector, alpha) => {
    const format = formatOf(vector.provenance);
    const steer: Steering = { vector, schedule: { kind: "fixed", alpha }, phases: ["thinking", "answer"] };
    unsteered ??= questions.map((_, index) => odds(index, format, []).catch(unknown));
    const steered = questions.map((_, index) => odds(index, format, [steer]).catch(unknown));
    const [before, after] = await Promise.all([Promise.all(unsteered), Promise.all(steered)]);
    return mean(after.map((value, index) => value - before[index]!));
  };
}

/** An answer that breaks the model down, or has no room after its description, is like an empty one. */
function unknown(error: unknown): number {
  if (["E_NOT_FINITE", "E_CONTEXT_FULL"].includes((error as SteeringError).code)) return NaN;
  throw error;
}

/** Leaves out what is unknown. */
function mean(values: readonly number[]): number {
  const known = values.filter((value) => !Number.isNaN(value));
  return known.reduce((sum, value) => sum + value, 0) / known.length;
}
