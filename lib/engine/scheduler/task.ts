import type { Batch, RowCapture, Term } from "../batch.js";
import type { StepResult } from "../context.js";
import type { Cells } from "./cells.js";

/** `mixedRows` of tasks that steer: the largest batch of the graph path. */
export const STEERED_ROWS = 64;

/** A task's position when a step begins. */
export interface Place {
  /** The token to decode. */
  token: number;
  position: number;
  /** Token step, from 0. */
  step: number;
  /** Sequences of the task; all of them hold the earlier positions. A task that starts again gets a new array. */
  sequences: readonly number[];
  /** The share of right guesses above which it saves time to guess the token of a step that measures n steerings (`RowTimes`). */
  leastShare(nMeasured: number): number;
  /** Rows with logits that this step may add beside one per sequence, for tokens that are known already. */
  moreRows: number;
  /** Removes the cells of this and later positions from all sequences. */
  rewind(): void;
  /**
   * Leaves in a sequence another one's cells before a position, by default the first one's, and no cell of its own; called for every
   * position in turn. While that sequence has no later cells, unless the model's memory can be cut at a token.
   */
  fork(sequence: number, position: number, from?: number): void;
}

/**
 * Work on one prompt, which `Scheduler.run` runs to its end. A task either ends with its prefill or takes steps. If one of its methods
 * throws, only this task fails.
 */
export type Task = PrefillTask | StepTask;

/** A task without new tokens: prefills its whole prompt and captures activations on the way. */
export interface PrefillTask {
  readonly kind: "prefill";
  readonly prompt: readonly number[];
  /** Maximum rows of a batch with rows of this task, whose activations stay in memory until the decode ends. */
  readonly mixedRows: number;
  /** First captured position. Only earlier positions may share another task's cells, since shared cells are not computed. */
  readonly from: number;
  capture(position: number): RowCapture;
  /** Called when the whole prompt has been computed. */
  done(): void;
}

/** A task that decides one token per step, and one or several steps per decode. */
export interface StepTask {
  readonly kind: "steps";
  readonly prompt: readonly number[];
  readonly nSequences: number;
  readonly maxNewTokens: number;
  /** Maximum rows of a batch in which this task steps while prompts are prefilled; fewer rows mean less latency. */
  readonly mixedRows: number;
  /**
   * How many histories the sequences have: those beyond this number share one of them and have at most one cell of their own
   * (`Place.fork`). Default: each sequence has its own.
   */
  readonly nHistories?: number;
  /** True if the task asks for `Place.leastShare`. Default: false. */
  readonly guesses?: boolean;
  /** The terms to add to a prompt token's row; always the same ones. Default: none. */
  promptTerms?(position: number): readonly Term[];
  /** Called when the task begins with this many cells that were computed for others. Default: nothing. */
  begins?(nShared: number): void;
  /** Set if the task's cells are to be kept after its end, and if it may begin with cells that were kept. */
  readonly keeps?: KeepsCells;
  /**
   * False while no consumer waits for the next token; the scheduler then skips the task. It keeps its sequences unless other tasks need
   * them; in that case it restarts later and repeats its steps. Default: always true.
   */
  isWanted?(): boolean;
  /** Adds the rows of the next decode; returns what takes its result. */
  step(batch: Batch, place: Place): TakeResult;
}

/** Takes the result of a decode, which lasted `seconds`. */
export type TakeResult = (result: StepResult, seconds: number) => Taken;

/** What a decode decided: the step's token, unless the step needs another decode, and whether the task has ended. */
export interface Taken {
  /** The last one, if the decode decided several steps. */
  token?: number;
  /** Default 1. */
  nSteps?: number;
  hasEnded?: boolean;
}

/** A task that keeps cells. */
export interface KeepsCells {
  /** Only the cells of an owner's last task are kept. */
  readonly owner: object;
  /** The cells to keep after `nSteps` steps, and the index of the sequence that begins with them. */
  keptCells(nSteps: number): { sequence: number; cells: Cells };
}

/** What the cells of a task's prompt are computed from. */
export function promptCells(task: Task): Cells {
  const { promptTerms } = task as Partial<StepTask>;
  return { tokens: task.prompt, ...(promptTerms && { termsAt: (position) => promptTerms.call(task as StepTask, position) }) };
}

/** True if the task's next result is wanted. */
export function isWanted(task: Task): boolean {
  return task.kind === "prefill" || (task.isWanted?.() ?? true);
}

/** Number of sequences that a task takes. */
export function sequencesOf(task: Task): number {
  return task.kind === "prefill" ? 1 : task.nSequences;
}

/** Maximum cells that a task fills: its prompt once for all sequences, its answer once per history, and a cell per further sequence. */
export function cellsOf(task: Task): number {
  if (task.kind === "prefill") return task.prompt.length;
  const { nSequences, nHistories = nSequences, maxNewTokens } = task;
  // The last token of an answer has no cell.
  return task.prompt.length + nHistories * maxNewTokens + Math.max(0, nSequences - nHistories - 1);
}
