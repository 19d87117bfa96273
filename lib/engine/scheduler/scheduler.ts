import type { SteeringError } from "../../errors.js";
import { abortError, disposedError, onAbort, throwIfAborted } from "../abort.js";
import { Batch } from "../batch.js";
import type { Context, ContextNeeds, StepResult } from "../context.js";
import { keptOf, mostAtOnce, type Keeping } from "./kept.js";
import { Patience } from "./patience.js";
import { Room } from "./room.js";
import { donorFor, isDone, isPrefilling, isStepping, placeOf, prefill, takesSteps, type Job, type Running } from "./running.js";
import { keepingOf, start, type SchedulerLimits } from "./start.js";
import { cellsOf, isWanted, sequencesOf, type StepTask, type Taken, type TakeResult, type Task } from "./task.js";

/** How long all running tasks may stay unread before one of them must give up its room. */
const PATIENCE_MS = 250;
/** Minimum prompt tokens that a step prefills, however many generations are running. */
const LEAST_PREFILL = 16;

/**
 * Continuous batching: the tasks of one model share a context, and join and leave between decodes. One decode takes the next rows of all
 * tasks whose next token is wanted, and a part of the prompts being prefilled. Tasks start in order of arrival, once their sequences and
 * all their cells are free, so a task that has started never runs out of room. If all running tasks stay unread while another waits, one
 * of them gives up its room: it waits for its turn and is recomputed.
 */
export class Scheduler {
  private readonly waiting: Job[] = [];
  private running: Running[] = [];
  private decoding: Running[] = [];
  private loop: Promise<void> | undefined;
  private disposed = false;
  /** True if something has changed since the loop last looked. */
  private isWoken = false;
  /** Runs while all running tasks stay unread and another waits. */
  private readonly patience = new Patience(PATIENCE_MS, () => this.wake());
  private mustForget = false;
  private readonly room: Room;
  private readonly keeping: Keeping;

  constructor(createContext: (needs: ContextNeeds) => Promise<Context>, private readonly limits: SchedulerLimits) {
    this.room = new Room(createContext, limits.hasWholeSequences);
    this.keeping = keepingOf(limits);
  }

  /**
   * Runs a task to its end, as soon as there is room for it. When a signal fires, the task is dropped. Throws E_ABORTED, E_DISPOSED, and
   * what the task's methods and its computation throw.
   */
  async run(task: Task, ...signals: ReadonlyArray<AbortSignal | undefined>): Promise<void> {
    signals.forEach(throwIfAborted);
    if (this.disposed) throw disposedError();
    let job!: Job;
    const ended = new Promise<void>((end, fail) => { job = { task, end, fail }; });
    const forget = signals.map((signal) => onAbort(signal, () => {
      job.fail(abortError(signal!));
      this.drop(job);
    }));
    this.waiting.push(job);
    this.wake();
    await ended.finally(() => { for (const each of forget) each(); });
  }

  /** Call this when a task is wanted again. */
  wake(): void {
    this.isWoken = true;
    this.loop ??= this.serve();
  }

  /** Restarts a task from its prompt, with the sequences that it takes now. Harmless if it has ended. */
  restart(task: Task): void {
    const ofTask = (each: { task: Task }): boolean => each.task === task;
    const job = this.waiting.find(ofTask) ?? this.running.filter(({ cancelled }) => !cancelled).find(ofTask)?.job;
    if (!job) return;
    this.drop(job);
    this.waiting.push(job);
    this.wake();
  }

  /** Removes a waiting or running job without settling its promise. */
  private drop(job: Job): void {
    const index = this.waiting.indexOf(job);
    if (index >= 0) this.waiting.splice(index, 1);
    const running = this.running.find((candidate) => candidate.job === job && !candidate.cancelled);
    if (!running) return;
    running.cancelled = true;
    // Abort the decode only if no remaining task needs it.
    if (this.decoding.length > 0 && this.decoding.every(({ cancelled }) => cancelled)) this.room.context?.abort();
    this.wake();
  }

