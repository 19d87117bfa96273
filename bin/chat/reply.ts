import { SteeringError, type GeneratedToken, type GenerationResult, type GenerationStream } from "../../lib/index.js";

/** An answer, whole or in part. */
export interface Reply {
  question: string;
  /** The answer without the thoughts before it. */
  text: string;
  thoughts: string;
  tokens: GeneratedToken[];
  /** Duration of the steps that produced the tokens. */
  seconds: number;
  finishReason: GenerationResult["finishReason"] | "interrupted";
  /** Known of whole answers. */
  result?: GenerationResult;
}

/** What follows an answer, and what may stop it. */
export interface Listener {
  onToken: (token: GeneratedToken) => void;
  signal: AbortSignal;
}

/** Reads an answer to its end, or to where the signal stops it. Throws E_ABORTED if that is before its first token. */
export async function readReply(question: string, stream: GenerationStream, { onToken, signal }: Listener): Promise<Reply> {
  const tokens: GeneratedToken[] = [];
  const begun = { at: performance.now() };
  try {
    for await (const token of stream) {
      if (tokens.push(token) === 1) begun.at = performance.now();
      onToken(token);
    }
  } catch (error) {
    const isStopped = signal.aborted && error instanceof SteeringError && error.code === "E_ABORTED";
    if (!isStopped || tokens.length === 0) throw error;
    const seconds = tokens.length > 1 ? (performance.now() - begun.at) / 1000 : 0;
    const text = (part: "answer" | "thoughts"): string => tokens.map((token) => token[part]).join("");
    return { question, text: text("answer"), thoughts: text("thoughts").trim(), tokens, seconds, finishReason: "interrupted" };
  }
  const result = await stream.result();
  const { answer: text, thoughts, tokens: all, seconds, finishReason } = result;
  return { question, text, thoughts, tokens: all, seconds, finishReason, result };
}
