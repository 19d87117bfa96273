import {
  STEERED_ROWS, type Batch, type Engine, type Place, type Sample, type StepTask, type Taken, type TakeResult, type Term,
} from "../engine/index.js";
import type { LiveSteering } from "./live-steering.js";
import { openingAfter, PhaseClock } from "./phase-clock.js";
import { Stepper, type Decider, type ReadGuess } from "./stepper.js";
import { notFinite, Streams, type Output, type Probe } from "./streams.js";

/** Scores a given continuation, as a task of the scheduler: the log probability of each of its tokens. */
export class Scoring implements StepTask, Decider {
  readonly kind = "steps";
  readonly nSequences: number;
  readonly maxNewTokens: number;
  readonly mixedRows = STEERED_ROWS;
  /** Per token, in nats. */
  readonly logProbabilities: number[] = [];
  private readonly streams: Streams;
  private readonly clock: PhaseClock;
  private readonly stepper: Stepper;

  constructor(
    private readonly model: Engine, readonly prompt: readonly number[], private readonly continuation: readonly number[],
    steer: readonly LiveSteering[],
  ) {
    this.streams = new Streams(steer);
    this.clock = new PhaseClock(model, openingAfter(model, prompt));
    this.stepper = new Stepper(this.streams, this.clock, this, model.info.hasWholeSequences ? "off" : "on");
    this.nSequences = this.streams.nSequences;
    this.maxNewTokens = continuation.length;
  }

  promptTerms(): readonly Term[] {
    return this.streams.promptTerms();
  }

  step(batch: Batch, place: Place): TakeResult {
    const { sample, take } = this.stepper.step(batch, place);
    return (result) => {
      const taken = sample === undefined ? {} : this.accept(result.samples[sample]!);
      if (!taken.hasEnded) take(result);
      return taken;
    };
  }

  decide(batch: Batch, { step }: Place, { row }: Output): number {
    return batch.score(row, this.continuation[step]!);
  }

  guess(_: Batch, { step }: Probe): ReadGuess {
    return () => this.continuation[step];
  }

  private accept({ token, logProbability }: Sample): Taken {
    if (token < 0) throw notFinite();
    this.clock.take(token, this.model.detokenise([token]));
    return { token, hasEnded: this.logProbabilities.push(logProbability) === this.continuation.length };
  }
}
