import { join } from "node:path";
import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError, throwIfAborted } from "../errors.js";
import type { Engine } from "../engine/index.js";
import { listOf, packageRoot, parseJson, readUtf8 } from "../formats/index.js";
import { scoreTokens, type ScoreOptions } from "../generate/index.js";
import { share, signTest, type Estimate } from "../maths/index.js";
import { promptTokens, resolveFormat, type FormatOptions } from "../prompt/index.js";

/** More would be a benchmark of its own. */
const MAX_QUESTIONS = 10_000;
const MAX_BYTES = 2 ** 23;
/** Questions that are scored at once. */
const BATCH = 8;

const text = z.string().refine((value) => value.trim() !== "", "expected a text that is not empty");
const choiceSchema = z.strictObject({ question: text, right: text, wrong: listOf(text, 9, 1) })
  .refine(({ right, wrong }) => new Set([right, ...wrong]).size === wrong.length + 1, "two options are the same");
const choicesSchema = listOf(choiceSchema, MAX_QUESTIONS, 1);

/** A question of which one answer is right. */
export type ChoiceQuestion = z.infer<typeof choiceSchema>;

/** Options of `knowledge`. */
export interface KnowledgeOptions extends FormatOptions, ScoreOptions {
  /** Default: 60 everyday facts of ours, with four options each. */
  questions?: readonly ChoiceQuestion[];
  /** Reports the questions answered so far and the total. */
  onProgress?: (done: number, total: number) => void;
}

/** What a model knows. */
export interface Knowledge {
  /** Whether each question was answered correctly. */
  correct: boolean[];
  /** Share of the questions answered correctly, with its 95 % interval. */
  share: Estimate;
  /** Mean over the questions of the log probability, per byte, of the right option minus that of the likeliest wrong one. */
  margin: number;
}

/** Read multiple-choice questions from a JSON file: a list of `{ question, right, wrong }`. Throws E_NOT_FOUND, E_BAD_DATASET. */
export async function loadChoices(path = join(packageRoot(), "models", "facts.json")): Promise<ChoiceQuestion[]> {
  const json = parseJson(await readUtf8(path, "E_BAD_DATASET", MAX_BYTES), path, "E_BAD_DATASET");
  return parsedBy(choicesSchema, json, (problem) => new SteeringError("E_BAD_DATASET", `${path}: ${problem}`));
}

/**
 * Measure what a model knows, steered or not: for each question it takes the option that is likeliest as an answer, per byte of its
 * text (docs/method.md §11). The options stand in no order, so nothing depends on their places.
 *
 * @throws SteeringError E_BAD_DATASET (not questions), E_BAD_ARGUMENT, E_CONTEXT_FULL, E_MODEL_MISMATCH, E_NOT_FINITE, E_ABORTED
 */
export async function knowledge(model: Engine, options: KnowledgeOptions = {}): Promise<Knowledge> {
  const { questions: given, onProgress, format: asked, system, templateVariables, ...scoring } = options;
  const questions = given === undefined ? await loadChoices()
    : parsedBy(choicesSchema, given, (problem) => new SteeringError("E_BAD_DATASET", `the questions: ${problem}`));
  const format = resolveFormat(model, asked);
  const how = { format, ...(system !== undefined && { system }), ...(templateVariables && { templateVariables }) };
  const lead = format === "chat" ? "" : " ";
  const margins: number[] = [];
  for (let from = 0; from < questions.length; from += BATCH) {
    throwIfAborted(scoring.signal);
    onProgress?.(from, questions.length);
    margins.push(...await Promise.all(questions.slice(from, from + BATCH).map(async ({ question, right, wrong }) => {
      const prompt = await promptTokens(model, question, how);
      const [first, ...others] = await Promise.all([right, ...wrong].map(async (option) => {
        const tokens = model.tokenise(`${lead}${option}`, { bos: false });
        return (await scoreTokens(model, prompt, tokens, scoring)).reduce((sum, each) => sum + each, 0) / Buffer.byteLength(option);
      }));
      return first! - Math.max(...others);
    })));
  }
  onProgress?.(questions.length, questions.length);
  const correct = margins.map((margin) => margin > 0);
  return {
    correct, share: share(correct.filter(Boolean).length, correct.length),
    margin: margins.reduce((sum, margin) => sum + margin, 0) / margins.length,
  };
}

/** What was lost and won between two measurements of the same questions. */
export interface KnowledgeChange {
  /** Questions answered correctly only before, and only after. */
  lost: number;
  won: number;
  /** Probability of a change at least as uneven by chance: McNemar's exact test. */
  p: number;
}

/** Compare two measurements of the same questions. Throws E_SHAPE. */
export function knowledgeChange(before: Pick<Knowledge, "correct">, after: Pick<Knowledge, "correct">): KnowledgeChange {
  if (before.correct.length !== after.correct.length) {
    throw new SteeringError("E_SHAPE",
      `${before.correct.length} answers before and ${after.correct.length} after; expected answers to the same questions`);
  }
  const lost = before.correct.filter((isCorrect, index) => isCorrect && !after.correct[index]).length;
  const won = after.correct.filter((isCorrect, index) => isCorrect && !before.correct[index]).length;
  return { lost, won, p: signTest(won, lost) };
}
