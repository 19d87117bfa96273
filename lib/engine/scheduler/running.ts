import type { Batch } from "../batch.js";
import type { Context } from "../context.js";
import type { RowTimes } from "../row-times.js";
import { sharedCells } from "./cells.js";
import { isWanted, promptCells, type Place, type PrefillTask, type StepTask, type Task } from "./task.js";

/** A submitted task, and the callbacks that settle its promise. */
export interface Job {
  task: Task;
  end: () => void;
  fail: (error: unknown) => void;
}

/** A job that the scheduler has assigned sequences and cells. */
export interface Running<Kind extends Task = Task> {
  job: Job;
  task: Kind;
  sequences: number[];
  nCells: number;
  /** Number of the prompt's tokens in the cache, once the decode under way has succeeded. */
  prefilled: number;
  /** Number of the prompt's tokens that are certainly in the cache. */
  computed: number;
  token: number;
  step: number;
  /** True once rows of its first step may be in the cache. */
  hasBegun: boolean;
  cancelled: boolean;
  /** True if the task came to its end. */
  hasEnded: boolean;
  /** The task whose prompt has the same first `nTokens`; its cells are shared once they are computed. */
  donor: { from: Running; nTokens: number } | undefined;
}

/** A shorter common prefix is not worth waiting for, nor keeping. */
export const LEAST_SHARED = 4;

/** Number of prompt tokens to prefill: all, or all but the last if the task takes steps, since that row is the first step's. */
export function prefillLength({ kind, prompt }: Task): number {
  return kind === "prefill" ? prompt.length : prompt.length - 1;
}

export function isPrefilling({ task, prefilled }: Running): boolean {
  return prefilled < prefillLength(task);
}

/** True for a prefill task that has been prefilled. */
export function isDone(running: Running): running is Running<PrefillTask> {
  return running.task.kind === "prefill" && !running.cancelled && !isPrefilling(running);
}

/** True for a step task whose prompt has been prefilled. */
export function takesSteps(running: Running): running is Running<StepTask> {
  return running.task.kind === "steps" && !isPrefilling(running);
}

/** True for a task whose next step is wanted. */
export function isStepping(running: Running): running is Running<StepTask> {
  return takesSteps(running) && !running.cancelled && isWanted(running.task);
}

/** `stepping`: all tasks that step in the same decode. */
export function placeOf(
  { task, token, step, sequences }: Running, context: Context, stepping: ReadonlyArray<Running<StepTask>>, rowTimes: RowTimes,
): Place {
  const position = task.prompt.length - 1 + step;
  const spare = context.options.nOutputsMax - stepping.reduce((sum, { task: { nSequences } }) => sum + nSequences, 0);
  const moreRows = Math.max(0, Math.floor(spare / stepping.length));
  const rewind = (): void => sequences.forEach((each) => context.kvRemove(each, position));
  const fork = (sequence: number, at: number, from = sequences[0]!): void => context.kvFork(from, sequence, at);
  const leastShare = (nMeasured: number): number => rowTimes.leastShare(nMeasured, stepping.length);
  return { token, position, step, sequences, leastShare, moreRows, rewind, fork };
}

/** Adds the next rows of a prompt, at most `most`; none while the task waits for its donor. */
export function prefill(running: Running, batch: Batch, most: number): void {
  if (running.donor) return;
  const { task, sequences } = running;
  const end = Math.min(prefillLength(task), running.prefilled + most);
  for (; running.prefilled < end; running.prefilled++) {
    const position = running.prefilled;
    const isCaptured = task.kind === "prefill" && position >= task.from;
    const terms = task.kind === "steps" ? task.promptTerms?.(position) ?? [] : [];
    batch.add(task.prompt[position]!, position, sequences[0]!, { terms, ...(isCaptured && { capture: task.capture(position) }) });
  }
}

/** Number of a task's first cells that may be shared: those that are prefilled and not captured. */
export function mostShared(task: Task): number {
  return Math.min(prefillLength(task), task.kind === "prefill" ? task.from : Infinity);
}

/**
 * Finds the earlier running task that shares the longest beginning with this task's prompt; the first of several. `whole`: only accepts
 * tasks that have not begun a step and whose whole prompt is that beginning, so that their sequence can be shared as it is.
 */
export function donorFor(task: Task, running: readonly Running[], whole = false): Running["donor"] {
  let best: Running["donor"];
  for (const from of running) {
    if (from.task === task && !from.cancelled) break;
    const most = Math.min(prefillLength(from.task), mostShared(task));
    const nTokens = from.cancelled ? 0 : sharedCells(promptCells(from.task), promptCells(task), most);
    if (whole && (nTokens < prefillLength(from.task) || from.hasBegun)) continue;
    if (nTokens >= LEAST_SHARED && nTokens > (best?.nTokens ?? 0)) best = { from, nTokens };
  }
  return best;
}
