import { jest } from "@jest/globals";
import { Context } from "../../lib/engine/index.js";
import type { ChatOptions, GenerationResult, LoadModelOptions, Model } from "../../lib/index.js";
import { loadArchitecture, type Scratch } from "./tiny-files.js";

const TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]";
/** What random models may write: letters, since other bytes are read otherwise than they were written. */
const isLetter = (token: number): boolean => token >= 3 + 97 && token < 3 + 123;

/** A tiny random model of an architecture that chats. */
export async function loadChatting(space: Scratch, name: string, options: LoadModelOptions = {}): Promise<Model> {
  const model = await loadArchitecture(space, name, options);
  return Object.assign(model, { info: { ...model.info, chatTemplate: TEMPLATE } });
}

/** Options of a chat of that model: answers of so many letters. */
export function letters(model: Model, maxNewTokens = 5): ChatOptions {
  const others = Array.from({ length: model.info.nVocab }, (_, token) => token).filter((token) => !isLetter(token));
  return { maxNewTokens, logProbabilities: true, sampling: { logitBias: Object.fromEntries(others.map((token) => [token, -Infinity])) } };
}

export const ids = ({ tokens }: GenerationResult): number[] => tokens.map(({ token }) => token);

/** Number of rows that are decoded while `work` runs, and what it returns. */
export async function rowsOf<T>(work: () => Promise<T>): Promise<{ rows: number; result: T }> {
  const decode = jest.spyOn(Context.prototype, "decode");
  try {
    const result = await work();
    return { rows: decode.mock.calls.reduce((sum, [batch]) => sum + batch.size, 0), result };
  } finally {
    decode.mockRestore();
  }
}
