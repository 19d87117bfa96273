import { STEERED_ROWS, type Batch, type MeasuredAlpha, type Place, type StepTask } from "../engine/index.js";
import type { LiveSteering } from "./live-steering.js";
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

  constructor(readonly prompt: readonly number[], private readonly continuation: readonly number[], steer: readonly LiveSteering[]) {
    this.streams = new Streams(steer);
    this.nSequences = this.streams.nSequences;
    this.maxNewTokens = continuation.length;
  }

  measure(batch: Batch, place: Place): void {
    this.streams.measure(batch, place);
  }

  output(batch: Batch, place: Place, measured: readonly MeasuredAlpha[]): number {
    return batch.score(this.streams.output(batch, place, measured).row, this.continuation[place.step]!);
  }

  accept(token: number, _seconds: number, logProbability: number): boolean {
    if (token < 0) throw notFinite();
    return this.logProbabilities.push(logProbability) < this.continuation.length;
  }
}
