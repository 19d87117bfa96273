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

/** The output row of a step. Its readings are those without budgets. */
export interface Output extends Composition {
  /** While budgets have to choose it, the number of the first choice (`Batch.choose`). */
  row: number;
  /** The rows that it may be. */
  rows: readonly number[];
  /** In the order in which the budgets choose. */
  choices: readonly Choice[];
  /** True if the step takes another decode where a budget finds no alpha. */
  isTentative: boolean;
  /** The likeliest tokens of P and S, if they were measured for this step and requested. */
  candidates: StreamCandidates | undefined;
}

/** A steering with a budget, and which of the readings is its own. */
export interface OwnBudget {
  steering: LiveSteering;
  schedule: BudgetSchedule;
  own: number;
}

/** A choice between rows that differ in the alpha of one budget. */
export interface Choice extends OwnBudget {
  alphas: readonly number[];
  /** Which of the output's rows these are: the one without the budget, then one per alpha. */
  rows: readonly number[];
  /** Its index in `StepResult.chosen`. */
  index: number;
}
