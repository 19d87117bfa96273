import { SteeringError } from "../errors.js";
import { captureTexts } from "../capture/index.js";
import type { Engine } from "../engine/index.js";
import { promptTokens, type FormatOptions } from "../prompt/index.js";
import type { HookSite } from "../vector/index.js";
import type { ProbeReads } from "./probe.js";

/** A text, with the question that it answers, if any. */
export interface ProbeText {
  question?: string;
  text: string;
}

/** Where and how texts are read. */
export interface ReadOptions extends FormatOptions {
  reads: ProbeReads;
  site: HookSite;
  layers: readonly number[];
  signal?: AbortSignal;
  onProgress?: (done: number, total: number) => void;
}

/**
 * Mean activation of each text after its question, which `raw` leaves out, or that of the last token of its prompt, if it is one:
 * `[layers, width]`; undefined for unreadable texts.
 */
export async function readTexts(
  model: Engine, texts: readonly ProbeText[], options: ReadOptions,
): Promise<Array<Float32Array | undefined>> {
  await promptTokens(model, "Why?", options); // fails if the template refuses every question, which no text is to blame for
  const prompts = new Map<string, Promise<number[]>>();
  const promptOf = (question: string): Promise<number[]> => {
    const prompt = prompts.get(question) ?? promptTokens(model, options.format === "raw" ? "" : question, options);
    prompts.set(question, prompt);
    return prompt;
  };
  const isPrompt = options.reads === "prompt";
  const readable = (await Promise.all(texts.map(async (text, index) => {
    const tokens = await readableText(model, text, isPrompt ? (question) => promptTokens(model, question, options) : promptOf, isPrompt);
    return tokens ? [{ ...tokens, index, question: text.question ?? "" }] : [];
  }))).flat();
  // Adjacent texts that answer the same question share its prompt.
  const order = new Map<string, number>();
  for (const { question } of readable) if (!order.has(question)) order.set(question, order.size);
  readable.sort((a, b) => order.get(a.question)! - order.get(b.question)!);
  const found = new Array<Float32Array | undefined>(texts.length).fill(undefined);
  if (readable.length === 0) return found;
  const pooling = isPrompt ? "last" : "mean";
  for await (const { text, means } of captureTexts(model, readable, { ...options, pooling })) {
    found[readable[text]!.index] = Float32Array.from(means);
  }
  return found;
}

/** Tokens of a text and its prompt, or of a prompt alone; undefined if the text is empty, or too long for the model's context. */
async function readableText(
  model: Engine, { question = "", text }: ProbeText, promptOf: (question: string) => Promise<number[]>, isPrompt: boolean,
): Promise<{ prompt: number[]; answer: number[] } | undefined> {
  const trimmed = text.trim();
  if (trimmed === "") return undefined;
  try {
    const prompt = isPrompt ? [] : await promptOf(question);
    const answer = isPrompt ? await promptOf(trimmed) : model.tokenise(trimmed, { bos: false });
    return answer.length === 0 || prompt.length + answer.length > model.maxContext ? undefined : { prompt, answer };
  } catch (error) {
    // llama.cpp's tokenisers refuse some words.
    if (error instanceof SteeringError && error.code === "E_BAD_ARGUMENT") return undefined;
    throw error;
  }
}
