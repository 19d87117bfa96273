import { addsTheSame, type Cells, type Term } from "../engine/index.js";

/** How what follows a steered text reads it: as if it had not been steered, or with the vectors that it was generated with. */
export type History = "clean" | "as-generated";
export const HISTORIES: readonly History[] = ["clean", "as-generated"];

const NOTHING: readonly Term[] = [];

/** What a turn of a chat takes over from earlier turns. */
export interface ChatMemory {
  /** The chat, whose cells are kept. */
  owner: object;
  history: History;
  /** The rows of the last turn that is to be read as it was generated. */
  past?: Cells | undefined;
}

/** The terms of a prompt's rows: those of an earlier turn while the prompt has the same tokens, then those of `others`. */
export function termsAfter(
  past: Cells | undefined, prompt: readonly number[], others: () => readonly Term[],
): (position: number) => readonly Term[] {
  const first = past ? prompt.findIndex((token, position) => token !== past.tokens[position]) : 0;
  const nPast = first < 0 ? prompt.length : first;
  return (position) => (past && position < nPast ? past.termsAt?.(position) ?? NOTHING : others());
}

/** The same cells, with all terms in a list, so that they keep nothing else in memory. */
export function listed({ tokens, termsAt }: Cells): Cells {
  const terms = tokens.map((_, position) => termsAt?.(position) ?? NOTHING);
  return { tokens, termsAt: (position) => terms[position] ?? NOTHING };
}

/** A turn's rows: its prompt's, then its answer's. */
export interface Turn {
  prompt: readonly number[];
  promptTerms: (position: number) => readonly Term[];
  /** Tokens that were decided, each with the terms of the row that decided it. */
  steps: ReadonlyArray<{ token: number; terms: readonly Term[]; baseline: readonly Term[] }>;
}

/** The cells of the output stream, or of the unsteered stream P, after some steps. */
export function cellsOfTurn({ prompt, promptTerms, steps }: Turn, stream: "terms" | "baseline", nSteps: number): Cells {
  const done = steps.slice(0, nSteps);
  const first = prompt.length - 1;
  return {
    tokens: [...prompt, ...done.map(({ token }) => token)].slice(0, first + nSteps),
    termsAt: (position) => (position < first ? promptTerms(position) : done[position - first]?.[stream] ?? NOTHING),
  };
}

/** The cells with which a later prompt can begin whose rows have the terms of `others` only. */
export function cleanCells(cells: Cells, nPrompt: number, others: readonly Term[]): Cells {
  let end = Math.min(nPrompt - 1, cells.tokens.length);
  while (end < cells.tokens.length && addsTheSame(cells.termsAt?.(end) ?? NOTHING, others)) end++;
  return { ...cells, tokens: cells.tokens.slice(0, end) };
}