  /** Drops what ended tasks have left in the cache. */
  forget(): void {
    this.mustForget = true;
    this.wake();
  }

  /** Fails all tasks and frees the context. */
  dispose(): void {
    this.disposed = true;
    this.patience.calm();
    this.room.dispose();
    this.failAll(disposedError());
  }

  /** Resolves when no decode is in flight. */
  async ended(): Promise<void> {
    await this.loop;
  }

  private async serve(): Promise<void> {
    await undefined; // lets tasks that are submitted together be admitted together
    try {
      for (;;) {
        this.isWoken = false;
        this.retire(this.running.filter(({ cancelled }) => cancelled));
        if (this.mustForget) this.room.forget();
        this.mustForget = false;
        await this.admit();
        if (this.disposed) return;
        for (const running of this.running) this.share(running);
        for (const running of this.running.filter(isDone)) { // after the tasks that share its cells have them
          if (this.guard(running, () => running.task.done())) this.end(running);
          this.isWoken = true; // its room has become free
        }
        const prefilling = this.running.filter(isPrefilling);
        const stepping = this.running.filter(isStepping);
        if (prefilling.length + stepping.length > 0) {
          this.patience.calm();
          await this.step(stepping, prefilling);
        } else if (!this.isWoken && !this.makeRoom()) return;
        await new Promise(setImmediate); // lets consumers read, request more, or abort
      }
    } catch (error) {
      this.failAll(error); // a bug of ours: leave nobody waiting
    } finally {
      this.loop = undefined; // in the same turn that found nothing to do: a later wake-up would be lost
    }
  }

  private async step(stepping: ReadonlyArray<Running<StepTask>>, prefilling: readonly Running[]): Promise<void> {
    const begun = performance.now();
    const takers = new Map<Running<StepTask>, TakeResult>();
    const limiting = [...stepping, ...prefilling.filter(({ task }) => task.kind === "prefill")];
    const { nBatch } = this.room.context!.options;
    const mostRows = Math.min(nBatch, ...limiting.map(({ task }) => task.mixedRows));
    const result = await this.decode([...stepping, ...prefilling], (running, batch) => {
      const { size } = batch;
      const most = Math.min(Math.max(LEAST_PREFILL, mostRows - size), nBatch - size, mostAtOnce(running, this.keeping));
      if (!takesSteps(running)) return prefill(running, batch, most);
      running.hasBegun = true;
      takers.set(running, running.task.step(batch, placeOf(running, this.room.context!, stepping, this.limits.rowTimes.now())));
    });
    for (const running of prefilling) if (!running.cancelled) this.spread(running);
    const seconds = (performance.now() - begun) / 1000;
    for (const [running, take] of takers) if (result && !running.cancelled) this.accept(running, () => take(result, seconds));
  }

  /** With nothing to compute, queues an unread task again so that a wanted one can start; all if the context cannot be trusted. */
  private makeRoom(): boolean {
    if (this.running.length === 0 || !this.nextWaiting()) {
      this.patience.calm();
      return false;
    }
    if (!this.room.isTainted && !this.patience.isOver()) return false;
    this.patience.calm();
    const byLength = this.running.toSorted((a, b) => a.step - b.step); // the shortest is the cheapest to recompute
    for (const running of this.room.isTainted ? byLength : byLength.slice(0, 1)) {
      running.cancelled = true;
      this.waiting.push(running.job);
    }
    return true;
  }

  /** The first waiting job that is wanted. */
  private nextWaiting(): Job | undefined {
    return this.waiting.find(({ task }) => isWanted(task));
  }

  /** Decodes the rows that `add` adds for each task. If the decode fails, it fails for all of them. */
  private async decode(participants: readonly Running[], add: (running: Running, batch: Batch) => void): Promise<StepResult | undefined> {
    const batch = new Batch();
    const alive = participants.filter((running) => {
      const before = batch.size;
      return !running.cancelled && this.guard(running, () => add(running, batch)) && batch.size > before;
    });
    if (batch.size === 0) return undefined;
    this.decoding = alive;
    try {
      const result = await this.room.context!.decode(batch);
      for (const running of alive) running.computed = running.prefilled;
      return result;
    } catch (error) {
      // Only an abort is known to leave the context unchanged.
      this.room.isTainted ||= (error as SteeringError).code !== "E_ABORTED";
      for (const running of alive) this.fail(running, this.disposed ? disposedError() : error);
      return undefined;
    } finally {
      this.decoding = [];
    }
  }

