import { SteeringError } from "../../errors.js";
import { Batch } from "../batch.js";
import type { Context, StepResult } from "../context.js";
import { Patience } from "./patience.js";
import type { Task } from "./task.js";
import { cellsOf, donorFor, isFeeding, isRead, placeOf, toFeed, type Running } from "./running.js";

export interface SchedulerLimits {
  /** Most KV cells, unless one task needs more. */
  maxCells: number;
  /** Most sequences at once, unless one task needs more. */
  maxSequences: number;
  /** Most tasks at once. */
  maxTasks: number;
  /** The model's memory cannot be cut at a token (`NativeModelInfo`). */
  hasWholeSequences?: boolean;
}

/** How long all may be left unread before one of them gives up its room. */
const PATIENCE_MS = 250;
/** Tokens of a prompt that a step takes at least, however many generations are running. */
const LEAST_PREFILL = 16;

const NOTHING: StepResult = { alphas: [], tokens: [], logProbabilities: [] };

/**
 * Continuous batching: tasks of one model share a context, join and leave between steps. A step is two decodes at most,
 * the probe rows of all tasks, then their output rows beside a piece of the prompts that are still being fed. Tasks
 * start in the order in which they came, once their sequences and their cells to the last token are free: what has
 * started never runs out of room. Where all that have started are left unread while another waits, one of them gives up
 * its room: it waits in its turn, and is computed again as it was.
 */
export class Scheduler {
  private readonly waiting: Task[] = [];
  private running: Running[] = [];
  private freeSequences: number[] = [];
  private context: Context | undefined;
  private decoding: Running[] = [];
  private loop: Promise<void> | undefined;
  private disposed = false;
  /** Something has changed since the loop last looked. */
  private isWoken = false;
  /** Its cells or its state cannot be trusted: nothing is started before it was cleared. */
  private isTainted = false;
  /** With all that have started being left unread while another waits. */
  private readonly patience = new Patience(PATIENCE_MS, () => this.wake());

  constructor(private readonly createContext: (needs: { nCtx: number; nSeqMax: number }) => Promise<Context>, private readonly limits: SchedulerLimits) {}

  /** Start a task as soon as there is room for it. */
  submit(task: Task): void {
    if (this.disposed) return task.fail(disposedError());
    this.waiting.push(task);
    this.wake();
  }

  /** A task is wanted again. */
  wake(): void {
    this.isWoken = true;
    this.loop ??= this.run();
  }

  /** Drop a task, waiting or running; `fail` is not called. Harmless when it has ended. It may be submitted again, and begins anew. */
  cancel(task: Task): void {
    const index = this.waiting.indexOf(task);
    if (index >= 0) this.waiting.splice(index, 1);
    const running = this.running.find((candidate) => candidate.task === task && !candidate.cancelled);
    if (!running) return;
    running.cancelled = true;
    // A decode is stopped only when nobody is left who wants its outcome.
    if (this.decoding.length > 0 && this.decoding.every(({ cancelled }) => cancelled)) this.context?.abort();
    this.wake();
  }

  /** Fail all tasks and free the context. */
  dispose(): void {
    this.disposed = true;
    this.patience.calm();
    this.context?.dispose();
    this.failAll(disposedError());
  }

  /** Settles when no decode is in flight any more. */
  async ended(): Promise<void> {
    await this.loop;
  }

  private async run(): Promise<void> {
    await undefined; // tasks that are submitted together are admitted together
    try {
      for (;;) {
        this.isWoken = false;
        this.retire(this.running.filter(({ cancelled }) => cancelled));
        await this.admit();
        if (this.disposed) return;
        for (const running of this.running) this.share(running);
        for (const running of this.running.filter(isRead)) this.endReading(running); // those that share its cells have them now
        const feeding = this.running.filter(isFeeding);
        const stepping = this.running.filter((running) => !isFeeding(running) && !running.cancelled && running.task.isWanted());
        if (feeding.length + stepping.length > 0) {
          this.patience.calm();
          await this.step(stepping, feeding);
        } else if (!this.isWoken && !this.makeRoom()) return;
        await new Promise(setImmediate); // consumers read, ask for more, or abort
      }
    } catch (error) {
      this.failAll(error); // a mistake of ours: nobody is left waiting
    } finally {
      this.loop = undefined; // in the turn that found nothing to do: a wake-up in a later one would be lost
    }
  }

  private async step(stepping: Running[], feeding: Running[]): Promise<void> {
    const begun = performance.now();
    const { alphas } = await this.decode(stepping, (running, batch) => running.task.probe(batch, placeOf(running)));
    const samples = new Map<Running, number>();
    const limiting = [...stepping, ...feeding.filter(({ task }) => task.reading)];
    const mostRows = Math.min(this.context!.options.nBatch, ...limiting.map(({ task }) => task.mixedRows));
    const { tokens, logProbabilities } = await this.decode([...stepping, ...feeding], (running, batch) => {
      if (isFeeding(running)) return this.feed(running, batch, mostRows);
      samples.set(running, running.task.output(batch, placeOf(running), alphas));
    });
    for (const running of feeding) if (!running.cancelled) this.finishFeeding(running);
    const seconds = (performance.now() - begun) / 1000;
    for (const [running, sample] of samples) if (!running.cancelled) this.accept(running, tokens[sample]!, seconds, logProbabilities[sample]!);
  }

  /** With nothing to compute: have one that is left unread wait, so that one which is wanted may start; all of them where the context cannot be trusted. */
  private makeRoom(): boolean {
    if (this.running.length === 0 || !this.nextWaiting()) {
      this.patience.calm();
      return false;
    }
    if (!this.isTainted && !this.patience.isOver()) return false;
    this.patience.calm();
    const byLength = this.running.toSorted((a, b) => a.step - b.step); // the shortest is computed again soonest
    for (const running of this.isTainted ? byLength : byLength.slice(0, 1)) {
      running.cancelled = true;
      this.waiting.push(running.task);
    }
    return true;
  }

