import { UNSETTLED, type Batch, type Place, type StepResult } from "../engine/index.js";
import type { PhaseClock } from "./phase-clock.js";
import { notFinite } from "./readings.js";
import type { Composition, Output, Probe } from "./step-rows.js";
import type { Streams } from "./streams.js";

/** Reads a guessed token off the result of a decode; undefined if there is none, or none worth computing with. */
export type ReadGuess = (result: StepResult) => number | undefined;

/** A token that was requested. */
interface Deciding {
  /** The index of its sample. */
  sample: number;
  /** Call this with what steered its row, once that is known, before its sample is read. */
  take: (composition: Composition) => void;
}

/** Who decides the tokens. */
export interface Decider {
  readonly maxNewTokens: number;
  /** Requests the token after the output row. */
  decide(batch: Batch, place: Place, output: Output): Deciding;
  /**
   * Requests the token after P or S, if the alphas measured in this batch make one of them the output row; undefined if the output row is
   * wanted for something else, too.
   */
  settle(batch: Batch, probe: Probe): Deciding | undefined;
  /** Requests a guess of the token that a step will decide, given the rows that are measured for it. */
  guess(batch: Batch, probe: Probe): ReadGuess;
  /** Called where the output row is computed again, with other alphas. */
  drop?(): void;
  /** Requests whatever else is wanted of the rows that are measured; returns what reads it off the result. */
  watch?(batch: Batch, probe: Probe): ((result: StepResult) => void) | undefined;
}

/** What a decode has for one generation. */
export interface Step {
  /** Index of the token's sample in the result; undefined if the step takes another decode. */
  sample: (result: StepResult) => number | undefined;
  /** Call this with the result, after the token has been taken. */
  take: (result: StepResult) => void;
}

/** Whether Dyn guesses tokens to save decodes: while enough guesses are right, always, or never. */
export type Pipeline = "auto" | "on" | "off";
export const PIPELINES: readonly Pipeline[] = ["auto", "on", "off"];

/** The work that the tokens of a generation took. */
export interface GenerationWork {
  decodes: number;
  rows: number;
  /** Guessed tokens with which the next step was begun. */
  guesses: number;
  /** Those that were the token. */
  hits: number;
}

/** The share of right guesses that is expected at first, for one measured steering: 0.67 to 0.82 on real models. */
const USUAL_SHARE = 0.7;
/** Over how many guesses, about, the share of right ones is counted. */
const MEMORY = 16;
/** Tokens without guesses, after which one is tried again. */
const PAUSE = 32;

/**
 * Takes a generation from token to token. A step's alphas have to be measured before its output row can be steered, so it takes two
 * decodes: P and S, then the output. But P and S nearly name the token. So the output row is decoded together with P and S of the next
 * step for a guessed token; where the guess is right, each further token takes one decode. Where it is wrong, their cells are removed and
 * the right ones computed. Every token and alpha is that of the plain order (docs/architecture.md, "Dyn in a pipeline").
 */
export class Stepper {
  readonly counts: GenerationWork = { decodes: 0, rows: 0, guesses: 0, hits: 0 };
  /** What is measured already: for the step that comes next, or for the one after a guessed token. */
  private ahead: { probe: Probe; guess: number | undefined; isGuessed: boolean } | undefined;
  private sequences: readonly number[] | undefined;
  private share: number | undefined;
  private pause = 0;
  /** True if the rows of the last decode are computed again. */
  private isAgain = false;

  /** `guesses`: only "off" where the cells of a wrong guess cannot be removed. */
  constructor(
    private readonly streams: Streams, private readonly clock: PhaseClock, private readonly decider: Decider,
    private readonly guesses: Pipeline,
  ) {}

  /** Adds the rows of the next decode. */
  step(batch: Batch, place: Place): Step {
    const before = batch.size;
    const step = this.add(batch, place);
    this.counts.decodes++;
    this.counts.rows += batch.size - before;
    return step;
  }

  private add(batch: Batch, place: Place): Step {
    const now = this.clock.now();
    if (this.isAgain && this.sequences === place.sequences) place.rewind();
    this.isAgain = false;
    const ahead = this.takeAhead(place);
    if (ahead?.isGuessed) this.fork(place, place.sequences.slice(this.streams.firstOutput));
    this.streams.shareOutput(place);
    if (ahead) return this.decide(batch, place, ahead.probe, ahead.guess);
    this.fork(place, place.sequences.slice(1));
    const probe = this.streams.probe(batch, place, now);
    if (!probe || !this.streams.isMeasuredAt(place.step, now)) return this.decide(batch, place, probe, undefined);
    return { sample: this.settler(batch, place, probe), take: this.taker(batch, place, probe, false) };
  }

