import type { Candidate, MeasuredAlpha, Place, Term } from "../engine/index.js";
import type { BudgetSchedule, Schedule } from "../steering/index.js";
import type { LiveSteering } from "./live-steering.js";
import type { Moment } from "./phase-clock.js";
import type { Reading } from "./readings.js";
import type { Calm } from "./skipping.js";

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
export type Row = Pick<Place, "token" | "position" | "step" | "sequences">;

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
  /** Which of the output's rows it is. */
  picked: number;
}

/** The output row of a step. */
export interface Output extends Composition {
  /** While a budget has to choose it, that budget's number (`Batch.choose`). */
  row: number;
  /** The rows that it may be. */
  rows: readonly number[];
  /** The budget that chooses it, if any. */
  choice?: Choice;
  /** The likeliest tokens of P and S, if they were measured for this step and requested. */
  candidates: StreamCandidates | undefined;
}

/** The choice of a row by a budget, and what is needed to take it. */
export interface Choice {
  steering: LiveSteering;
  schedule: BudgetSchedule;
  /** What the rows beside the first one try. */
  alphas: readonly number[];
  /** Its index in `StepResult.chosen`. */
  index: number;
  /** False if another budget of the same step has to choose after it. */
  isLast: boolean;
  /** The readings without it, and its index among them. */
  before: Composition;
  own: number;
}
