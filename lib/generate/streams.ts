import { isDeepStrictEqual } from "node:util";
import { addsTheSame, type Batch, type Candidate, type MeasuredAlpha, type Place, type StepResult, type Term } from "../engine/index.js";
import { alphaAt, readsText, type DynamicSchedule, type Schedule } from "../steering/index.js";
import type { History } from "./chat-memory.js";
import { Gates, settledTerms } from "./gates.js";
import type { LiveSteering } from "./live-steering.js";
import type { Moment } from "./phase-clock.js";
import type { Reading } from "./reading.js";
import { calmAfter, type Calm } from "./skipping.js";

/** The terms added in a decided step. They are never rewritten. */
export interface PastStep {
  token: number;
  /** Added to the output row. */
  terms: readonly Term[];
  /** Added to the row of P: at the first step, whose row is the prompt's last, what is added to the prompt. */
  baseline: readonly Term[];
  /** Added to the row of stream S of each measured steering. */
  strong: ReadonlyMap<LiveSteering, readonly Term[]>;
  /** Which steerings are measured after this step (`skip`). */
  calm: ReadonlyMap<LiveSteering, Calm>;
}

/** Where the rows of a step are. */
type Row = Pick<Place, "token" | "position" | "step" | "sequences">;

/** The rows of P and S of one step, what they assume, and what is measured between them. */
export interface Probe {
  step: number;
  token: number;
  moment: Moment;
  schedules: ReadonlyMap<LiveSteering, Schedule>;
  /** Row of P. */
  baseline: number;
  /** The index of each measured steering in `alphas`. */
  requests: Map<LiveSteering, number>;
  strong: Map<LiveSteering, readonly Term[]>;
  /** Row of S of each measured steering. */
  strongRows: Map<LiveSteering, number>;
  /** Empty until the rows are computed. */
  alphas: readonly MeasuredAlpha[];
  /** The likeliest tokens of its rows, if requested. */
  candidates?: StreamCandidates;
}

/** The likeliest next tokens of P, and of S of each measured steering. */
export interface StreamCandidates {
  unsteered: readonly Candidate[];
  strong: ReadonlyMap<LiveSteering, readonly Candidate[]>;
}

/** The readings of one step, and the vectors' steps that they belong to. */
export interface Composition {
  readings: Reading[];
  /** Per reading: the token step among those of the steering's phases. */
  steps: number[];
}

/** The output row of a step. */
export interface Output extends Composition {
  row: number;
  /** The likeliest tokens of P and S, if they were measured for this step and requested. */
  candidates: StreamCandidates | undefined;
}

/**
 * The streams of one generation (docs/method.md §4 and §5): the unsteered stream P, one strongly steered stream S per
 * dynamic steering, and the output stream. Decoded positions keep their alphas.
 *
 * `steer` may grow, and its schedules may change: `takeSchedules` reads them for the next step. A steering that becomes dynamic needs a
 * stream S, and perhaps P, which have no history yet (`isShort`): `restart` adds these streams, and the steps so far are recomputed as
 * they were. Steps that were not measured the first time are unsteered in S.
 *
 * If the history is clean, P is the only stream: the rows of S and of the output read its cells, and leave none (`Place.fork`).
 */
export class Streams {
  /** Steerings that have a stream S, in the order of their sequences. */
  private measured: LiveSteering[] = [];
  private readonly decidedSteps: PastStep[] = [];
  private ofPrompt: readonly Term[] | undefined;
  // The current step's schedules, and the terms for the rows of S and for the output row.
  private schedules: ReadonlyMap<LiveSteering, Schedule> = new Map();
  private strong: ReadonlyMap<LiveSteering, readonly Term[]> = new Map();
  private terms: readonly Term[] = [];
  private readonly gates = new Gates();
  private calm: ReadonlyMap<LiveSteering, Calm> = new Map();

  readonly isClean: boolean;

  constructor(private readonly steer: readonly LiveSteering[], ownHistory: History = "as-generated") {
    this.isClean = ownHistory === "clean";
    this.takeSchedules();
    this.restart();
  }

  /** Reads the current schedules, for the next step. */
  takeSchedules(): void {
    this.schedules = new Map(this.steer.map((steering) => [steering, steering.takeSchedule()]));
  }