  /** If the history is clean, gives these sequences the cells before this place. */
  private fork({ position, fork }: Pick<Place, "position" | "fork">, sequences: readonly number[]): void {
    if (this.streams.isClean) for (const each of sequences) fork(each, position);
  }

  /** Takes the step's token off the rows that are measured for it, where one of them turns out to be the output row. */
  private settler(batch: Batch, { step }: Place, probe: Probe): Step["sample"] {
    const settling = this.streams.settles(probe) ? this.decider.settle(batch, probe) : undefined;
    return ({ samples, alphas }) => {
      if (!settling || samples[settling.sample]!.token === UNSETTLED) return undefined;
      probe.alphas = alphas;
      settling.take(this.streams.compose(step, probe.moment, probe));
      return settling.sample;
    };
  }

  /** What was measured for this step, if it still holds; otherwise removes its cells. */
  private takeAhead(place: Place): Stepper["ahead"] {
    const { ahead, sequences } = this;
    this.ahead = undefined;
    this.sequences = place.sequences;
    if (!ahead || sequences !== place.sequences) return undefined; // the generation has begun again
    if (ahead.probe.step < place.step) return undefined; // its token was settled
    const fits = this.streams.fits(ahead.probe, place, this.clock.now());
    if (ahead.isGuessed) this.count(fits);
    if (fits) return ahead;
    place.rewind();
    return undefined;
  }

  /** Adds the output row and, with a guess of its token, the rows that are measured for the next step. */
  private decide(batch: Batch, place: Place, probe: Probe | undefined, guess: number | undefined): Step {
    const now = this.clock.now();
    const output = this.streams.output(batch, place, now, probe);
    const { sample, take } = this.decider.decide(batch, place, output);
    const read = (result: StepResult): number | undefined => {
      this.isAgain = output.isTentative && result.samples[sample]!.token === UNSETTLED;
      if (this.isAgain) {
        this.streams.tryAgain(output, result);
        this.decider.drop?.();
        return undefined;
      }
      take(this.streams.choose(output, result));
      return sample;
    };
    const next = { ...place, token: guess ?? 0, step: place.step + 1, position: place.position + 1 };
    const moment = guess !== undefined && next.step < this.decider.maxNewTokens ? this.clock.after(guess) : undefined;
    const isAhead = moment !== undefined && this.streams.isMeasuredAt(next.step, moment);
    if (isAhead) this.fork(next, next.sequences.slice(1, this.streams.firstOutput));
    const ahead = isAhead ? this.streams.probe(batch, next, moment) : undefined;
    return { sample: read, take: ahead ? this.taker(batch, place, ahead, true) : () => undefined };
  }

  private taker(batch: Batch, { leastShare }: Place, probe: Probe, isGuessed: boolean): (result: StepResult) => void {
    const guess = this.isGuessing(leastShare, probe.requests.size) ? this.decider.guess(batch, probe) : undefined;
    const read = this.decider.watch?.(batch, probe);
    return (result) => {
      probe.alphas = result.alphas;
      read?.(result);
      for (const index of probe.requests.values()) if (Number.isNaN(result.alphas[index]!.kl)) throw notFinite();
      this.ahead = { probe, guess: guess?.(result), isGuessed };
    };
  }

  private isGuessing(leastShare: Place["leastShare"], nMeasured: number): boolean {
    // Each further steering misleads a guess about as often as the first: Gemma 3 270M has 0.74, 0.52 and 0.34 for one to three.
    this.share ??= USUAL_SHARE ** nMeasured;
    if (this.guesses !== "auto") return this.guesses === "on";
    const least = leastShare(nMeasured);
    if (this.share > least) return true;
    if (least >= 1 || ++this.pause < PAUSE) return false;
    this.pause = 0;
    return true;
  }

  private count(isRight: boolean): void {
    this.counts.guesses++;
    if (isRight) this.counts.hits++;
    this.share! += ((isRight ? 1 : 0) - this.share!) / MEMORY;
  }
}
