import {
  STEERED_ROWS, type Batch, type Engine, type Place, type StepTask, type Taken, type TakeResult, type Term,
} from "../engine/index.js";
import type { History } from "./chat-memory.js";
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
  readonly forks: boolean;
  /** Per token, in nats. */
  readonly logProbabilities: number[] = [];
  private readonly streams: Streams;
  private readonly clock: PhaseClock;
  private readonly stepper: Stepper;

  constructor(
    model: Engine, readonly prompt: readonly number[], private readonly continuation: readonly number[], steer: readonly LiveSteering[],
    ownHistory?: History,
  ) {
    this.streams = new Streams(steer, ownHistory);
    this.forks = this.streams.isClean;
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
      const index = sample(result);
      const taken = index === undefined ? {} : this.accept(result.tokens[index]!, result.logProbabilities[index]!);
      if (!taken.hasEnded) take(result);
      return taken;
    };
  }

  decide(batch: Batch, { step }: Place, { row }: Output): number {
    return batch.score(row, this.continuation[step]!);
  }

  settle(): undefined {}

  guess(_: Batch, { step }: Probe): ReadGuess {
    return () => this.continuation[step];
  }

  private accept(token: number, logProbability: number): Taken {
    if (token < 0) throw notFinite();
    this.clock.take(token);
    return { token, hasEnded: this.logProbabilities.push(logProbability) === this.continuation.length };
  }
}
