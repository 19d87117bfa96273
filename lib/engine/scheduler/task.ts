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

/** What a task wants of its prompt that wants no token: all of it is fed, activations are captured on the way, and that is its end. */
export interface PromptReading {
  /** First position that is captured. Only what lies before may be taken from another task's cells: nothing is computed there. */
  readonly from: number;
  capture(position: number): RowCapture;
  /** The whole prompt was computed. */
  done(): void;
}

/** Work on one prompt, one token per step. Methods that throw fail this task alone. */
export interface Task {
  readonly prompt: readonly number[];
  readonly nSequences: number;
  readonly maxNewTokens: number;
  /** Most rows of a batch in which this task steps beside prompts that are being fed: few, and the next token comes soon. */
  readonly mixedRows: number;
  /** Of a task that ends with its prompt: it takes no step. `mixedRows` holds for its rows too, as their activations wait in memory for the end of the decode. */
  readonly reading?: PromptReading;
  /** False while nobody waits for its next token: the task is passed over. It keeps its sequences, unless others wait for them: then it begins anew, and repeats its steps. */
  isWanted(): boolean;
  /** Add the rows of the step's first decode, if any. */
  probe(batch: Batch, place: Place): void;
  /** Add the row of the step's second decode; returns the index of its sample. */
  output(batch: Batch, place: Place, measured: readonly MeasuredAlpha[]): number;
  /** Take the token, and its log probability where it was asked for; `seconds`: what the step took. Returns false when the task has ended. */
  accept(token: number, seconds: number, logProbability: number): boolean;
  /** The task is over without its end. */
  fail(error: unknown): void;
}
