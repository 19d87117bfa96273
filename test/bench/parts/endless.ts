import type { Model, Sampling } from "../../../lib/index.js";

/** Sampling under which an answer does not end by itself, so that every generation has as many tokens. */
export function endless(model: Model): Sampling {
  const tokens = Array.from({ length: model.info.nVocab }, (_, token) => token);
  return { logitBias: Object.fromEntries(tokens.filter((token) => model.isEndOfGeneration(token)).map((token) => [token, -Infinity])) };
}
