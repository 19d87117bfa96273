import { SteeringError } from "../errors.js";
import type { Engine } from "../engine/index.js";
import {
  deltaPerplexityFrom, generateText, perplexityOf, withFoundAlphas, type GenerationResult, type Steering,
} from "../generate/index.js";
import type { EvaluationPrompt } from "../prompt/index.js";
import type { ResultRecord, RunSetting } from "../results/index.js";

export interface AnswerOptions {
  settings: readonly RunSetting[];
  /** The vectors that the settings refer to by index. */
  vectors: readonly SteeringPart[];
  maxNewTokens: number;
  signal?: AbortSignal | undefined;
  onAnswer?: (() => void) | undefined;
}

/** A vector, or parts of it, without a schedule. */
export type SteeringPart = Omit<Steering, "schedule">;

/**
 * Answer one prompt in every setting, all at once, and measure each setting's ΔPPL (docs/method.md §6): take the answer that the model
 * gives after demonstrations; ΔPPL is its perplexity under the setting's prompt and steering minus its perplexity where it was written.
 */
export async function answerPrompt(
  model: Engine,
  index: number,
  prompt: EvaluationPrompt,
  options: AnswerOptions,
): Promise<ResultRecord[]> {
  const { settings, vectors, maxNewTokens, signal, onAnswer } = options;
  const generation = { maxNewTokens, stop: prompt.stop, ...(signal && { signal }) };
  const icl = generateText(model, prompt.icl, { ...generation, logProbabilities: true });
  const reference = icl.then((result) => referenceOf(model, result));
  reference.catch(() => undefined); // each setting awaits it below

  return Promise.all(settings.map(async ({ label, prompt: kind, steer: terms }): Promise<ResultRecord> => {
    const record: ResultRecord = {
      prompt: index, setting: label, question: prompt.question, gold: prompt.gold,
      text: "", tokens: [], finishReason: "failed", alphas: [], kls: [], perplexity: null, deltaPerplexity: null,
    };
    try {
      const steer = terms.map(({ vector, schedule }): Steering => ({ ...vectors[vector]!, schedule }));
      const tokens = { "no-icl": prompt.noIcl, icl: prompt.icl, "icl-language": prompt.iclLanguage!, prompted: prompt.prompted! }[kind];
      const answer = kind === "icl" ? await icl : await generateText(model, tokens, { ...generation, steer });
      Object.assign(record, readAnswer(answer, terms.length));
      const expected = await reference;
      if (kind === "icl") record.perplexity = expected?.perplexity ?? null;
      else if (kind !== "icl-language" && expected) {
        const scoring = { steer: withFoundAlphas(steer, answer), ...(signal && { signal }) };
        record.deltaPerplexity = await deltaPerplexityFrom(model, tokens, expected, scoring);
      }
    } catch (error) {
      if ((error as SteeringError).code !== "E_NOT_FINITE") throw error;
      record.error = (error as SteeringError).message; // a model that breaks down under strong steering is a result
    }
    onAnswer?.();
    return record;
  }));
}

/** The answer after demonstrations, without its end token, and its perplexity. Undefined for an empty answer. */
function referenceOf(model: Engine, { tokens }: GenerationResult): { tokens: number[]; perplexity: number } | undefined {
  const own = tokens.filter(({ token }) => !model.isEndOfGeneration(token));
  if (own.length === 0) return undefined;
  return { tokens: own.map(({ token }) => token), perplexity: perplexityOf(own.map(({ logProbability }) => logProbability!)) };
}

export type AnswerFields = Pick<ResultRecord, "text" | "answer" | "tokens" | "finishReason" | "alphas" | "kls">;

/** What a record holds of an answer. */
export function readAnswer({ text, answer, tokens, finishReason, endReadings }: GenerationResult, nVectors: number): AnswerFields {
  const steps = tokens.map(({ readings }) => readings);
  if (endReadings && steps.at(-1) !== endReadings) steps.push(endReadings);
  const perVector = <T>(read: (reading: { alpha: number; kl: number | null }) => T): T[][] =>
    Array.from({ length: nVectors }, (_, vector) => steps.map((readings) => read(readings[vector]!)));
  return {
    text, ...(answer !== text && { answer }), tokens: tokens.map(({ token }) => token), finishReason,
    alphas: perVector(({ alpha }) => alpha),
    kls: perVector(({ kl }) => kl).map((kls) => (kls.every((kl) => kl !== null) && kls.length > 0 ? kls as number[] : null)),
  };
}