  /** The first that somebody waits for. */
  private nextWaiting(): Task | undefined {
    return this.waiting.find((task) => task.reading !== undefined || task.isWanted());
  }

  /** Decode the rows that `add` makes for each task. When that fails, it fails for all of them. */
  private async decode(participants: Running[], add: (running: Running, batch: Batch) => void): Promise<StepResult> {
    const batch = new Batch();
    const alive = participants.filter((running) => {
      const before = batch.size;
      return !running.cancelled && this.guard(running, () => add(running, batch)) && batch.size > before;
    });
    if (batch.size === 0) return NOTHING;
    this.decoding = alive;
    try {
      return await this.context!.decode(batch);
    } catch (error) {
      // Only an abort is known to leave the context as it was.
      this.isTainted ||= (error as SteeringError).code !== "E_ABORTED";
      for (const running of alive) this.fail(running, this.disposed ? disposedError() : error);
      return NOTHING;
    } finally {
      this.decoding = [];
    }
  }

  /** Take the cells of a prompt that begins alike, once they are there; a donor that is gone is replaced. */
  private share(running: Running): void {
    if (running.donor?.from.cancelled) running.donor = donorFor(running.task, this.running, this.limits.hasWholeSequences);
    if (!running.donor || running.donor.from.fed < running.donor.nTokens) return;
    const { from, nTokens } = running.donor;
    this.context!.kvCopy(from.sequences[0]!, running.sequences[0]!, 0, nTokens);
    running.fed = nTokens;
    running.donor = undefined;
    this.finishFeeding(running);
  }

  private feed(running: Running, batch: Batch, mostRows: number): void {
    if (running.donor) return;
    const { prompt, reading } = running.task;
    const end = Math.min(toFeed(running.task), running.fed + Math.max(LEAST_PREFILL, mostRows - batch.size), running.fed + this.context!.options.nBatch - batch.size);
    for (; running.fed < end; running.fed++) {
      const isCaptured = reading && running.fed >= reading.from;
      batch.add(prompt[running.fed]!, running.fed, running.sequences[0]!, isCaptured ? { capture: reading.capture(running.fed) } : {});
    }
  }

  private endReading(running: Running): void {
    if (!this.guard(running, () => running.task.reading!.done())) return;
    running.cancelled = true;
    this.isWoken = true; // its room is free
  }

  private finishFeeding(running: Running): void {
    if (isFeeding(running)) return;
    const [first, ...others] = running.sequences as [number, ...number[]];
    for (const other of others) this.context!.kvCopy(first, other, 0, running.fed);
  }

  private accept(running: Running, token: number, seconds: number, logProbability: number): void {
    let goesOn = false;
    if (!this.guard(running, () => { goesOn = running.task.accept(token, seconds, logProbability); })) return;
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
    // Without flash attention, and in its tiled form, a cell that is not finite reaches everybody through the mask.
    this.isTainted ||= (error as SteeringError).code === "E_NOT_FINITE";
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
    this.freeSequences.sort((a, b) => a - b); // models with whole sequences compute those together that follow one another
  }

  private async admit(): Promise<void> {
    for (let first = this.nextWaiting(); first && !this.disposed; first = this.nextWaiting()) {
      if (this.running.length === 0) await this.fitContext(first);
      const task = this.nextWaiting();
      if (!this.context) continue; // it could not be made for the task that was first
      if (!task || this.isTainted || this.running.length >= this.limits.maxTasks) return;
      const nCells = cellsOf(task);
      const used = this.running.reduce((sum, running) => sum + running.nCells, 0);
      if (task.nSequences > this.freeSequences.length || used + nCells > this.context.options.nCtx) return;
      this.waiting.splice(this.waiting.indexOf(task), 1);
      const running: Running = { task, sequences: this.freeSequences.splice(0, task.nSequences), nCells, fed: 0, token: task.prompt.at(-1)!, step: 0, cancelled: false, donor: donorFor(task, this.running, this.limits.hasWholeSequences) };
      this.running.push(running);
      this.finishFeeding(running);
    }
  }

  /** With nothing running: a clean context, as large as the limits, or as the next task needs it. */
  private async fitContext(next: Task): Promise<void> {
    if (this.isTainted) this.dropContext();
    const nCtx = Math.max(this.limits.maxCells, cellsOf(next));
    const nSeqMax = Math.max(this.limits.maxSequences, next.nSequences);
    const { options } = this.context ?? {};
    if (options && options.nCtx >= nCtx && options.nSeqMax >= nSeqMax) return;
    this.dropContext();
    try {
      // Never smaller than the one before: works of different sizes would take turns in throwing it away.
      const context = await this.createContext({ nCtx: Math.max(nCtx, options?.nCtx ?? 0), nSeqMax: Math.max(nSeqMax, options?.nSeqMax ?? 0) });
      if (this.disposed) return context.dispose();
      this.context = context;
      this.freeSequences = Array.from({ length: context.options.nSeqMax }, (_, sequence) => sequence);
    } catch (error) {
      const index = this.waiting.indexOf(next);
      if (index >= 0) this.waiting.splice(index, 1);
      next.fail(error); // the others may need less
    }
  }

  private dropContext(): void {
    this.context?.dispose();
    this.context = undefined;
    this.isTainted = false;
  }
}

function disposedError(): SteeringError {
  return new SteeringError("E_DISPOSED", "the model was disposed");
}
