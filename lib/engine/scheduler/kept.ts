import { sharedCells, type Cells } from "./cells.js";
import { LEAST_SHARED, mostShared, prefillLength, type Running } from "./running.js";
import { promptCells, type Task } from "./task.js";

/**
 * Where tasks run one by one, the result of a turn must not depend on what was kept. ggml rounds a row differently in batches of different
 * sizes, so such prompts are computed in batches that begin at multiples of this number, and only whole ones are kept.
 */
const EXACT_ROWS = 64;

/** A sequence that stays after its task's end, until a task begins with its cells or needs their room. */
export interface Kept {
  owner: object;
  sequence: number;
  cells: Cells;
}

/** Kept cells with which a task begins. */
export interface Beginning {
  kept: Kept;
  nTokens: number;
}

/** How cells may be kept. */
export interface Keeping {
  /** Sequences are only kept and shared as a whole. */
  hasWholeSequences: boolean;
  /** Only whole batches of prompts are kept and shared. */
  isExact: boolean;
}

/** Finds the kept sequence that shares the longest beginning with the task's prompt. */
export function beginningOf(task: Task, all: readonly Kept[], { hasWholeSequences, isExact }: Keeping): Beginning | undefined {
  let best: Beginning | undefined;
  for (const kept of all) {
    const shared = sharedCells(kept.cells, promptCells(task), mostShared(task));
    const nTokens = isExact ? wholeBatches(shared) : shared;
    if (hasWholeSequences && nTokens < kept.cells.tokens.length) continue;
    if (nTokens >= LEAST_SHARED && nTokens > (best?.nTokens ?? 0)) best = { kept, nTokens };
  }
  return best;
}

/** What to keep of a task that has ended or was left. A sequence that cannot be cut is kept whole or not at all. */
export function keptOf(
  { task, sequences, step, computed, hasEnded }: Running, { hasWholeSequences, isExact }: Keeping,
): Kept | undefined {
  if (task.kind !== "steps" || !task.keeps || (hasWholeSequences && !hasEnded)) return undefined;
  const { owner } = task.keeps;
  const isPrefilled = computed === prefillLength(task) && !isExact;
  const { sequence, cells } = isPrefilled ? task.keeps.keptCells(step) : { sequence: 0, cells: promptCells(task) };
  const length = isPrefilled ? cells.tokens.length : isExact ? wholeBatches(computed) : computed;
  if (length < LEAST_SHARED || (hasWholeSequences && length < computed + step)) return undefined;
  return { owner, sequence: sequences[sequence]!, cells: { ...cells, tokens: cells.tokens.slice(0, length) } };
}

/** Number of prompt rows that one batch may have: those up to its end. */
export function mostAtOnce({ task, prefilled }: Running, { isExact }: Keeping): number {
  return isExact && task.kind === "steps" && task.keeps ? EXACT_ROWS - prefilled % EXACT_ROWS : Infinity;
}

function wholeBatches(nRows: number): number {
  return nRows - nRows % EXACT_ROWS;
}
