import { engineVersion } from "../../engine/index.js";
import { packageVersion } from "../../formats/index.js";
import type { GeneratedToken } from "../../generate/index.js";
import type { Answer } from "./answer.js";
import type { Choice, ChoiceEvent, Ended } from "./choice.js";
import { stepDetails } from "./token-details.js";

/** How an API writes answers: each event as a chunk, and all of them as one answer. */
export interface Format {
  /** A chunk of a stream; undefined if there is nothing to send. */
  chunk(event: ChoiceEvent): object | undefined;
  /** The last chunk, with the usage. */
  usageChunk(usage: Usage): object;
  whole(ended: ReadonlyArray<{ choice: Choice; ended: Ended }>, usage: Usage): object;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
}

/** Counts each prompt once, however many answers it has: one computes it, the others share its cells. */
export function usageOf(all: ReadonlyArray<{ choice: Choice; ended: Ended }>): Usage {
  const prompts = new Set(all.map(({ choice }) => choice.settings.prompt));
  const prompted = [...prompts].reduce((sum, prompt) => sum + prompt.length, 0);
  const completed = all.reduce((sum, { ended }) => sum + ended.result.tokens.length, 0);
  const cached = [...prompts].reduce((sum, prompt) => (
    sum + Math.min(...all.flatMap(({ choice, ended }) => (choice.settings.prompt === prompt ? [ended.result.cachedTokens] : [])))
  ), 0);
  return {
    prompt_tokens: prompted, completion_tokens: completed, total_tokens: prompted + completed,
    prompt_tokens_details: { cached_tokens: cached },
  };
}

export const finishReasonOf = ({ result: { finishReason } }: Ended): "stop" | "length" => (finishReason === "length" ? "length" : "stop");

/** What `llama_steer` says of a choice that has ended. */
export function choiceSteering({ settings: { seed } }: Choice, { result, specs, firstTokenSeconds }: Ended): object {
  const { seconds, tokens, work, endReadings } = result;
  return {
    steering: specs, end_readings: endReadings, seed,
    timings: {
      first_token_seconds: firstTokenSeconds, seconds, tokens_per_second: seconds > 0 ? tokens.length / seconds : 0, ...work,
    },
  };
}

/** The details of a token, if the request wants them. */
export function detailsOf({ model, settings: { details } }: Answer, token: GeneratedToken): object | undefined {
  return details.isWanted ? stepDetails(model, token, details.candidates) : undefined;
}

/** All steps of an answer, if the request wants them. */
export function stepsOf(answer: Answer, { result: { tokens } }: Ended): { steps?: object[] } {
  if (!answer.settings.details.isWanted) return {};
  return { steps: tokens.map((token) => detailsOf(answer, token)!) };
}

/** What all chunks and answers begin with. */
export function heading({ id, created, modelId }: Answer, object: string): object {
  return { id, object, created, model: modelId, system_fingerprint: FINGERPRINT };
}

/** What the answers of one seed depend on, besides the model. */
const FINGERPRINT = `llama-steer-${packageVersion()}-llama.cpp-${engineVersion()}`;
