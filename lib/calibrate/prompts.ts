import { SteeringError } from "../errors.js";
import type { Dataset } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import {
  demonstrationTokens, iclTokens, promptTokens, promptTokensUnder, QUESTION_STOP, resolveFormat, rowGroups, type EvaluationPrompt,
  type FormatOptions,
} from "../prompt/index.js";

/** How a calibration measures the cost in fluency. */
export type CostMeasure = "demonstrations" | "perplexity";

interface PromptSettings extends FormatOptions {
  cost: CostMeasure;
  n: number;
  iclExamples: number;
  maxNewTokens: number;
  /** System message of the prompted baseline. */
  message: string | null;
}

/**
 * The questions to answer, in the vector's format, and the same after demonstrations: in the format `chat`, as earlier turns. Without
 * demonstrations both are the same. Throws E_BAD_DATASET, E_CONTEXT_FULL before computing, and what `promptTokens` throws.
 */
export async function calibrationPrompts(
  model: Engine, questions: Dataset, { cost, n, iclExamples, maxNewTokens, message, ...format }: PromptSettings,
): Promise<EvaluationPrompt[]> {
  const resolved = resolveFormat(model, format.format);
  const groups = rowGroups(questions, cost === "perplexity" ? 0 : iclExamples).slice(0, n);
  return Promise.all(groups.map(async (group): Promise<EvaluationPrompt> => {
    const { input, output } = group.query;
    const noIcl = await promptTokens(model, input, format);
    const icl = cost === "perplexity" ? noIcl
      : resolved === "raw" ? iclTokens(model, questions.instruction, group)
      : await demonstrationTokens(model, questions.instruction, group, { ...format, format: resolved });
    const prompted = message === null ? [] : await promptTokensUnder(model, message, input, format);
    const longest = Math.max(noIcl.length, icl.length, prompted.length) + maxNewTokens;
    if (longest > model.maxContext) {
      throw new SteeringError("E_CONTEXT_FULL", `"${input}" with its demonstrations and its answer takes ${longest} tokens, but the `
        + `model's context holds ${model.maxContext}; use fewer demonstrations (iclExamples) or shorter questions`);
    }
    return { question: input, gold: output, stop: resolved === "qa" ? [QUESTION_STOP] : [], noIcl, icl, iclLanguage: undefined, prompted };
  }));
}
