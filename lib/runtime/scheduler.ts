import { SteeringError } from "../errors.js";
import { Batch } from "./batch.js";
import type { Context, MeasuredAlpha } from "./context.js";

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

/** Work on one prompt, one token per step. Methods that throw fail this task alone. */
export interface Task {
  readonly prompt: readonly number[];
  readonly nSequences: number;
  readonly maxNewTokens: number;
  /** False while nobody waits for its next token: the task keeps its sequences and is passed over. */
  isWanted(): boolean;
  /** Add the rows of the step's first decode, if any. */
  probe(batch: Batch, place: Place): void;
  /** Add the row of the step's second decode; returns the index of its sample. */
  output(batch: Batch, place: Place, measured: readonly MeasuredAlpha[]): number;
  /** Take the token; `seconds`: what the step took. Returns false when the task has ended. */
  accept(token: number, seconds: number): boolean;
  /** The task is over without its end. */
  fail(error: unknown): void;
}

export interface SchedulerLimits {
  /** Most KV cells, unless one task needs more. */
  maxCells: number;
  /** Most sequences at once, unless one task needs more. */
  maxSequences: number;
}

interface Running {
  task: Task;
  sequences: number[];
  nCells: number;
  /** Tokens of the prompt in the cache; all but the last are to be there. */
  fed: number;
  token: number;
  step: number;
  cancelled: boolean;
}

/** With running generations, prompts are fed in pieces that keep the batch at this many rows: the next tokens come soon, and the graph path can steer. */
const MIXED_ROWS = 64;
/** A context is made for at least this many cells, so that the tasks that come next find room. */
const MIN_CELLS = 2048;

/**
 * Continuous batching: tasks of one model share a context, join and leave between steps. A step is two decodes at most,
 * the probe rows of all tasks, then their output rows beside a piece of the prompts that are still being fed. Tasks
 * start in the order in which they came, once their sequences and their cells to the last token are free: what has
 * started never runs out of room.
 */
export class Scheduler {
  private readonly waiting: Task[] = [];
  private running: Running[] = [];
  private freeSequences: number[] = [];
  private context: Context | undefined;
  private decoding: Running[] = [];
  private loop: Promise<void> | undefined;
  private disposed = false;

  constructor(private readonly createContext: (needs: { nCtx: number; nSeqMax: number }) => Promise<Context>, private readonly limits: SchedulerLimits) {}

  /** Start a task as soon as there is room for it. */
  submit(task: Task): void {
    if (this.disposed) return task.fail(disposedError());
    this.waiting.push(task);
    this.wake();
  }

  /** A task is wanted again. */
  wake(): void {
    this.loop ??= this.run().finally(() => { this.loop = undefined; });
  }

  /** Drop a task, waiting or running; `fail` is not called. Harmless when it has ended. */
  cancel(task: Task): void {
    const index = this.waiting.indexOf(task);
    if (index >= 0) this.waiting.splice(index, 1);
    const running = this.running.find((candidate) => candidate.task === task);
    if (!running) return;
    running.cancelled = true;
    // A decode is stopped only when nobody is left who wants its outcome.
    if (this.decoding.length > 0 && this.decoding.every(({ cancelled }) => cancelled)) this.context?.abort();
    this.wake();
  }

  /** Fail all tasks and free the context. */
  dispose(): void {
    this.disposed = true;
    this.context?.dispose();
    this.failAll(disposedError());
  }

  /** Settles when no decode is in flight any more. */
  async ended(): Promise<void> {
    await this.loop;
  }

  private async run(): Promise<void> {
    await undefined; // tasks that are submitted together are admitted together
    for (;;) {
      try {
        this.retire(this.running.filter(({ cancelled }) => cancelled));
        await this.admit();
        if (this.disposed) return;
        const feeding = this.running.filter(isFeeding);
        const stepping = this.running.filter((running) => !isFeeding(running) && running.task.isWanted());
        if (feeding.length + stepping.length === 0) return;
        await this.step(stepping, feeding);
      } catch (error) {
        this.failAll(error); // no task's fault: a context that cannot be made
      }
      await new Promise(setImmediate); // consumers read, ask for more, or abort
    }
  }

  private async step(stepping: Running[], feeding: Running[]): Promise<void> {
    const begun = performance.now();
    const { alphas } = await this.decode(stepping, (running, batch) => running.task.probe(batch, placeOf(running)));
    const samples = new Map<Running, number>();
    const { tokens } = await this.decode([...stepping, ...feeding], (running, batch) => {
      if (isFeeding(running)) return this.feed(running, batch, stepping.length > 0 ? MIXED_ROWS : this.context!.options.nBatch);
      samples.set(running, running.task.output(batch, placeOf(running), alphas));
    });
    for (const running of feeding) if (!running.cancelled) this.finishFeeding(running);
    const seconds = (performance.now() - begun) / 1000;
    for (const [running, sample] of samples) if (!running.cancelled) this.accept(running, tokens[sample]!, seconds);
  }

