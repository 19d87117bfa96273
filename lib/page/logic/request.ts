import type { Setting } from "./setting.js";
import type { SteeringEntry } from "./steering.js";

/** A question, and the answer if there is one already. */
export interface Turn {
  question: string;
  answer?: string;
}

export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
}

/** What is asked: the input of a request to answer or to score it, and what ends the answer. */
export interface Asked {
  input: { messages: Message[] } | { prompt: string };
  stop: string[];
}

/** Ends an answer of a base model that goes on to ask itself the next question. */
const QUESTION = "Q:";

/** The conversation for a model with a chat template; otherwise, the last question as base models are asked. */
export function conversation(format: "chat" | "qa", turns: readonly Turn[], system: string): Asked {
  if (format === "qa") {
    return { input: { prompt: `${system === "" ? "" : `${system}\n\n`}${QUESTION}${turns.at(-1)!.question}\nA:` }, stop: [QUESTION] };
  }
  const messages: Message[] = turns.flatMap(({ question, answer }): Message[] => [
    { role: "user", content: question }, ...(answer === undefined ? [] : [{ role: "assistant" as const, content: answer }]),
  ]);
  return { input: { messages: system === "" ? messages : [{ role: "system", content: system }, ...messages] }, stop: [] };
}

/** The body of a request for an answer. With a temperature, all columns draw with the same seed. */
export function requestBody(
  { model, maxTokens, temperature }: Pick<Setting, "model" | "maxTokens" | "temperature">, { input, stop }: Asked,
  steering: readonly SteeringEntry[], seed: number,
): Record<string, unknown> {
  return {
    ...(model !== undefined && { model }), ...input, max_tokens: maxTokens, ...(temperature > 0 && { temperature, seed }),
    ...(stop.length > 0 && { stop }), steering,
  };
}
