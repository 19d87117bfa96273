import { isDeepStrictEqual } from "node:util";
import { SteeringError } from "../errors.js";
import type { Batch, Candidate, MeasuredAlpha, Place, Term } from "../engine/index.js";
import { alphaAt, type DynamicSchedule, type Schedule } from "../steering/index.js";
import type { LiveSteering } from "./live-steering.js";
import type { Moment } from "./phase-clock.js";

/** The alpha and KL of one steering in one step. */
export interface Reading {
  alpha: number;
  /** KL(P || S) in nats; null for schedules that do not measure. */
  kl: number | null;
}

/** The terms added in a decided step. They are never rewritten. */
export interface PastStep {
  token: number;
  /** Added to the output row. */
  terms: readonly Term[];
  /** Added to the row of P: at the first step, whose row is the prompt's last, what is added to the prompt. */
  baseline: readonly Term[];
  /** Added to the row of stream S of each measured steering. */
  strong: ReadonlyMap<LiveSteering, readonly Term[]>;
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
export interface Output {
  row: number;
  readings: Reading[];
  /** Per reading: the token step among those of the steering's phases. */
  steps: number[];
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

  constructor(private readonly steer: readonly LiveSteering[]) {
    this.takeSchedules();
    this.restart();
  }

  /** Reads the current schedules, for the next step. */
  takeSchedules(): void {
    this.schedules = new Map(this.steer.map((steering) => [steering, steering.takeSchedule()]));
  }

  /** Number of sequences; if nothing is measured, P and the output stream are the same one. */
  get nSequences(): number {
    return this.measured.length === 0 ? 1 : this.measured.length + 2;
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
    if (this.measured.length === 0) return undefined;
    const past = this.past[step];
    const beside = this.baseline(step);
    const baseline = batch.add(token, position, sequences[0]!, { output: true, terms: beside });
    const probe: Probe = {
      step, token, moment, baseline, schedules: this.schedules, requests: new Map(), strong: new Map(), strongRows: new Map(), alphas: [],
    };
    for (const [index, steering] of this.measured.entries()) {
      const schedule = this.schedules.get(steering)!;
      // The stream of a steering that is not measured now continues unsteered.
      const terms = past ? past.strong.get(steering) ?? beside : [...beside, ...this.strongTerms(steering, schedule, step, moment)];
      const strong = batch.add(token, position, sequences[index + 1]!, { output: true, terms });
      if (past || !isDynamic(schedule) || !this.isMeasured(steering, step, moment)) continue;
      const { topP, alphaMax, klReduction, strongAlpha } = schedule;
      probe.requests.set(steering, batch.measure({ baseline, strong, strongAlpha, topP, alphaMax, klReduction }));
      probe.strong.set(steering, terms);
      probe.strongRows.set(steering, strong);
    }
    return probe;
  }

  /** True if a probe that was made earlier is that of this step: its token, phase and schedules are those that were expected. */
  fits({ step, token, moment, schedules }: Probe, place: Place, now: Moment): boolean {
    return step === place.step && token === place.token && isDeepStrictEqual(moment, now)
      && this.measured.every((steering) => schedules.get(steering) === this.schedules.get(steering));
  }

  /** Adds the output row, steered with every steering's alpha; `probe`: what was measured for this step. */
  output(batch: Batch, { token, position, step, sequences }: Row, moment: Moment, probe: Probe | undefined): Output {
    this.strong = probe?.strong ?? new Map();
    const readings: Reading[] = [];
    const steps: number[] = [];
    this.terms = this.past[step]?.terms ?? [...this.schedules].flatMap(([steering, schedule]) => {
      const own = steering.stepAt(moment, step);
      steps.push(own ?? 0);
      const reading = own === undefined ? { alpha: 0, kl: null } : this.read(steering, schedule, { own, step }, probe);
      const terms = own === undefined ? [] : steering.termsAt(own, reading.alpha);
      readings.push(terms.length === 0 ? { ...reading, alpha: 0 } : reading); // nothing is added past the vector's end
      return terms;
    });
    const row = batch.add(token, position, sequences.at(-1)!, { output: true, terms: this.terms });
    return { row, readings, steps, candidates: probe?.candidates };
  }

  /** Records the current step's terms and the token that it decided. */
  decide(token: number): void {
    this.decidedSteps.push({ token, terms: this.terms, strong: this.strong, baseline: this.baseline(this.past.length) });
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
    return probe!.alphas[probe!.requests.get(steering)!]!;
  }

  private isMeasured(steering: LiveSteering, step: number, moment: Moment): boolean {
    return isDynamic(this.schedules.get(steering)!) && steering.stepAt(moment, step) !== undefined;
  }

  private strongTerms(steering: LiveSteering, schedule: Schedule, step: number, moment: Moment): Term[] {
    const own = steering.stepAt(moment, step);
    return own === undefined || !isDynamic(schedule) ? [] : steering.termsAt(own, schedule.strongAlpha);
  }

  private dynamic(): LiveSteering[] {
    return [...this.schedules.keys()].filter((steering) => isDynamic(this.schedules.get(steering)!));
  }
}

/** The error for logits that are not a distribution. */
export function notFinite(): SteeringError {
  return new SteeringError("E_NOT_FINITE", "the model's logits are not finite, or no token is allowed: the steering is too strong, "
    + "the weights are broken, or the logit bias forbids all tokens");
}

function isDynamic(schedule: Schedule): schedule is DynamicSchedule {
  return schedule.kind === "dynamic";
}