  /** Decode the rows that `add` makes for each task. When that fails, it fails for all of them. */
  private async decode(participants: Running[], add: (running: Running, batch: Batch) => void): Promise<{ alphas: MeasuredAlpha[]; tokens: number[] }> {
    const batch = new Batch();
    const alive = participants.filter((running) => !running.cancelled && this.guard(running, () => add(running, batch)));
    if (batch.size === 0) return { alphas: [], tokens: [] };
    this.decoding = alive;
    try {
      return await this.context!.decode(batch);
    } catch (error) {
      for (const running of alive) this.fail(running, this.disposed ? disposedError() : error);
      return { alphas: [], tokens: [] };
    } finally {
      this.decoding = [];
    }
  }

  private feed(running: Running, batch: Batch, mostRows: number): void {
    const { prompt } = running.task;
    const end = Math.min(prompt.length - 1, running.fed + Math.max(0, mostRows - batch.size));
    for (; running.fed < end; running.fed++) batch.add(prompt[running.fed]!, running.fed, running.sequences[0]!);
  }

  private finishFeeding(running: Running): void {
    if (isFeeding(running)) return;
    const [first, ...others] = running.sequences as [number, ...number[]];
    for (const other of others) this.context!.kvCopy(first, other, 0, running.fed);
  }

  private accept(running: Running, token: number, seconds: number): void {
    let goesOn = false;
    if (!this.guard(running, () => { goesOn = running.task.accept(token, seconds); })) return;
    running.token = token;
    running.step++;
    if (!goesOn) running.cancelled = true;
  }

  /** Run a task's own code; what it throws is its failure. */
  private guard(running: Running, work: () => void): boolean {
    try {
      work();
      return true;
    } catch (error) {
      this.fail(running, error);
      return false;
    }
  }

  private fail(running: Running, error: unknown): void {
    if (running.cancelled) return;
    running.cancelled = true;
    running.task.fail(error);
  }

  private failAll(error: unknown): void {
    for (const task of this.waiting.splice(0)) task.fail(error);
    for (const running of this.running) this.fail(running, error);
  }

  private retire(ended: Running[]): void {
    if (ended.length === 0) return;
    this.running = this.running.filter((running) => !ended.includes(running));
    if (this.disposed) return;
    for (const { sequences } of ended) {
      for (const sequence of sequences) this.context!.kvRemove(sequence);
      this.freeSequences.push(...sequences);
    }
  }

  private async admit(): Promise<void> {
    while (this.waiting.length > 0 && !this.disposed) {
      if (this.running.length === 0) await this.fitContext();
      const task = this.waiting[0];
      if (!task || !this.context) return; // cancelled or disposed while the context was made
      const nCells = cellsOf(task);
      const used = this.running.reduce((sum, running) => sum + running.nCells, 0);
      if (task.nSequences > this.freeSequences.length || used + nCells > this.context.options.nCtx) return;
      this.waiting.shift();
      const running: Running = { task, sequences: this.freeSequences.splice(0, task.nSequences), nCells, fed: 0, token: task.prompt.at(-1)!, step: 0, cancelled: false };
      this.running.push(running);
      this.finishFeeding(running);
    }
  }

  /** With nothing running, make the context as large as the waiting tasks want it, within the limits. */
  private async fitContext(): Promise<void> {
    let nCtx = MIN_CELLS;
    let cells = 0;
    for (const [index, task] of this.waiting.entries()) {
      cells += cellsOf(task);
      if (index === 0 || cells <= this.limits.maxCells) nCtx = Math.max(nCtx, cells);
    }
    const nSeqMax = Math.max(this.limits.maxSequences, this.waiting[0]?.nSequences ?? 0);
    const { options } = this.context ?? {};
    if (options && options.nCtx >= nCtx && options.nSeqMax >= nSeqMax) return;
    this.context?.dispose();
    this.context = undefined;
    // Never smaller than the one before: works of different sizes would take turns in throwing it away.
    const context = await this.createContext({ nCtx: Math.max(nCtx, options?.nCtx ?? 0), nSeqMax: Math.max(nSeqMax, options?.nSeqMax ?? 0) });
    if (this.disposed) return context.dispose();
    this.context = context;
    this.freeSequences = Array.from({ length: context.options.nSeqMax }, (_, sequence) => sequence);
  }
}

function isFeeding({ task, fed }: Running): boolean {
  return fed < task.prompt.length - 1;
}

function placeOf({ task, token, step, sequences }: Running): Place {
  return { token, position: task.prompt.length - 1 + step, step, sequences };
}

/** Cells that a task fills at most: its prompt once for all sequences, its answer once for each. */
function cellsOf({ prompt, nSequences, maxNewTokens }: Task): number {
  return prompt.length + nSequences * maxNewTokens;
}

function disposedError(): SteeringError {
  return new SteeringError("E_DISPOSED", "the model was disposed");
}
