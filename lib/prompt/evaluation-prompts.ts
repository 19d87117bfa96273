import { SteeringError } from "../errors.js";
import type { Dataset } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import { iclTokens, promptGroups, questionTokens, type QaVariant, type PromptGroup } from "./question.js";

/** The token forms of one evaluation prompt. */
export interface EvaluationPrompt {
  question: string;
  gold: string;
  noIcl: number[];
  icl: number[];
  /** The question after demonstrations of a composition's language alone. */
  iclLanguage: number[] | undefined;
}

export interface EvaluationSettings {
  iclExamples: number;
  evaluationSize: number;
  evaluateOn: "groups" | "rows";
  promptFormat: QaVariant;
  maxNewTokens: number;
}

/** The datasets that prompts are made from; often the same one. */
export interface EvaluationData {
  /** The questions and their gold answers. */
  questions: Dataset;
  /** The demonstrations, and the questions after them. */
  icl: Dataset;
  /** The demonstrations of the language alone, shown before the questions. */
  language?: Dataset | undefined;
}

/** Returns the prompts to answer, in the order of the data (docs/method.md §2). Throws E_BAD_DATASET, E_CONTEXT_FULL before computing. */
export function evaluationPrompts(
  model: Engine, { questions, icl, language }: EvaluationData, settings: EvaluationSettings,
): EvaluationPrompt[] {
  const { evaluationSize, promptFormat } = settings;
  const [asked, shown, spoken] = [questions, icl, language].map((dataset) => dataset && evaluationGroups(dataset, settings));
  const n = Math.min(evaluationSize, ...[asked, shown, spoken].flatMap((groups) => (groups ? [groups.length] : [])));
  return Array.from({ length: n }, (_, index) => {
    const { query } = asked![index]!;
    const languageGroup = spoken && { demonstrations: spoken[index]!.demonstrations, query };
    const prompt: EvaluationPrompt = {
      question: query.input, gold: query.output,
      noIcl: questionTokens(model, query.input, promptFormat),
      icl: iclTokens(model, icl.instruction, shown![index]!, promptFormat),
      iclLanguage: languageGroup && iclTokens(model, language!.instruction, languageGroup, promptFormat),
    };
    const longest = Math.max(prompt.noIcl.length, prompt.icl.length, prompt.iclLanguage?.length ?? 0) + settings.maxNewTokens;
    if (longest > model.maxContext) {
      throw new SteeringError("E_CONTEXT_FULL", `prompt ${index} of ${icl.name} and its answer take ${longest} tokens, but the model's `
        + `context holds ${model.maxContext}. Use fewer demonstrations (--icl-examples)`);
    }
    return prompt;
  });
}

function evaluationGroups(dataset: Dataset, { evaluateOn, iclExamples }: EvaluationSettings): PromptGroup[] {
  return evaluateOn === "groups" ? promptGroups(dataset, iclExamples) : rowGroups(dataset, iclExamples);
}

/** Every row as a query, each after the `iclExamples` rows before it; the first rows come after the last ones. Throws E_BAD_DATASET. */
export function rowGroups(dataset: Dataset, iclExamples: number): PromptGroup[] {
  const { rows } = dataset;
  if (rows.length <= iclExamples) {
    throw new SteeringError("E_BAD_DATASET",
      `dataset ${dataset.name} has ${rows.length} rows; ${iclExamples} demonstrations and a question need at least ${iclExamples + 1}`);
  }
  return rows.map((query, index) => ({
    demonstrations: Array.from({ length: iclExamples }, (_, i) => rows[(index - iclExamples + i + rows.length) % rows.length]!),
    query,
  }));
}
