import type { Batch } from "../batch.js";
import { isWanted, type Place, type PrefillTask, type StepTask, type Task } from "./task.js";

/** A task that was submitted, and what settles the promise of its end. */
export interface Job {
  task: Task;
  end: () => void;
  fail: (error: unknown) => void;
}

/** A job to which the scheduler has given sequences and cells. */
export interface Running<Kind extends Task = Task> {
  job: Job;
  task: Kind;
  sequences: number[];
  nCells: number;
  /** Tokens of the prompt in the cache. */
  prefilled: number;
  token: number;
  step: number;
  cancelled: boolean;
  /** Whose prompt begins alike, and for how many tokens: its cells are shared once they are there. */
  donor: { from: Running; nTokens: number } | undefined;
}

/** A common beginning of fewer tokens is not worth waiting for. */
const LEAST_SHARED = 4;

/** Prompt tokens to prefill: all, or all but the last where the task takes steps, since its row is the first step's. */
function prefillLength({ kind, prompt }: Task): number {
  return kind === "prefill" ? prompt.length : prompt.length - 1;
}

export function isPrefilling({ task, prefilled }: Running): boolean {
  return prefilled < prefillLength(task);
}

/** A task that wanted only its prefill, and has it. */
export function isDone(running: Running): running is Running<PrefillTask> {
  return running.task.kind === "prefill" && !running.cancelled && !isPrefilling(running);
}

/** A task whose prompt is there and whose rows are those of its steps. */
export function takesSteps(running: Running): running is Running<StepTask> {
  return running.task.kind === "steps" && !isPrefilling(running);
}

/** A task whose next step somebody waits for. */
export function isStepping(running: Running): running is Running<StepTask> {
  return takesSteps(running) && !running.cancelled && isWanted(running.task);
}

export function placeOf({ task, token, step, sequences }: Running): Place {
  return { token, position: task.prompt.length - 1 + step, step, sequences };
}

/** Add the next rows of a prompt, at most so many; none while it waits for its donor. */
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

/** Tokens with which two prompts begin alike, of those that the donor prefills and the taker captures nothing of. */
function commonPrefix(donor: Task, taker: Task): number {
  const most = Math.min(prefillLength(donor), taker.kind === "prefill" ? taker.from : prefillLength(taker));
  let length = 0;
  while (length < most && donor.prompt[length] === taker.prompt[length]) length++;
  return length;
}

/**
 * The running task that shares the longest beginning with this one's prompt, the first of several, among those that came
 * before it. `whole`: only a task that has taken no step and whose whole prompt is that beginning: its sequence is shared
 * as it is.
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
