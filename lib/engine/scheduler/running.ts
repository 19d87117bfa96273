import type { Batch } from "../batch.js";
import { isWanted, type Place, type PrefillTask, type StepTask, type Task } from "./task.js";

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
  /** Number of the prompt's tokens in the cache. */
  prefilled: number;
  token: number;
  step: number;
  cancelled: boolean;
  /** The task whose prompt has the same first `nTokens`; its cells are shared once they are computed. */
  donor: { from: Running; nTokens: number } | undefined;
}

/** A shorter common prefix is not worth waiting for. */
const LEAST_SHARED = 4;

/** Number of prompt tokens to prefill: all, or all but the last if the task takes steps, since that row is the first step's. */
function prefillLength({ kind, prompt }: Task): number {
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

export function placeOf({ task, token, step, sequences }: Running): Place {
  return { token, position: task.prompt.length - 1 + step, step, sequences };
}

/** Adds the next rows of a prompt, at most `most`; none while the task waits for its donor. */
export function prefill(running: Running, batch: Batch, most: number): void {
  if (running.donor) return;
  const { task, sequences } = running;
  const end = Math.min(prefillLength(task), running.prefilled + most);
  for (; running.prefilled < end; running.prefilled++) {
    const position = running.prefilled;
    const isCaptured = task.kind === "prefill" && position >= task.from;
    batch.add(task.prompt[position]!, position, sequences[0]!, isCaptured ? { capture: task.capture(position) } : {});
  }
}

/** Length of the prompts' common prefix, limited to tokens that the donor prefills and the taker does not capture. */
function commonPrefix(donor: Task, taker: Task): number {
  const most = Math.min(prefillLength(donor), taker.kind === "prefill" ? taker.from : prefillLength(taker));
  let length = 0;
  while (length < most && donor.prompt[length] === taker.prompt[length]) length++;
  return length;
}

/**
 * Finds the earlier running task that shares the longest prefix with this task's prompt; the first of several. `whole`: only accepts
 * tasks that have taken no step and whose whole prompt is that prefix, so that their sequence can be shared as it is.
 */
export function donorFor(task: Task, running: readonly Running[], whole = false): Running["donor"] {
  let best: Running["donor"];
  for (const from of running) {
    if (from.task === task && !from.cancelled) break;
    const nTokens = from.cancelled ? 0 : commonPrefix(from.task, task);
    if (whole && (nTokens < prefillLength(from.task) || from.step > 0)) continue;
    if (nTokens >= LEAST_SHARED && nTokens > (best?.nTokens ?? 0)) best = { from, nTokens };
  }
  return best;
}
