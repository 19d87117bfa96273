import type { Batch, RowCapture } from "../batch.js";
import type { MeasuredAlpha } from "../context.js";

/** `mixedRows` of tasks that steer: the graph path takes no larger batch. */
export const STEERED_ROWS = 64;

/** Where a task stands when a step begins. */
export interface Place {
  /** Token to decode, and its position. */
  token: number;
  position: number;
  /** Token step, from 0. */
  step: number;
  /** Sequences of the task; all hold the positions before. */
  sequences: readonly number[];
}

/**
 * Work on one prompt, which `Scheduler.run` carries to its end. A method that throws fails this task alone. A task
 * either ends with its prefill or takes steps.
 */
export type Task = PrefillTask | StepTask;

/** A task that wants no token: its whole prompt is prefilled, and activations are captured on the way. */
export interface PrefillTask {
  readonly kind: "prefill";
  readonly prompt: readonly number[];
  /** Most rows of a batch that has rows of this task: their activations wait in memory for the end of the decode. */
  readonly mixedRows: number;
  /** First position that is captured. Only positions before it may share another task's cells, since nothing is computed there. */
  readonly from: number;
  capture(position: number): RowCapture;
  /** The whole prompt has been computed. */
  done(): void;
}

/** A task that decides one token per step. */
export interface StepTask {
  readonly kind: "steps";
  readonly prompt: readonly number[];
  readonly nSequences: number;
  readonly maxNewTokens: number;
  /** Most rows of a batch in which this task steps while prompts are prefilled: with few, the next token comes soon. */
  readonly mixedRows: number;
  /**
   * False while nobody waits for the next token: the task is passed over. It keeps its sequences unless others wait for
   * them; then it starts again and repeats its steps. Default: always wanted.
   */
  isWanted?(): boolean;
  /** Add the rows of the step's first decode, which measures KLs. Default: none. */
  measure?(batch: Batch, place: Place): void;
  /** Add the row of the step's second decode; returns the index of its sample. */
  output(batch: Batch, place: Place, measured: readonly MeasuredAlpha[]): number;
  /**
   * Take the token, and its log probability where it was asked for; `seconds`: how long the step took. Returns false when
   * the task has ended.
   */
  accept(token: number, seconds: number, logProbability: number): boolean;
}

/** True when somebody waits for what comes next. */
export function isWanted(task: Task): boolean {
  return task.kind === "prefill" || (task.isWanted?.() ?? true);
}

/** Sequences that a task takes. */
export function sequencesOf(task: Task): number {
  return task.kind === "prefill" ? 1 : task.nSequences;
}

/** Most cells that a task fills: its prompt once for all sequences, its answer once for each. */
export function cellsOf(task: Task): number {
  return task.prompt.length + (task.kind === "prefill" ? 0 : task.nSequences * task.maxNewTokens);
}
