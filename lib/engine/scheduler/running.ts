import type { Place, Task } from "./task.js";

/** A task that the scheduler has given sequences and cells. */
export interface Running {
  task: Task;
  sequences: number[];
  nCells: number;
  /** Tokens of the prompt in the cache. */
  fed: number;
  token: number;
  step: number;
  cancelled: boolean;
  /** Whose prompt begins alike, and for how many tokens: its cells are shared once they are there. */
  donor: { from: Running; nTokens: number } | undefined;
}

/** A common beginning of fewer tokens is not worth waiting for. */
const LEAST_SHARED = 4;

/** Tokens of the prompt that are fed: all but the last, whose row is that of the first step, or all where there is no step. */
export function toFeed({ prompt, reading }: Task): number {
  return reading ? prompt.length : prompt.length - 1;
}

export function isFeeding({ task, fed }: Running): boolean {
  return fed < toFeed(task);
}

/** A task that wanted nothing but its prompt, and has it. */
export function isRead(running: Running): boolean {
  return running.task.reading !== undefined && !running.cancelled && !isFeeding(running);
}

export function placeOf({ task, token, step, sequences }: Running): Place {
  return { token, position: task.prompt.length - 1 + step, step, sequences };
}

/** Tokens that two prompts begin with alike: of the donor's those that are fed, of the taker's those of which nothing else is wanted. */
function commonPrefix(donor: Task, taker: Task): number {
  const most = Math.min(toFeed(donor), taker.reading?.from ?? toFeed(taker));
  let length = 0;
  while (length < most && donor.prompt[length] === taker.prompt[length]) length++;
  return length;
}

/** Cells that a task fills at most: its prompt once for all sequences, its answer once for each. */
export function cellsOf({ prompt, nSequences, maxNewTokens }: Task): number {
  return prompt.length + nSequences * maxNewTokens;
}

/**
 * The running task whose prompt begins like this one's for longest, the first of several; of those that came before it.
 * `whole`: only one whose prompt is all of the beginning, and which has taken no step: its sequence is shared as it is.
 */
export function donorFor(task: Task, running: readonly Running[], whole = false): Running["donor"] {
  let best: Running["donor"];
  for (const from of running) {
    if (from.task === task && !from.cancelled) break;
    const nTokens = from.cancelled ? 0 : commonPrefix(from.task, task);
    if (whole && (nTokens < toFeed(from.task) || from.step > 0)) continue;
    if (nTokens >= LEAST_SHARED && nTokens > (best?.nTokens ?? 0)) best = { from, nTokens };
  }
  return best;
}
