import { SteeringError } from "../errors.js";
import type { Dataset, Row } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import type { Format } from "../vector/index.js";
import { demonstrationTokens, promptTokens, promptTokensUnder, resolveDemonstrationFormat, type FormatOptions } from "./format.js";
import { iclTokens, promptGroups, QUESTION_STOP, questionTokens, type QaVariant, type PromptGroup } from "./question.js";

/** The token forms of one evaluation prompt. */
export interface EvaluationPrompt {
  question: string;
  gold: string;
  /** End an answer before these texts. */
  stop: string[];
  noIcl: number[];
  icl: number[];
  /** The question after demonstrations of a composition's language alone. */
  iclLanguage: number[] | undefined;
  /** The question under a system message that asks for the property. */
  prompted?: number[];
}

export interface EvaluationSettings {
  iclExamples: number;
  evaluationSize: number;
  evaluateOn: "groups" | "rows";
  promptFormat: QaVariant;
  maxNewTokens: number;
  /** The system message of the prompted baseline; null or none: no such baseline. */
  prompted?: string | null | undefined;
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

/**
 * Returns the prompts to answer in the format `qa`, in the order of the data (docs/method.md §2). Throws E_BAD_DATASET, E_CONTEXT_FULL
 * before computing.
 */
export function evaluationPrompts(model: Engine, data: EvaluationData, settings: EvaluationSettings): EvaluationPrompt[] {
  const { promptFormat } = settings;
  return chosenGroups(data, settings).map(({ query, icl, language }, index) => checkedLength(model, data, settings, index, {
    question: query.input, gold: query.output, stop: [QUESTION_STOP],
    noIcl: questionTokens(model, query.input, promptFormat),
    icl: iclTokens(model, data.icl.instruction, icl, promptFormat),
    iclLanguage: language && iclTokens(model, data.language!.instruction, language, promptFormat),
  }));
}

/**
 * As `evaluationPrompts`, in any format that demonstrations can be written in, and with the prompt of the prompted baseline. Also throws
 * what `demonstrationTokens` and `promptTokensUnder` throw.
 */
export async function formattedPrompts(
  model: Engine, data: EvaluationData, settings: EvaluationSettings, options: FormatOptions = {},
): Promise<EvaluationPrompt[]> {
  const plain = await unpromptedPrompts(model, data, settings, options);
  const { prompted: message, promptFormat } = settings;
  if (typeof message !== "string") return plain;
  const how = { ...options, format: formatOf(model, data, settings, options) };
  return Promise.all(plain.map(async (prompt, index) => checkedLength(model, data, settings, index, {
    ...prompt,
    prompted: promptFormat === "published" ? questionTokens(model, prompt.question, promptFormat, message)
      : await promptTokensUnder(model, message, prompt.question, how),
  })));
}

function formatOf(model: Engine, data: EvaluationData, { promptFormat }: EvaluationSettings, options: FormatOptions): Format {
  const instructions = [data.icl, ...(data.language ? [data.language] : [])].map(({ instruction }) => instruction);
  return resolveDemonstrationFormat(model, instructions, { ...options, promptFormat });
}

async function unpromptedPrompts(
  model: Engine, data: EvaluationData, settings: EvaluationSettings, options: FormatOptions,
): Promise<EvaluationPrompt[]> {
  const format = formatOf(model, data, settings, options);
  if (format === "qa" && options.system === undefined) return evaluationPrompts(model, data, settings);
  const how = { ...options, format };
  return Promise.all(chosenGroups(data, settings).map(async ({ query, icl, language }, index) =>
    checkedLength(model, data, settings, index, {
      question: query.input, gold: query.output, stop: format === "qa" ? [QUESTION_STOP] : [],
      noIcl: await promptTokens(model, query.input, how),
      icl: await demonstrationTokens(model, data.icl.instruction, icl, how),
      iclLanguage: language && await demonstrationTokens(model, data.language!.instruction, language, how),
    })));
}

interface ChosenGroup {
  /** The row to ask. */
  query: Row;
  icl: PromptGroup;
  language: PromptGroup | undefined;
}

/** The rows to ask and their demonstrations. Throws E_BAD_DATASET. */
function chosenGroups({ questions, icl, language }: EvaluationData, settings: EvaluationSettings): ChosenGroup[] {
  const [asked, shown, spoken] = [questions, icl, language].map((dataset) => dataset && evaluationGroups(dataset, settings));
  const n = Math.min(settings.evaluationSize, ...[asked, shown, spoken].flatMap((groups) => (groups ? [groups.length] : [])));
  return Array.from({ length: n }, (_, index) => {
    const { query } = asked![index]!;
    return { query, icl: shown![index]!, language: spoken && { demonstrations: spoken[index]!.demonstrations, query } };
  });
}

/** Throws E_CONTEXT_FULL for a prompt that leaves no room for the answer. */
function checkedLength(
  model: Engine, { icl }: EvaluationData, { maxNewTokens }: EvaluationSettings, index: number, prompt: EvaluationPrompt,
): EvaluationPrompt {
  const lengths = [prompt.noIcl, prompt.icl, prompt.iclLanguage, prompt.prompted].map((tokens) => tokens?.length ?? 0);
  const longest = Math.max(...lengths) + maxNewTokens;
  if (longest <= model.maxContext) return prompt;
  throw new SteeringError("E_CONTEXT_FULL", `prompt ${index} of ${icl.name} and its answer take ${longest} tokens, but the model's `
    + `context holds ${model.maxContext}. Use fewer demonstrations (--icl-examples)`);
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
