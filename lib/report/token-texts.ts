import { existsSync } from "node:fs";
import { SteeringError } from "../errors.js";
import { Engine, openEngine } from "../engine/index.js";
import { isNamedModel } from "../models/index.js";
import type { ResultRecord, RunFile } from "../results/index.js";

/** UTF-8 bytes of tokens, by id. */
export type TokenBytes = ReadonlyMap<number, Uint8Array>;

/** The bytes, or why they are not available. */
export interface Vocabulary {
  bytes?: TokenBytes;
  missing?: string;
}

/**
 * Look up the texts of tokens in the run's model if its file is on this machine. Never downloads or computes anything, and does not use
 * a model whose vocabulary differs from the run's.
 */
export async function readVocabulary(
  { model: { name, fingerprint } }: Pick<RunFile, "model">,
  tokens: ReadonlySet<number>,
): Promise<Vocabulary> {
  if (tokens.size === 0) return { missing: "the run contains no tokens" };
  if (!isNamedModel(name) && !existsSync(name)) return { missing: `the model ${name} is not on this machine` };
  try {
    await using model = new Engine(...(await openEngine(name, { gpuLayers: 0 })));
    if (model.info.tokenizerHash !== fingerprint["tokenizerHash"]) {
      return { missing: `the vocabulary of the model ${name} on this machine differs from that of the run` };
    }
    return { bytes: new Map([...tokens].map((token) => [token, model.detokenise([token])])) };
  } catch (error) {
    if (error instanceof SteeringError) return { missing: `the tokens of the model ${name} cannot be read: ${error.message}` };
    throw error;
  }
}

/** A token of an answer, for display. */
export interface TokenPiece {
  /** Empty for a token that only starts a character; the token that completes the character contains all of it. */
  text: string;
  /** α of each vector at this step; none for an unsteered answer. */
  alphas: number[];
  /** Whether the token is part of the answer's text; false if it was cut off with a stop string. */
  isKept: boolean;
}

/** Shown for a token that is only part of the next token's character. */
export const PART = "◌";
const END = "∎";

/**
 * The tokens of an answer with their texts and alphas; undefined if tokens or texts are missing. A last α without a token belongs to
 * the end of the answer.
 */
export function tokenPieces(
  { tokens, text, alphas }: Pick<ResultRecord, "tokens" | "text" | "alphas">,
  bytes: TokenBytes | undefined,
): TokenPiece[] | undefined {
  if (!bytes || tokens.length === 0 || tokens.some((token) => !bytes.has(token))) return undefined;
  const decoder = new TextDecoder();
  let written = 0;
  const pieces = tokens.map((token, step): TokenPiece => {
    const isKept = written < text.length;
    const piece = decoder.decode(bytes.get(token), { stream: step < tokens.length - 1 });
    written += piece.length;
    return { text: piece, alphas: alphas.map((ofVector) => ofVector[step] ?? 0), isKept };
  });
  const end = alphas.length > 0 && alphas.every((ofVector) => ofVector.length === tokens.length + 1);
  return end ? [...pieces, { text: END, alphas: alphas.map((ofVector) => ofVector.at(-1)!), isKept: false }] : pieces;
}