  /** Shares the donor's cells once they are computed; replaces a donor that is gone. */
  private share(running: Running): void {
    if (running.donor?.from.cancelled) running.donor = donorFor(running.task, this.running, this.limits.hasWholeSequences);
    if (!running.donor || running.donor.from.prefilled < running.donor.nTokens) return;
    const { from, nTokens } = running.donor;
    this.room.context!.kvCopy(from.sequences[0]!, running.sequences[0]!, 0, nTokens);
    running.prefilled = running.computed = nTokens;
    running.donor = undefined;
    this.spread(running);
  }

  /** Once the prompt is prefilled, shares it with all the task's sequences. */
  private spread(running: Running): void {
    if (isPrefilling(running)) return;
    const [first, ...others] = running.sequences as [number, ...number[]];
    for (const other of others) this.room.context!.kvCopy(first, other, 0, running.prefilled);
  }

  private accept(running: Running, take: () => Taken): void {
    let taken: Taken = {};
    if (!this.guard(running, () => { taken = take(); })) return;
    if (taken.token !== undefined) {
      running.token = taken.token;
      running.step += taken.nSteps ?? 1;
    }
    if (taken.hasEnded) this.end(running);
  }

  private end(running: Running): void {
    running.cancelled = running.hasEnded = true;
    running.job.end();
  }

  /** Runs a task's own code; if it throws, the task fails. */
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
    // Without flash attention, and in its tiled form, a non-finite cell reaches every sequence through the mask.
    this.room.isTainted ||= (error as SteeringError).code === "E_NOT_FINITE";
    running.job.fail(error);
  }

  private failAll(error: unknown): void {
    for (const job of this.waiting.splice(0)) job.fail(error);
    for (const running of this.running) this.fail(running, error);
  }

  private retire(ended: Running[]): void {
    if (ended.length === 0) return;
    this.running = this.running.filter((running) => !ended.includes(running));
    for (const running of ended) {
      this.room.giveBack(running.sequences, this.room.isTainted ? undefined : keptOf(running, this.keeping));
    }
  }

  private async admit(): Promise<void> {
    for (let first = this.nextWaiting(); first && !this.disposed; first = this.nextWaiting()) {
      const { rowTimes } = this.limits;
      if (first.task.kind === "steps" && first.task.guesses && !rowTimes.isReady) {
        await rowTimes.ready();
        continue; // it may have been dropped meanwhile
      }
      if (this.running.length === 0) await this.fit(first);
      const job = this.nextWaiting();
      const { context, isTainted } = this.room;
      if (!context) continue; // it could not be created for the first task
      if (!job || isTainted || this.running.length >= this.limits.maxTasks) return;
      const { task } = job;
      const used = this.running.reduce((sum, running) => sum + running.nCells, 0);
      const claim = { nSequences: sequencesOf(task), nCells: used + cellsOf(task) };
      if (!this.room.fits(claim)) return;
      this.waiting.splice(this.waiting.indexOf(job), 1);
      const running = start(job, claim, this.room, this.running, this.limits);
      this.running.push(running);
      this.spread(running);
    }
  }

  /** While nothing runs, provides a context as large as the limits or, if larger, as the next task needs. */
  private async fit(next: Job): Promise<void> {
    const { maxCells, maxSequences } = this.limits;
    try {
      await this.room.fit({ nCtx: Math.max(maxCells, cellsOf(next.task)), nSeqMax: Math.max(maxSequences, sequencesOf(next.task)) });
    } catch (error) {
      this.drop(next); // the others may need less
      next.fail(error);
    }
  }
}
