import { STEERED_ROWS, type Batch, type MeasuredAlpha, type Place, type Task } from "../engine/index.js";
import { notFinite, Streams, type Property } from "./streams.js";

/** A continuation whose tokens are given, as the scheduler runs it: what the model thinks of each of them. */
export class Scoring implements Task {
  readonly nSequences: number;
  readonly maxNewTokens: number;
  readonly mixedRows = STEERED_ROWS;
  /** Per token, in nats. */
  readonly logProbabilities: Promise<number[]>;
  private readonly streams: Streams;
  private readonly found: number[] = [];
  private resolve!: (found: number[]) => void;
  private reject!: (error: unknown) => void;

  constructor(readonly prompt: readonly number[], private readonly continuation: readonly number[], properties: readonly Property[]) {
    this.streams = new Streams(properties);
    this.nSequences = this.streams.nSequences;
    this.maxNewTokens = continuation.length;
    this.logProbabilities = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  isWanted(): boolean {
    return true;
  }

  probe(batch: Batch, place: Place): void {
    this.streams.probe(batch, place);
  }

  output(batch: Batch, place: Place, measured: readonly MeasuredAlpha[]): number {
    return batch.score(this.streams.output(batch, place, measured).row, this.continuation[place.step]!);
  }

  accept(token: number, _seconds: number, logProbability: number): boolean {
    if (token < 0) throw notFinite();
    if (this.found.push(logProbability) < this.continuation.length) return true;
    this.resolve(this.found);
    return false;
  }

  fail(error: unknown): void {
    this.reject(error);
  }
}
