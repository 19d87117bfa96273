import { randomInt } from "node:crypto";
import type { Sampling } from "../../engine/index.js";
import type { LoadedSteering } from "../../vector/index.js";
import type { Probe } from "../../probe/index.js";
import type { ChatRequest, CompletionRequest } from "../schemas/index.js";

const SEEDS = 2 ** 31;
/** Without `max_tokens`, an answer takes what the context leaves, but no more than this. */
const USUAL_MOST = 512;

/** The common settings of a request's answers. */
export interface AnswerSettings {
  sampling: Sampling;
  stop: readonly string[];
  monitor: readonly Probe[];
  /** Whether every token is described, and with how many candidates per stream. */
  details: { isWanted: boolean; candidates: number };
  /** Alternatives per token of `logprobs`; undefined: no log probabilities. */
  logprobs: number | undefined;
  isStream: boolean;
  hasUsage: boolean;
}

/** What one choice begins with. */
export interface ChoiceSettings {
  index: number;
  prompt: readonly number[];
  /** The beginning of its text that `echo` repeats. */
  echo: string;
  maxNewTokens: number;
  seed: number;
  /** Tokens that it begins with. */
  firstTokens: readonly number[];
  steer: readonly LoadedSteering[];
}

type Given = Omit<ChatRequest, "messages" | "logprobs"> | Omit<CompletionRequest, "prompt" | "logprobs">;

/** The sampler of a request; its seed is that of each choice. */
export function samplingOf(given: Given): Sampling {
  const values: Sampling = {
    temperature: given.temperature ?? ((given.n ?? 1) > 1 ? 1 : 0),
    ...present({
      topP: given.top_p, topK: given.top_k, minP: given.min_p, typicalP: given.typical_p, presencePenalty: given.presence_penalty,
      frequencyPenalty: given.frequency_penalty, repeatPenalty: given.repeat_penalty, repeatLastN: given.repeat_last_n,
      grammar: given.grammar, logitBias: given.logit_bias,
    }),
  };
  const { response_format: format } = given;
  if (format?.type === "json_object") return { ...values, jsonSchema: { type: "object" } };
  if (format?.type === "json_schema") return { ...values, jsonSchema: format.json_schema.schema ?? {} };
  return values;
}

/** The settings that chat and text completions share. */
export function commonSettings(given: Given, monitor: readonly Probe[], logprobs: number | undefined): AnswerSettings {
  const { stop, steering_details: details } = given;
  return {
    sampling: samplingOf(given), monitor, logprobs, stop: typeof stop === "string" ? [stop] : stop ?? [],
    details: { isWanted: details === true || (typeof details === "object" && details !== null), candidates: countOf(details) },
    isStream: given.stream ?? false, hasUsage: given.stream_options?.include_usage ?? false,
  };
}

/** The seed of the first choice. */
export function firstSeed({ seed }: Given): number {
  return seed ?? randomInt(SEEDS);
}

export function nextSeed(first: number, index: number): number {
  return (first + index) % SEEDS;
}

/** How many tokens an answer may have if the request does not say. */
export function usualMost(maxContext: number, nPrompt: number): number {
  return Math.max(1, Math.min(USUAL_MOST, maxContext - nPrompt));
}

export function countOf(details: Given["steering_details"]): number {
  return typeof details === "object" && details !== null ? details.candidates : 0;
}

function present<T extends object>(values: T): { [K in keyof T]?: NonNullable<T[K]> } {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null);
  return Object.fromEntries(given) as { [K in keyof T]?: NonNullable<T[K]> };
}
