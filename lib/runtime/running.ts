import type { Place, Task } from "./task.js";

/** A task that the scheduler has given sequences and cells. */
export interface Running {
  task: Task;
  sequences: number[];
  nCells: number;
  /** Tokens of the prompt in the cache; all but the last are to be there. */
  fed: number;
  token: number;
  step: number;
  cancelled: boolean;
  /** Whose prompt begins alike, and for how many tokens: its cells are shared once they are there. */
  donor: { from: Running; nTokens: number } | undefined;
}

/** A common beginning of fewer tokens is not worth waiting for. */
const LEAST_SHARED = 4;

export function isFeeding({ task, fed }: Running): boolean {
  return fed < task.prompt.length - 1;
}

export function placeOf({ task, token, step, sequences }: Running): Place {
  return { token, position: task.prompt.length - 1 + step, step, sequences };
}

/** Tokens that two prompts begin with alike, of those that are fed: all but the last. */
function commonPrefix(a: readonly number[], b: readonly number[]): number {
  const most = Math.min(a.length, b.length) - 1;
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}

/** Cells that a task fills at most: its prompt once for all sequences, its answer once for each. */
export function cellsOf({ prompt, nSequences, maxNewTokens }: Task): number {
  return prompt.length + nSequences * maxNewTokens;
}

/** The running task whose prompt begins like this one's for longest, the first of several; of those that came before it. */
export function donorFor(task: Task, running: readonly Running[]): Running["donor"] {
  let best: Running["donor"];
  for (const from of running) {
    if (from.task === task) break;
    const nTokens = from.cancelled ? 0 : commonPrefix(from.task.prompt, task.prompt);
    if (nTokens >= LEAST_SHARED && nTokens > (best?.nTokens ?? 0)) best = { from, nTokens };
  }
  return best;
}
