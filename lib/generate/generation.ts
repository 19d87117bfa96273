import {
  STEERED_ROWS, type Batch, type Cells, type Engine, type KeepsCells, type Place, type Sample, type StepResult,
  type StepTask, type Taken, type TakeResult, type Term,
} from "../engine/index.js";
import { splitThoughts, ThoughtReader, type Opening, type Phase, type ThoughtsAndAnswer } from "../prompt/index.js";
import { readsText, type SteeringSpec } from "../steering/index.js";
import { cellsOfTurn, cleanCells, listed, termsAfter, type ChatMemory } from "./chat-memory.js";
import type { GenerationSettings } from "./generation-settings.js";
import { hiddenMark, openingAfter, PhaseClock } from "./phase-clock.js";
import { notFinite, type Reading } from "./readings.js";
import type { Composition, Output, Probe } from "./step-rows.js";
import { Stepper, type Decider, type GenerationWork, type ReadGuess } from "./stepper.js";
import { Streams } from "./streams.js";
import { TextStream } from "./text-stream.js";
import { CandidateReader, type TokenCandidates } from "./token-candidates.js";

/** One token of an answer, with the readings of its step. */
export interface GeneratedToken {
  /** The text that this token completed: empty inside a UTF-8 character or a possible stop string. */
  text: string;
  /** What it adds to the answer, without marks around thoughts: comes later than `text` where that may be part of a mark. */
  answer: string;
  /** What it adds to the thoughts, likewise. */
  thoughts: string;
  token: number;
  /** Token step, from 0. */
  step: number;
  /** What the token belongs to: the model's thoughts, with their marks, or its answer. */
  phase: Phase;
  /** One per entry of `steer` and per steering added later. */
  readings: Reading[];
  /** In nats, under the steered distribution before sampling; only with `logProbabilities`. */
  logProbability?: number;
  /** One probability per probe of `monitor`, for the state that chose this token; only with `monitor`. */
  monitors?: number[];
  /** The likeliest tokens of this step, of each stream; only with `candidates`. */
  candidates?: TokenCandidates;
}

/** The result of a generation. */
export interface GenerationResult {
  /** The whole text, including thoughts; their marks only if they are not special tokens. */
  text: string;
  /** The text without the thoughts before it. */
  answer: string;
  /** What the model thought before it answered, without marks; empty if it did not think. */
  thoughts: string;
  tokens: GeneratedToken[];
  /** The steerings in canonical form, one per reading: as given or, for those changed during the generation, with recorded alphas. */
  steering: SteeringSpec[];
  /** Readings of the step that chose the end mark; null if the text ended for another reason. */
  endReadings: Reading[] | null;
  finishReason: "length" | "end" | "stop";
  promptTokens: number;
  /** Tokens at the beginning of the prompt that were in the KV cache already, because another prompt or turn began alike. */
  cachedTokens: number;
  /** Decodes and rows that the tokens took, and how many tokens were guessed while the alphas were measured (Dyn). */
  work: GenerationWork;
  /** Duration of the steps that produced the tokens; other generations may have shared these steps. */
  seconds: number;
}

/** What a generation has written, for the history of a chat. */
export interface Written {
  answer: string;
  /** The text with all its marks, including the one with which the prompt opened a thought. */
  markedText: string;
  /** What its cells are computed from. */
  rows: Cells;
}

/** A generation as a task of the scheduler: each token is computed when it is requested. */
export class Generation implements StepTask, Decider {
  readonly kind = "steps";
  readonly prompt: readonly number[];
  readonly maxNewTokens: number;
  readonly mixedRows = STEERED_ROWS;
  readonly keeps?: KeepsCells;
  private readonly streams: Streams;
  private readonly stepper: Stepper;
  private readonly sampler;
  private readonly constraint;
  private readonly text: TextStream;
  private readonly opening: Opening;
  private readonly reader: ThoughtReader;
  private readonly candidates: CandidateReader | undefined;
  private readonly clock: PhaseClock;
  private readonly tokens: GeneratedToken[] = [];
  /** The shown text, with marks that are not shown. */
  private marked = "";
  private readonly ofPrompt: (position: number) => readonly Term[];
  private readings: Reading[] = [];
  private ownSteps: number[] = [];
  private picked = 0;
  /** True if the current step repeats one that was decided before a restart. */
  private isRepeat = false;
  private seconds = 0;
  private cachedTokens = 0;
  private finishReason: GenerationResult["finishReason"] | undefined;
  private failure: { error: unknown } | undefined;
  private consumer: { resolve: (token: GeneratedToken | undefined) => void; reject: (error: unknown) => void } | undefined;

