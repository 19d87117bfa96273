import type { Chosen } from "../engine/index.js";
import { SteeringError } from "../errors.js";
import type { BudgetSchedule, Schedule } from "../steering/index.js";
import type { LiveSteering } from "./live-steering.js";
import { notFinite, type Reading } from "./readings.js";

/** Alphas that are tried at once, each in a row of its own. */
export const TRIES = 4;
/** A budget for the whole answer lets a token spend at most this share of what is left of it. */
const SHARE = 1 / 8;
/** How much an estimate of the alpha that spends the budget counts against those before it, in the exponent. */
const NEWEST = 0.5;
/** The alphas tried beside the largest one, as multiples of the first of them, which is this much above the estimate. */
const [ABOVE, BELOW] = [1.3, [1, 0.6, 0.36]];
/** How far below the largest alpha the next one is, at least. */
const MOST_SHARE = 0.8;
/** How far below the largest alpha the estimate may go, so that it always finds its way back. */
const LEAST_REACH = 1e-6;

/** What the tokens so far mean for a budget. */
export interface Spending {
  /** The schedule that it is spent for; another one starts anew. */
  schedule: BudgetSchedule;
  /** What is left for the rest of the answer, in nats. */
  left: number;
  /** About the alpha that spends a token's budget. */
  reach: number;
}

/** True if a budget leaves anything to choose. */
export function canSpend({ nats, alphaMax }: BudgetSchedule): boolean {
  return nats > 0 && Math.fround(alphaMax) > 0; // as alphas are added
}

/** The largest KL that the next token may spend, in nats (docs/method.md §4, Budget). */
export function allowance({ nats, per }: BudgetSchedule, spending: Spending | undefined): number {
  return per === "token" ? nats : SHARE * (spending?.left ?? nats);
}

/** The alphas to try for the next token, the largest first: always `alphaMax`, and others around the alpha that spends the budget. */
export function alphasToTry({ alphaMax }: BudgetSchedule, spending: Spending | undefined): number[] {
  const first = Math.min(ABOVE * (spending?.reach ?? alphaMax / 2), MOST_SHARE * alphaMax);
  return [alphaMax, ...BELOW.map((factor) => factor * first)];
}

/** What a token that was tried with these alphas, whose KLs are known up to the chosen one, means for the next one. */
export function spendingAfter(
  before: Spending | undefined, schedule: BudgetSchedule, alphas: readonly number[], { index, kls }: Pick<Chosen, "index" | "kls">,
): Spending {
  const spent = kls[index] ?? 0;
  const left = (before?.left ?? schedule.nats) - spent;
  const found = Math.min(reachOf(alphas, kls, index, allowance(schedule, before)), 2 * schedule.alphaMax);
  const reach = before === undefined ? found : before.reach * (found / before.reach) ** NEWEST;
  return { schedule, left: Math.max(0, left), reach: Math.max(reach, LEAST_REACH * schedule.alphaMax) };
}

/** The alpha that would have spent the budget: KL grows with alpha², at first. */
function reachOf(alphas: readonly number[], kls: readonly number[], index: number, nats: number): number {
  const at = index < 0 ? alphas.length - 1 : index;
  const guess = alphas[at]! * Math.min(4, Math.max(1 / 8, Math.sqrt(nats / Math.max(kls[at]!, 1e-9))));
  return index > 0 ? Math.min(guess, alphas[index - 1]!) : guess;
}

/** True for a budget that leaves anything to choose. */
export function isSpending(schedule: Schedule): schedule is BudgetSchedule {
  return schedule.kind === "budget" && canSpend(schedule);
}

/** The rows that an output with these schedules takes: with a budget, those that it tries beside the one without its steering. */
export function rowsFor(schedules: ReadonlyMap<LiveSteering, Schedule>): number {
  return [...schedules.values()].some(isSpending) ? 1 + TRIES : 1;
}

/** For a memory that cannot be cut at a token, so that a step's row cannot be computed twice. Throws E_BAD_SPEC. */
export function assertOneBudget(schedules: ReadonlyMap<LiveSteering, Schedule>): void {
  if ([...schedules.values()].filter(isSpending).length < 2) return;
  throw new SteeringError("E_BAD_SPEC", "this model keeps a state per sequence, which cannot go back by a token: it takes one budget "
    + "at a time. Give the others another schedule");
}

/** The budgets of one generation: what was chosen in its current step, and what has been spent before. */
export class Budgets {
  private readonly chosen = new Map<LiveSteering, Reading>();
  private readonly spending = new Map<LiveSteering, Spending>();
  private step = -1;

  /** Call this before the rows of a step, any number of times. */
  begin(step: number): void {
    if (step !== this.step) this.chosen.clear();
    this.step = step;
  }

  /** True if the current step has an alpha for this steering. */
  has(steering: LiveSteering): boolean {
    return this.chosen.has(steering);
  }

  /** True before the first choice of the current step. */
  get isFirst(): boolean {
    return this.chosen.size === 0;
  }

  /** The reading of the current step: unsteered while nothing was chosen. */
  reading(steering: LiveSteering, schedule: BudgetSchedule): Reading {
    return this.chosen.get(steering) ?? { alpha: 0, kl: canSpend(schedule) ? null : 0 };
  }

  /** The alphas to try in the current step, and the most that they may spend. */
  tries(steering: LiveSteering, schedule: BudgetSchedule): { alphas: number[]; nats: number } {
    const spending = this.of(steering, schedule);
    return { alphas: alphasToTry(schedule, spending), nats: allowance(schedule, spending) };
  }

  /**
   * Takes the alpha that was chosen among those tried. Where a shut gate kept all of them out, they say nothing about the next token.
   * Throws E_NOT_FINITE.
   */
  take(steering: LiveSteering, schedule: BudgetSchedule, alphas: readonly number[], chosen: Chosen & { isShut?: boolean }): void {
    const { index, kls, isShut } = chosen;
    if (kls.slice(0, index < 0 ? kls.length : index + 1).some((kl) => Number.isNaN(kl))) throw notFinite();
    this.chosen.set(steering, { alpha: alphas[index] ?? 0, kl: kls[index] ?? 0 });
    if (!isShut) this.spending.set(steering, spendingAfter(this.of(steering, schedule), schedule, alphas, chosen));
  }

  private of(steering: LiveSteering, schedule: BudgetSchedule): Spending | undefined {
    const spending = this.spending.get(steering);
    return spending?.schedule === schedule ? spending : undefined;
  }
}
