import { existsSync } from "node:fs";
import { SteeringError } from "../errors.js";
import { Engine, openEngine } from "../engine/index.js";
import { isNamedModel } from "../models/index.js";
import type { ResultRecord, RunFile } from "../results/index.js";

/** UTF-8 bytes of tokens, by id. */
export type TokenBytes = ReadonlyMap<number, Uint8Array>;

/** The bytes, or why they cannot be had. */
export interface Vocabulary {
  bytes?: TokenBytes;
  missing?: string;
}

/**
 * Texts of these tokens by the run's model, if its file lies on this machine: nothing is downloaded, and nothing computed.
 * A model with another vocabulary than the run's is not asked.
 */
export async function readVocabulary({ model: { name, fingerprint } }: Pick<RunFile, "model">, tokens: ReadonlySet<number>): Promise<Vocabulary> {
  if (tokens.size === 0) return { missing: "the run holds no tokens" };
  if (!isNamedModel(name) && !existsSync(name)) return { missing: `the model ${name} is not on this machine` };
  try {
    await using model = new Engine(...await openEngine(name, { gpuLayers: 0 }));
    if (model.info.tokenizerHash !== fingerprint["tokenizerHash"]) return { missing: `the model ${name} on this machine has another vocabulary than the run's` };
    return { bytes: new Map([...tokens].map((token) => [token, model.detokenise([token])])) };
  } catch (error) {
    if (error instanceof SteeringError) return { missing: `the model ${name} cannot be asked for its tokens: ${error.message}` };
    throw error;
  }
}

/** A token of an answer as it is shown. */
export interface TokenPiece {
  /** Empty for a token that only begins a character: the one that ends it has the whole. */
  text: string;
  /** α of each vector at this step; none for an unsteered answer. */
  alphas: number[];
  /** Whether the token is part of the answer's text, or was cut off with a stop string. */
  isKept: boolean;
}

/** What a token that belongs to the next one's character is shown as. */
export const PART = "◌";
const END = "∎";

/**
 * The tokens of an answer with their texts and alphas; undefined where tokens or texts are missing. A last α without a
 * token is that of the end of the answer.
 */
export function tokenPieces({ tokens, text, alphas }: Pick<ResultRecord, "tokens" | "text" | "alphas">, bytes: TokenBytes | undefined): TokenPiece[] | undefined {
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