  /** Number of sequences; if nothing is measured, P and the output stream are the same one. */
  get nSequences(): number {
    return this.measured.length === 0 && !this.isClean ? 1 : this.measured.length + 2;
  }

  /** True if a steering without a stream S must be measured. */
  get isShort(): boolean {
    return this.dynamic().some((steering) => !this.measured.includes(steering));
  }

  /** Starts again, with a stream for each steering that is dynamic in the next step. */
  restart(): void {
    this.measured = this.dynamic();
  }

  /** The steps that have been decided. */
  get past(): readonly PastStep[] {
    return this.decidedSteps;
  }

  /** True if a selector reads the text. */
  get readsText(): boolean {
    return this.steer.some(({ only }) => readsText(only));
  }

  /** True if the next step depends on what a gate reads in this one. */
  get isSequence(): boolean {
    return this.gates.isSequence(this.steer);
  }

  /** The terms added to the rows of the prompt, for all streams: those of the steerings at the time of the first call. */
  promptTerms(): readonly Term[] {
    this.ofPrompt ??= [...this.schedules].filter(([{ phases }]) => phases.includes("prompt")).flatMap(([steering, schedule]) =>
      (isDynamic(schedule) ? [] : steering.termsAt(0, alphaAt(schedule, 0, steering.vector.nSteps))));
    return this.ofPrompt;
  }

  /** The token that a step has already decided; such a step repeats its rows. */
  decided(step: number): number | undefined {
    return this.past[step]?.token;
  }

  /** True if the step's alphas have to be measured before its output row can be steered. */
  isMeasuredAt(step: number, moment: Moment): boolean {
    return this.past[step] === undefined && this.measured.some((steering) => this.isMeasured(steering, step, moment));
  }

  /** Adds the rows of P and S, and requests the KLs between them; undefined if there are no such streams. */
  probe(batch: Batch, { token, position, step, sequences }: Row, moment: Moment): Probe | undefined {
    if (this.nSequences === 1) return undefined;
    const past = this.past[step];
    const beside = this.baseline(step);
    const isRead = this.isClean || this.isMeasuredAt(step, moment);
    const baseline = batch.add(token, position, sequences[0]!, { output: isRead, terms: beside });
    const probe: Probe = {
      step, token, moment, baseline, schedules: this.schedules, requests: new Map(), strong: new Map(), strongRows: new Map(), alphas: [],
    };
    for (const [index, steering] of this.measured.entries()) {
      const schedule = this.schedules.get(steering)!;
      const isMeasured = past === undefined && this.isMeasured(steering, step, moment);
      if (this.isClean && !isMeasured) continue; // its row would leave nothing
      // The stream of a steering that is not measured now continues unsteered.
      const terms = past ? past.strong.get(steering) ?? beside : [...beside, ...this.strongTerms(steering, schedule, step, moment)];
      const strong = batch.add(token, position, sequences[index + 1]!, { output: isMeasured, terms });
      if (!past) probe.strong.set(steering, terms);
      if (!isMeasured || !isDynamic(schedule)) continue;
      const { topP, alphaMax, klReduction, strongAlpha } = schedule;
      probe.requests.set(steering, batch.measure({ baseline, strong, strongAlpha, topP, alphaMax, klReduction }));
      probe.strongRows.set(steering, strong);
    }
    return probe;
  }

  /** True if a probe that was made earlier is that of this step: its token, phase and schedules are those that were expected. */
  fits({ step, token, moment, schedules }: Probe, place: Place, now: Moment): boolean {
    return step === place.step && token === place.token && isDeepStrictEqual(moment, now)
      && this.measured.every((steering) => schedules.get(steering) === this.schedules.get(steering));
  }

  /** True if the output row is nothing but that of P or of one S where its alphas are 0 or the strong one; a gate may change it. */
  settles({ requests }: Probe): boolean {
    return this.isClean && requests.size === this.schedules.size && this.steer.every(({ gate }) => !gate);
  }

  /** Adds the output row, steered with every steering's alpha; `probe`: what was measured for this step, or has rows in this batch. */
  output(batch: Batch, { token, position, step, sequences }: Row, moment: Moment, probe: Probe | undefined): Output {
    const composition = this.compose(step, moment, probe);
    // With a clean history, a row with the terms of P is that of P.
    const isOfP = this.isClean && (this.past[step] !== undefined || addsTheSame(this.terms, this.baseline(step)));
    const row = probe?.requests.size === 0 && isOfP ? probe.baseline
      : batch.add(token, position, sequences.at(-1)!, { output: true, terms: this.terms });
    for (const request of this.gates.requests) batch.readGate(row, request);
    return { row, ...composition, candidates: probe?.candidates };
  }

