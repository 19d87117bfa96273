import { STEERED_ROWS, type Batch, type Engine, type MeasuredAlpha, type Place, type StepTask, type Term } from "../engine/index.js";
import type { LiveSteering } from "./live-steering.js";
import { openingAfter, PhaseClock } from "./phase-clock.js";
import { notFinite, Streams } from "./streams.js";

/** Scores a given continuation, as a task of the scheduler: the log probability of each of its tokens. */
export class Scoring implements StepTask {
  readonly kind = "steps";
  readonly nSequences: number;
  readonly maxNewTokens: number;
  readonly mixedRows = STEERED_ROWS;
  /** Per token, in nats. */
  readonly logProbabilities: number[] = [];
  private readonly streams: Streams;
  private readonly clock: PhaseClock;

  constructor(
    model: Engine, readonly prompt: readonly number[], private readonly continuation: readonly number[], steer: readonly LiveSteering[],
  ) {
    this.streams = new Streams(steer);
    this.clock = new PhaseClock(model, openingAfter(model, prompt));
    this.nSequences = this.streams.nSequences;
    this.maxNewTokens = continuation.length;
  }

  promptTerms(): readonly Term[] {
    return this.streams.promptTerms();
  }

  measure(batch: Batch, place: Place): void {
    this.streams.measure(batch, place, this.clock.now());
  }

  output(batch: Batch, place: Place, measured: readonly MeasuredAlpha[]): number {
    return batch.score(this.streams.output(batch, place, measured, this.clock.now()).row, this.continuation[place.step]!);
  }

  accept(token: number, _seconds: number, logProbability: number): boolean {
    if (token < 0) throw notFinite();
    this.clock.take(this.continuation[this.logProbabilities.length]!);
    return this.logProbabilities.push(logProbability) < this.continuation.length;
  }
}
