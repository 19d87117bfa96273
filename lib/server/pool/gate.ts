import { onAbort } from "../../engine/index.js";
import { abortError, throwIfAborted } from "../../errors.js";
import { HttpError } from "../http/errors.js";

interface Waiting {
  weight: number;
  begin: () => void;
}

/** How fast the average duration follows new ones. */
const MEMORY = 8;
const [LEAST_SECONDS, MOST_SECONDS] = [1, 60];

/** Lets a number of answers be written at once, in the order in which they arrive, and a number of requests wait. */
export class Gate {
  private used = 0;
  private readonly waiting: Waiting[] = [];
  /** Average seconds that an entrant stays. */
  private average = 1;

  constructor(private readonly capacity: number, private readonly maxWaiting: number) {}

  get running(): number {
    return this.used;
  }

  get queued(): number {
    return this.waiting.length;
  }

  /** Waits for `weight` places; returns what gives them back. Throws 429 if too many wait already, E_ABORTED when the signal fires. */
  async enter(weight: number, signal?: AbortSignal): Promise<() => void> {
    throwIfAborted(signal);
    const needed = Math.min(weight, this.capacity);
    if (this.waiting.length > 0 || this.used + needed > this.capacity) await this.wait(needed, signal);
    else this.used += needed;
    const begun = performance.now();
    let isInside = true;
    return () => {
      if (!isInside) return;
      isInside = false;
      this.average += ((performance.now() - begun) / 1000 - this.average) / MEMORY;
      this.used -= needed;
      this.admit();
    };
  }

  /** Throws 429 if no request may wait any more, and none can begin. */
  check(): void {
    if (this.used < this.capacity && this.waiting.length === 0) return;
    if (this.waiting.length >= this.maxWaiting) throw this.full();
  }

  private full(): HttpError {
    const seconds = Math.ceil(this.average * (this.waiting.length + 1) / this.capacity);
    return new HttpError(429, `the queue is full: ${this.waiting.length} requests wait; try again later`, {
      code: "queue_full", retryAfter: Math.min(MOST_SECONDS, Math.max(LEAST_SECONDS, seconds)),
    });
  }

  private wait(weight: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.waiting.length >= this.maxWaiting) throw this.full();
    return new Promise((resolve, reject) => {
      const entry: Waiting = { weight, begin: () => { forget(); resolve(); } };
      const forget = onAbort(signal, () => {
        const place = this.waiting.indexOf(entry);
        if (place >= 0) this.waiting.splice(place, 1);
        reject(abortError(signal!));
        this.admit(); // those after it may fit
      });
      this.waiting.push(entry);
    });
  }

  private admit(): void {
    for (let next = this.waiting[0]; next && this.used + next.weight <= this.capacity; next = this.waiting[0]) {
      this.waiting.shift();
      this.used += next.weight;
      next.begin();
    }
  }
}
