import {
  STEERED_ROWS, type Batch, type Engine, type Place, type Sample, type StepResult, type StepTask, type Taken, type TakeResult, type Term,
} from "../engine/index.js";
import { readsText } from "../steering/index.js";
import type { History } from "./chat-memory.js";
import type { LiveSteering } from "./live-steering.js";
import { openingAfter, PhaseClock } from "./phase-clock.js";
import { notFinite, type Reading } from "./readings.js";
import type { Output, Probe } from "./step-rows.js";
import { Stepper, type Decider, type ReadGuess } from "./stepper.js";
import { Streams } from "./streams.js";

/**
 * Scores a given continuation, as a task of the scheduler: the log probability of each of its tokens. All tokens are known, so a decode
 * has as many rows as there is room for, unless alphas have to be measured.
 */
export class Scoring implements StepTask, Decider {
  readonly kind = "steps";
  readonly nSequences: number;
  readonly maxNewTokens: number;
  readonly mixedRows = STEERED_ROWS;
  readonly nHistories: number;
  /** Per token, in nats. */
  readonly logProbabilities: number[] = [];
  /** Those of the last step. */
  private readings: readonly Reading[] = [];
  private readonly streams: Streams;
  private readonly clock: PhaseClock;
  private readonly stepper: Stepper;

  constructor(
    private readonly model: Engine, readonly prompt: readonly number[], private readonly continuation: readonly number[],
    steer: readonly LiveSteering[], ownHistory?: History,
  ) {
    this.streams = new Streams(steer, ownHistory, !model.info.hasWholeSequences);
    this.nHistories = this.streams.nHistories;
    this.clock = new PhaseClock(model, openingAfter(model, prompt), () => readsText(steer));
    this.stepper = new Stepper(this.streams, this.clock, this, model.info.hasWholeSequences ? "off" : "on");
    this.nSequences = this.streams.nSequences;
    this.maxNewTokens = continuation.length;
  }

  promptTerms(): readonly Term[] {
    return this.streams.promptTerms();
  }

  step(batch: Batch, place: Place): TakeResult {
    if (this.nSequences === 1) return this.piece(batch, place);
    const { sample, take } = this.stepper.step(batch, place);
    return (result) => {
      const index = sample(result);
      const taken = index === undefined ? {} : this.accept([result.samples[index]!], result);
      if (index !== undefined) this.tick(place.step);
      if (!taken.hasEnded) take(result);
      return taken;
    };
  }

  decide(batch: Batch, { step }: Place, { row, readings, isTentative: settles }: Output): ReturnType<Decider["decide"]> {
    this.readings = readings;
    return { sample: batch.score(row, this.continuation[step]!, { settles }), take: () => undefined };
  }

  settle(): undefined {}

  guess(_: Batch, { step }: Probe): ReadGuess {
    return () => this.continuation[step];
  }

  /** Adds the rows of several steps. */
  private piece(batch: Batch, place: Place): TakeResult {
    const { continuation } = this;
    const samples: number[] = [];
    const moreRows = this.streams.isSequence ? 0 : place.moreRows;
    for (let step = place.step; step < Math.min(place.step + 1 + moreRows, continuation.length); step++) {
      const ahead = step - place.step;
      const row = { ...place, step, position: place.position + ahead, token: ahead === 0 ? place.token : continuation[step - 1]! };
      samples.push(this.decide(batch, row, this.streams.output(batch, row, this.clock.now(), undefined)).sample);
      this.tick(step);
    }
    return (result) => this.accept(samples.map((sample) => result.samples[sample]!), result);
  }

  /** Tells the clock the token of a step. */
  private tick(step: number): void {
    const token = this.continuation[step]!;
    this.clock.take(token, this.model.detokenise([token]));
  }

  private accept(samples: readonly Sample[], { gates }: StepResult): Taken {
    this.streams.takeGates(gates, this.readings);
    for (const { token, logProbability } of samples) {
      if (token < 0) throw notFinite();
      this.logProbabilities.push(logProbability);
    }
    return { token: samples.at(-1)!.token, nSteps: samples.length, hasEnded: this.logProbabilities.length === this.continuation.length };
  }
}