  constructor(private readonly model: Engine, private readonly settings: GenerationSettings) {
    this.prompt = settings.prompt;
    this.maxNewTokens = settings.maxNewTokens;
    this.streams = new Streams(settings.steer, settings.ownHistory, !model.info.hasWholeSequences);
    this.sampler = model.createSampler(settings.sampling, settings.prompt);
    this.constraint = model.createConstraint(settings.sampling);
    this.text = new TextStream(settings.stop);
    this.opening = openingAfter(model, settings.prompt);
    this.reader = new ThoughtReader(this.opening);
    this.clock = new PhaseClock(model, this.opening, () => readsText(this.streams.steered));
    this.stepper = new Stepper(this.streams, this.clock, this, model.info.hasWholeSequences ? "off" : settings.pipeline);
    if (settings.candidates > 0) this.candidates = new CandidateReader(settings.candidates, settings.steer);
    const { memory } = settings;
    const own = (): readonly Term[] => this.streams.promptTerms();
    this.ofPrompt = termsAfter(memory?.past, this.prompt, own);
    if (memory) this.keeps = { owner: memory.owner, keptCells: (nSteps) => this.keptCells(memory, nSteps) };
  }

  get guesses(): boolean {
    return this.settings.pipeline === "auto" && !this.model.info.hasWholeSequences && this.streams.firstOutput > 1; // there is an S
  }

  /** Submits the generation to the scheduler; it fails with E_ABORTED when one of the signals fires. */
  start(...signals: ReadonlyArray<AbortSignal | undefined>): void {
    this.model.scheduler.run(this, ...signals).catch((error: unknown) => {
      this.failure = { error };
      this.respond(({ reject }) => reject(error));
    });
  }

