import { inOrder } from "../capture/index.js";
import type { Engine } from "../engine/index.js";
import { detectLanguage, type LanguageGuess } from "../evaluate/index.js";
import { writeFileAtomic } from "../formats/index.js";
import { generateText, type GenerationResult, type Steering } from "../generate/index.js";
import { promptTokens, promptTokensUnder, QUESTION_STOP, resolveFormat, type FormatOptions } from "../prompt/index.js";
import type { Schedule } from "../steering/index.js";
import type { Provenance } from "../vector/index.js";

/** A labelled way to answer: which vectors steer, with which schedules, or what a system message asks for. */
export interface Setting {
  label: string;
  steer: readonly Steering[];
  /** A system message that asks for the property: the prompted baseline. In the formats `qa` and `raw`, an opening paragraph. */
  prompted?: string;
}

/** One answer of a comparison. */
export interface Answer extends GenerationResult {
  question: string;
  setting: string;
  detected: LanguageGuess;
}

/** Options of `compare`. */
export interface CompareOptions extends FormatOptions {
  maxNewTokens: number;
  /** Answer a question in all settings at once: sooner, but the answers share the seconds; default false. */
  atOnce?: boolean;
  signal?: AbortSignal;
  /** Called after every answer. */
  onAnswer?: (answer: Answer) => void;
}

/** Answer every question in every setting, and detect the language of each answer, without the thoughts before it. */
export async function compare(
  model: Engine,
  questions: readonly string[],
  settings: readonly Setting[],
  options: CompareOptions,
): Promise<Answer[]> {
  const { maxNewTokens, atOnce = false, signal, onAnswer } = options;
  const format = resolveFormat(model, options.format);
  const stop = format === "qa" ? [QUESTION_STOP] : [];
  const answers: Answer[] = [];
  for (const question of questions) {
    const prompt = await promptTokens(model, question, { ...options, format });
    const answerIn = async ({ label, steer, prompted }: Setting, inner: AbortSignal): Promise<Answer> => {
      const asked = prompted === undefined ? prompt : await promptTokensUnder(model, prompted, question, { ...options, format });
      const result = await generateText(model, asked, { steer, maxNewTokens, stop, signal: inner });
      return { ...result, question, setting: label, detected: await detectLanguage(result.answer) };
    };
    for (const group of atOnce ? [settings] : settings.map((setting) => [setting])) {
      for await (const answer of inOrder(group, answerIn, signal)) {
        answers.push(answer);
        onAnswer?.(answer);
      }
    }
  }
  return answers;
}

/** Summary of a setting's answers. */
export interface SettingSummary {
  setting: string;
  /** Answers detected as the wanted language, out of `n`. */
  hits: number;
  n: number;
  tokensPerSecond: number;
}

/** Summarise hits and speed per setting, in the order in which the settings first appear. */
export function summarise(answers: readonly Answer[], language: string): SettingSummary[] {
  const settings = [...new Set(answers.map((answer) => answer.setting))];
  return settings.map((setting) => {
    const own = answers.filter((answer) => answer.setting === setting);
    const tokens = own.reduce((sum, answer) => sum + answer.tokens.length, 0);
    const seconds = own.reduce((sum, answer) => sum + answer.seconds, 0);
    const hits = own.filter((answer) => answer.detected.language === language).length;
    return { setting, hits, n: own.length, tokensPerSecond: tokens / seconds };
  });
}

/** A saved comparison. */
export interface Comparison {
  model: string;
  quantisation: string;
  /** Path of the vector file. */
  vector: string;
  provenance: Provenance;
  schedules: Record<string, Schedule>;
  summary: SettingSummary[];
  answers: Answer[];
}

/** Write a comparison as JSON, atomically. */
export async function saveComparison(path: string, comparison: Comparison): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(comparison, null, 2)}\n`);
}