  /** Combines every steering's alpha into the terms of the output row. */
  compose(step: number, moment: Moment, probe: Probe | undefined): Composition {
    const calm = new Map(this.calmBefore(step));
    const readings: Reading[] = [];
    const steps: number[] = [];
    this.gates.begin();
    this.strong = probe?.strong ?? new Map();
    this.terms = this.past[step]?.terms ?? [...this.schedules].flatMap(([steering, schedule]) => {
      const own = this.ownStep(steering, moment, step);
      steps.push(own ?? 0);
      const reading = own === undefined ? { alpha: 0, kl: null } : this.read(steering, schedule, { own, step }, probe);
      if (own !== undefined && isDynamic(schedule)) calm.set(steering, calmAfter(this.calmOf(steering, step), schedule, reading));
      const terms = own === undefined ? [] : steering.termsAt(own, reading.alpha);
      const shown = { ...reading, ...(terms.length === 0 && { alpha: 0 }) }; // nothing is added past the vector's end
      readings.push(shown);
      return this.gates.apply(steering, terms, shown);
    });
    this.calm = calm;
    return { readings, steps };
  }

  /** Takes what the gates of the current step have read, and completes its readings. Throws E_NOT_FINITE. */
  takeGates(gates: StepResult["gates"]): void {
    this.terms = settledTerms(this.terms, gates);
    this.gates.take(gates);
  }

  /** Records the current step's terms and the token that it decided. */
  decide(token: number): void {
    const { terms, strong, calm } = this;
    this.decidedSteps.push({ token, terms, strong, calm, baseline: this.baseline(this.past.length) });
  }

  /** What the rows of P and S have beside what is measured: the first step's row is the prompt's last. */
  private baseline(step: number): readonly Term[] {
    return step === 0 ? this.promptTerms() : [];
  }

  private read(
    steering: LiveSteering, schedule: Schedule, { own, step }: { own: number; step: number }, probe: Probe | undefined,
  ): Reading {
    // What was recorded counts from the start of the generation, whatever its phases were.
    if (schedule.kind === "recorded") return { alpha: schedule.alphas[step] ?? 0, kl: null };
    if (!isDynamic(schedule)) return { alpha: alphaAt(schedule, own, steering.vector.nSteps), kl: null };
    const index = probe?.requests.get(steering);
    return index === undefined ? { alpha: this.calmOf(steering, step)!.alpha, kl: null } : probe!.alphas[index]!;
  }

  /** How calm each steering is before a step, at most the one after the current one. */
  private calmBefore(step: number): ReadonlyMap<LiveSteering, Calm> | undefined {
    return step > this.past.length ? this.calm : this.past[step - 1]?.calm;
  }

  private calmOf(steering: LiveSteering, step: number): Calm | undefined {
    const calm = this.calmBefore(step)?.get(steering);
    return calm?.schedule === this.schedules.get(steering) ? calm : undefined;
  }

  /** The token step in the steering's phases; undefined where it is not steered, whatever its schedule is. */
  private ownStep(steering: LiveSteering, moment: Moment, step: number): number | undefined {
    return this.gates.isShut(steering) ? undefined : steering.stepAt(moment, step);
  }

  private isMeasured(steering: LiveSteering, step: number, moment: Moment): boolean {
    return isDynamic(this.schedules.get(steering)!) && this.ownStep(steering, moment, step) !== undefined
      && !this.calmOf(steering, step)?.left;
  }

  private strongTerms(steering: LiveSteering, schedule: Schedule, step: number, moment: Moment): Term[] {
    const own = this.ownStep(steering, moment, step);
    return own === undefined || !isDynamic(schedule) ? [] : steering.termsAt(own, schedule.strongAlpha);
  }

  private dynamic(): LiveSteering[] {
    return [...this.schedules.keys()].filter((steering) => isDynamic(this.schedules.get(steering)!));
  }
}

function isDynamic(schedule: Schedule): schedule is DynamicSchedule {
  return schedule.kind === "dynamic";
}