  /** Returns the next token, or undefined at the end. */
  nextToken(): Promise<GeneratedToken | undefined> {
    if (this.failure) return Promise.reject(this.failure.error as Error);
    if (this.finishReason) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      this.streams.takeSchedules();
      this.consumer = { resolve, reject };
      if (!this.streams.isShort) return this.model.scheduler.wake();
      this.streams.restart(); // recomputes the steps so far, with the missing streams
      this.model.scheduler.restart(this);
    });
  }

  /** Returns what has been written so far. */
  written(): Written {
    return {
      answer: this.parts().answer, markedText: this.opening.opened + this.marked,
      rows: listed(this.cells("terms", this.streams.past.length)),
    };
  }

  result(): Omit<GenerationResult, "steering"> {
    const { tokens, readings, seconds, cachedTokens } = this;
    return {
      text: tokens.map(({ text }) => text).join(""), ...this.parts(), tokens, endReadings: this.finishReason === "end" ? readings : null,
      finishReason: this.finishReason!, promptTokens: this.prompt.length, cachedTokens, seconds, work: { ...this.stepper.counts },
    };
  }

  private parts(): ThoughtsAndAnswer {
    return splitThoughts(this.marked, this.opening);
  }

  get nSequences(): number {
    return this.streams.nSequences;
  }

  get nHistories(): number {
    return this.streams.nHistories;
  }

  isWanted(): boolean {
    return this.consumer !== undefined;
  }

  begins(nShared: number): void {
    this.cachedTokens = nShared;
  }

  promptTerms(position: number): readonly Term[] {
    return this.ofPrompt(position);
  }

  step(batch: Batch, place: Place): TakeResult {
    const { sample, take } = this.stepper.step(batch, place);
    return (result, seconds) => {
      this.seconds += seconds;
      const index = sample(result);
      const taken = index === undefined ? {} : this.accept(result.samples[index]!, result);
      if (!taken.hasEnded) take(result);
      return taken;
    };
  }

  decide(batch: Batch, place: Place, { row, rows, candidates, isTentative: settles }: Output): ReturnType<Decider["decide"]> {
    const decided = this.streams.decided(place.step);
    if (decided !== undefined) return { sample: batch.score(row, decided), take: () => { this.isRepeat = true; } };
    this.settings.monitor?.watch(batch, rows);
    this.candidates?.decide(batch, row, candidates);
    const first = this.settings.firstTokens[place.step];
    const how = { ...this.picking(), settles };
    const sample = first === undefined ? batch.sample(row, how) : batch.score(row, first, how);
    return { sample, take: (composition) => this.read(composition) };
  }

  drop(): void {
    this.settings.monitor?.drop();
  }

  settle(batch: Batch, { baseline }: Probe): ReturnType<Decider["settle"]> {
    const { monitor, firstTokens } = this.settings;
    if (monitor || this.candidates || this.streams.past.length < firstTokens.length) return undefined; // the output row is wanted
    return { sample: batch.sample(baseline, { ...this.picking(), settles: true }), take: (composition) => this.read(composition) };
  }

  private picking(): Parameters<Batch["sample"]>[1] {
    return { ...this.choice(), logProbability: this.settings.logProbabilities };
  }

  private choice(): Parameters<Batch["score"]>[2] {
    return { sampler: this.sampler, allowed: this.constraint?.allowed() };
  }

  private read({ readings, steps, picked }: Composition): void {
    this.isRepeat = false;
    this.picked = picked;
    this.readings = readings;
    this.ownSteps = steps;
  }

  watch(batch: Batch, probe: Probe): ((result: StepResult) => void) | undefined {
    return this.candidates?.measure(batch, probe);
  }

  guess(batch: Batch, { baseline, step }: Probe): ReadGuess {
    const first = this.settings.firstTokens[step];
    if (first !== undefined) return () => (this.model.isEndOfGeneration(first) ? undefined : first);
    // What a grammar allows after a token that is only guessed is not known.
    const allowed = step === this.streams.past.length ? this.constraint?.allowed() : undefined;
    const guess = batch.guess(baseline, { sampler: this.sampler, allowed });
    return ({ guesses }) => (guesses[guess]! < 0 ? undefined : guesses[guess]!);
  }

  private accept({ token, logProbability, isEnd, bytes: sampled }: Sample, result: StepResult): Taken {
    if (token < 0) throw notFinite();
    if (this.isRepeat) return { token };
    this.readings = this.streams.takeGates(result.gates, this.readings);
    this.streams.decide(token);
    const step = this.tokens.length;
    // The bytes of a given token are not returned.
    const bytes = step < this.settings.firstTokens.length && !isEnd ? this.model.detokenise([token]) : sampled;
    const monitors = this.settings.monitor?.read(this.ownSteps, this.readings, this.picked);
    const phase = this.clock.take(token, bytes);
    if (!isEnd) this.constraint?.accept(bytes);
    let piece = this.text.push(bytes);
    if (this.text.stoppedBy !== undefined) this.finishReason = "stop";
    else if (isEnd) this.finishReason = "end";
    else if (step + 1 === this.maxNewTokens) this.finishReason = "length";
    if (this.finishReason !== undefined) piece += this.text.finish();
    const marked = piece + (isEnd ? "" : hiddenMark(this.model, token));
    const parts = this.reader.read(marked, this.finishReason !== undefined);
    const isShown = !isEnd || piece + parts.answer + parts.thoughts !== ""; // the end mark is only yielded if it releases held-back text
    const generated = isShown ? {
      text: piece, ...parts, token, step, phase, readings: this.readings,
      ...(this.settings.logProbabilities && { logProbability }), ...(monitors && { monitors }),
      ...(this.candidates && { candidates: this.candidates.read(result, this.readings.length) }),
    } : undefined;
    if (generated) this.tokens.push(generated);
    this.marked += marked;
    this.respond(({ resolve }) => resolve(generated));
    return { token, hasEnded: this.finishReason !== undefined };
  }

  private cells(stream: "terms" | "baseline", nSteps: number): Cells {
    const promptTerms = (position: number): readonly Term[] => this.promptTerms(position);
    const own = this.streams.isClean ? "baseline" : stream;
    return cellsOfTurn({ prompt: this.prompt, promptTerms, steps: this.streams.past }, own, nSteps);
  }

  /** The output stream's cells, or those that a chat whose history is clean can use again. */
  private keptCells({ history }: ChatMemory, nSteps: number): { sequence: number; cells: Cells } {
    const { last, isClean } = this.streams;
    // Without steps, all sequences are the same, and `last` may be of those before a restart.
    const output = isClean || nSteps === 0 ? 0 : last.output;
    if (history === "as-generated") return { sequence: output, cells: this.cells("terms", nSteps) };
    const sequence = last.hasBaseline ? 0 : output;
    const cells = this.cells(sequence === output ? "terms" : "baseline", nSteps);
    return { sequence, cells: cleanCells(cells, this.prompt.length, this.streams.promptTerms()) };
  }

  private respond(use: (consumer: NonNullable<Generation["consumer"]>) => void): void {
    const { consumer } = this;
    this.consumer = undefined;
    if (consumer) use(consumer);
  }
}
