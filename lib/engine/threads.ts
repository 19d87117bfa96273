import { setTimeout } from "node:timers/promises";
import { allowedProcessors, availableProcessors, cpuQuota, processorTimes, type ProcessorTimes } from "./processors.js";

/** How often to measure the machine's load. Its counters have steps of 10 ms. */
const WINDOW_MS = 200;
/** ggml's own limit. */
export const MAX_THREADS = 512;
/** Fraction of a processor that other programs may use before the last thread is given up. */
const TOLERANCE = 0.3;

/** A thread count that is held until it is disposed of. */
export type Hold = Disposable & { readonly threads: number };

/**
 * Decides how many threads a model computes with: one per free processor, up to a maximum.
 *
 * ggml's threads wait for each other after each operation, hundreds of times per token, by spinning. If one of them has to share its
 * processor, each wait can take a whole time slice of the operating system's scheduler, a hundred times longer than the work. One thread
 * too few is therefore far better than one too many.
 */
export class ThreadCount {
  /** When each instance in this process last computed; active instances share the free processors. */
  private static readonly computing = new Map<ThreadCount, number>();
  private free: number;
  private before: ProcessorTimes | undefined;
  /** The newest hold determines the number; holds may end in any order. */
  private holds: Hold[] = [];
  private hasLooked = false;

  /** `isFixed`: always use `most`. `times` and `clock`: for tests. */
  constructor(
    readonly most: number, readonly isFixed: boolean, private readonly times: () => ProcessorTimes | undefined = processorTimes,
    private readonly clock = () => performance.now(),
  ) {
    this.free = most;
    this.before = times();
  }

  /** True while the last digits of results matter. */
  get isHeld(): boolean {
    return this.holds.length > 0;
  }

  /** Threads for the next piece of work; `isExact`: its result does not depend on their number, so holds do not apply. */
  now(isExact = false): number {
    const sharers = this.sharers();
    if (this.isFixed || this.most === 1) return this.most;
    return isExact ? this.best(sharers) : this.holds.at(-1)?.threads ?? this.best(sharers);
  }

  /** The best number of threads now, regardless of a fixed or held number. */
  best(sharers = 1): number {
    this.look();
    return Math.max(1, Math.min(this.most, Math.floor(this.free / sharers + TOLERANCE)));
  }

  /**
   * Holds the number at `n` (default: the current one) until disposed of, for work whose last digits depend on it. It never exceeds the
   * machine's processors: with four threads on each, `tiny` takes seconds per token instead of milliseconds. A fixed number is unaffected.
   */
  hold(n = this.now()): Hold {
    const threads = this.isFixed ? this.most : Math.min(n, Math.max(this.most, availableProcessors()));
    const hold: Hold = { threads, [Symbol.dispose]: () => { this.holds = this.holds.filter((other) => other !== hold); } };
    this.holds.push(hold);
    return hold;
  }

  /** Waits until the load has been measured once, then returns `now()`; for numbers that are held for long. */
  async settled(): Promise<number> {
    while (!this.isFixed && this.before && !this.hasLooked) {
      await setTimeout(this.before.at + WINDOW_MS - this.clock()); // may end up to a millisecond early
      this.look();
    }
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

/** Processors available to this process: those it used plus the idle ones. */
function freeProcessors(before: ProcessorTimes, after: ProcessorTimes): number {
  return (after.idle - before.idle + after.own - before.own) / (after.at - before.at);
}

/**
 * The most threads that a model uses by default, and what limits them. One per core: on x64 machines with many logical processors, two of
 * them share a core's vector units. CPU quotas are rounded down to whole processors: with one thread more, the others would wait for it
 * while the control group is paused. `root`: the folder with /proc and the groups, `arch`: the machine's, both for tests.
 */
export function threadLimit(root?: string, arch = process.arch): { threads: number; reason: string } {
  const [processors, quota] = [allowedProcessors(root), cpuQuota(root)];
  const cores = arch === "x64" && processors > 4 ? Math.floor(processors / 2) : processors;
  const count = (n: number): string => `${n} processor${n === 1 ? "" : "s"}`;
  if (quota < cores) {
    const reason = `the control group's CPU quota is ${count(Number(quota.toFixed(2)))} of ${processors}`;
    return { threads: Math.max(1, Math.floor(quota)), reason };
  }
  const reason = cores === processors ? `this process may use ${count(processors)}`
    : `this process may use ${count(processors)}, and two usually share a core`;
  return { threads: cores, reason };
}

/** The most threads that a model uses by default. */
export function defaultThreads(): number {
  return threadLimit().threads;
}
