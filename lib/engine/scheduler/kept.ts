import { sharedCells, type Cells } from "./cells.js";
import { LEAST_SHARED, mostShared, prefillLength, type Running } from "./running.js";
import { promptCells, type Task } from "./task.js";

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

/**
 * Finds the kept sequence that shares the longest beginning with the task's prompt. `whole`: only accepts sequences all of whose cells are
 * that beginning.
 */
export function beginningOf(task: Task, all: readonly Kept[], whole: boolean): Beginning | undefined {
  let best: Beginning | undefined;
  for (const kept of all) {
    const nTokens = sharedCells(kept.cells, promptCells(task), mostShared(task));
    if (whole && nTokens < kept.cells.tokens.length) continue;
    if (nTokens >= LEAST_SHARED && nTokens > (best?.nTokens ?? 0)) best = { kept, nTokens };
  }
  return best;
}

/** What to keep of a task that runs no more. `whole`: nothing, unless the task has ended and its sequence has exactly the cells to keep. */
export function keptOf({ task, sequences, step, computed, hasEnded }: Running, whole = false): Kept | undefined {
  if (task.kind !== "steps" || !task.keeps || (whole && !hasEnded)) return undefined;
  const { owner } = task.keeps;
  const isPrefilled = computed === prefillLength(task);
  const { sequence, cells } = isPrefilled ? task.keeps.keptCells(step, sequences.length)
    : { sequence: 0, cells: { ...promptCells(task), tokens: task.prompt.slice(0, computed) } };
  const { length } = cells.tokens;
  if (length < LEAST_SHARED || (whole && length < computed + step)) return undefined;
  return { owner, sequence: sequences[sequence]!, cells };
}
