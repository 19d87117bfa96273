import { setTimeout } from "node:timers/promises";
import { availableProcessors, processorTimes, type ProcessorTimes } from "./processors.js";

/** How often the machine's load is looked at. Its counters have steps of 10 ms. */
const WINDOW_MS = 200;
/** As ggml takes them. */
export const MAX_THREADS = 512;
/** Part of a processor that others may take from the last thread before it is given up. */
const TOLERANCE = 0.3;

/** A number of threads that is kept until it is disposed of. */
export type Hold = Disposable & { readonly threads: number };

/**
 * How many threads a model computes with: as many as processors are free, up to a number.
 *
 * ggml's threads wait for each other after each operation, hundreds of times per token, and do so spinning. As soon as one
 * of them shares its processor, each wait can last as long as a turn of the system's scheduler: a hundred times longer than the work.
 * One thread fewer than there are free processors is therefore far better than one too many.
 */
export class ThreadCount {
  /** Those of this process that compute, and when they last did: they share what is free. */
  private static readonly computing = new Map<ThreadCount, number>();
  private free: number;
  private before: ProcessorTimes | undefined;
  /** The number of the last of them counts; they may end in any order. */
  private holds: Hold[] = [];
  private hasLooked = false;

  /** `isFixed`: always `most`. `times` and `clock`: for tests. */
  constructor(readonly most: number, readonly isFixed: boolean, private readonly times: () => ProcessorTimes | undefined = processorTimes, private readonly clock = () => performance.now()) {
    this.free = most;
    this.before = times();
  }

  /** Threads for the next piece of work; `isExact`: what it computes does not depend on their number, so that none is held for it. */
  now(isExact = false): number {
    const sharers = this.sharers();
    if (this.isFixed || this.most === 1) return this.most;
    return isExact ? this.best(sharers) : this.holds.at(-1)?.threads ?? this.best(sharers);
  }

  /** Threads that would do best now, whatever is fixed or held. */
  best(sharers = 1): number {
    this.look();
    return Math.max(1, Math.min(this.most, Math.floor(this.free / sharers + TOLERANCE)));
  }

  /**
   * The same number until it is disposed of, `n` or that of now, for work whose last digits depend on it. Never more than the
   * machine has processors: with four threads on each, `tiny` takes seconds per token instead of milliseconds. Without effect
   * on a number that is fixed.
   */
  hold(n = this.now()): Hold {
    if (this.isFixed) return { threads: this.most, [Symbol.dispose]: () => {} };
    const threads = Math.min(n, Math.max(this.most, Math.floor(availableProcessors())));
    const hold: Hold = { threads, [Symbol.dispose]: () => { this.holds = this.holds.filter((other) => other !== hold); } };
    this.holds.push(hold);
    return hold;
  }

  /** `now()`, once the load has been looked at for long enough to say it: before a number is kept for long. */
  async settled(): Promise<number> {
    if (!this.isFixed && this.before && !this.hasLooked) await setTimeout(Math.max(0, this.before.at + WINDOW_MS - this.clock()));
    return this.now();
  }

  private look(): void {
    const { before } = this;
    if (before && this.clock() - before.at < WINDOW_MS) return;
    this.before = this.times();
    if (!before || !this.before) return;
    this.hasLooked = true;
    this.free = freeProcessors(before, this.before);
  }

  private sharers(): number {
    const now = this.clock();
    const { computing } = ThreadCount;
    computing.set(this, now);
    for (const [other, last] of computing) if (now - last > WINDOW_MS) computing.delete(other);
    return computing.size;
  }
}

/** Processors for this process: what it had, and what nobody had. */
function freeProcessors(before: ProcessorTimes, after: ProcessorTimes): number {
  return (after.idle - before.idle + after.own - before.own) / (after.at - before.at);
}

/**
 * One thread per core: on x64 processors with many logical ones, two share the vector units of a core. Of a CPU quota, only whole
 * processors: what a thread more would do, the others would wait for while the group is paused.
 */
export function defaultThreads(root?: string): number {
  const available = availableProcessors(root);
  const cores = process.arch === "x64" && available > 4 ? available / 2 : available;
  return Math.max(1, Math.floor(cores));
}
