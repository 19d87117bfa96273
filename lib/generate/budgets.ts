import { UNREACHED, type Batch, type Chosen } from "../engine/index.js";
import type { BudgetSchedule, Schedule } from "../steering/index.js";
import type { LiveSteering } from "./live-steering.js";
import { notFinite, type Reading } from "./readings.js";
import type { Choice, OwnBudget } from "./step-rows.js";

/** The alphas that a budget tries by itself, or beside others: the first as a multiple of the estimate, the next as a share of it. */
const [ALONE, BESIDE] = [[0.9, 0.6], [0.7]];
/** Up to this number of rows, the next budget tries its alpha beside each of them; from then on only beside the strongest. */
const COMBINED = 2;
/** A budget for the whole answer lets a token spend at most this share of what is left of it. */
const SHARE = 1 / 8;
/** A token that may spend less than this spends nothing, in nats: KLs are rounded by as much. */
const LEAST = 1e-6;
/** What the largest alpha is taken to spend at the first token, in nats: often four times what it spends later (docs/architecture.md). */
const EXPECTED = 16;
/** How often a token is computed again where no alpha was within the budget: each time with less. */
const MOST_TRIES = 2;
/** How much an estimate of the alpha that spends the budget counts against those before it, in the exponent. */
const NEWEST = 0.3;
/** How far below and above the largest alpha the estimate may go, so that it always finds its way back. */
const [LEAST_REACH, MOST_REACH] = [1e-6, 2];

/** What the tokens so far mean for a budget. */
export interface Spending {
  /** The schedule that it is spent for; another one starts anew. */
  schedule: BudgetSchedule;
  /** What is left for the rest of the answer, in nats. */
  left: number;
  /** About the alpha that spends a token's budget. */
  reach: number;
  /** How often the next token has been computed already. */
  tries: number;
  /** True before the first token. */
  isFirst: boolean;
}

/** True if a budget leaves anything to choose. */
export function canSpend({ nats, alphaMax }: BudgetSchedule): boolean {
  return nats > 0 && Math.fround(alphaMax) > 0; // as alphas are added
}

/** A budget before its first token. */
export function unspent(schedule: BudgetSchedule): Spending {
  const { nats: left, alphaMax } = schedule;
  const reach = limited(alphaMax * Math.sqrt(allowance({ schedule, left }) / EXPECTED), alphaMax);
  return { schedule, left, reach, tries: 0, isFirst: true };
}

/** The largest KL that the next token may spend, in nats (docs/method.md §4, Budget). */
export function allowance({ schedule: { nats, per }, left }: Pick<Spending, "schedule" | "left">): number {
  return per === "token" ? nats : SHARE * left;
}

/** The alphas that one of `nBudgets` tries for the next token, the largest first. */
export function alphasToTry({ schedule: { alphaMax }, reach }: Spending, nBudgets: number): number[] {
  const [above, ...shares] = nBudgets === 1 ? ALONE : BESIDE;
  const first = Math.min(above! * reach, alphaMax);
  return [first, ...shares.map((share) => share * first)];
}

/** What a token that was tried with these alphas, whose KLs are known up to the chosen one, means for the next one. */
export function spendingAfter(before: Spending, alphas: readonly number[], { index, kls }: Pick<Chosen, "index" | "kls">): Spending {
  const { schedule, left, reach } = before;
  const found = limited(reachOf(alphas, kls, index, allowance(before)), schedule.alphaMax);
  return {
    schedule, left: Math.max(0, left - (kls[index] ?? 0)), reach: limited(reach * (found / reach) ** NEWEST, schedule.alphaMax),
    tries: 0, isFirst: false,
  };
}

/** About the alpha that spends a token's budget, where all these alphas were too large. */
function reachBelow(before: Spending, alphas: readonly number[], kls: readonly number[]): number {
  return limited(reachOf(alphas, kls, -1, allowance(before)), before.schedule.alphaMax);
}

/** The alpha that would have spent the budget: KL grows with alpha², at first. */
function reachOf(alphas: readonly number[], kls: readonly number[], index: number, nats: number): number {
  const at = index < 0 ? alphas.length - 1 : index;
  const guess = alphas[at]! * Math.min(4, Math.max(1 / 8, Math.sqrt(nats / Math.max(kls[at]!, 1e-9))));
  return index > 0 ? Math.min(guess, alphas[index - 1]!) : guess;
}

function limited(reach: number, alphaMax: number): number {
  return alphaMax * Math.min(MOST_REACH, Math.max(LEAST_REACH, reach / alphaMax));
}

/** The rows that an output with these schedules takes: one without its budgets, and those that they try. */
export function rowsFor(schedules: ReadonlyMap<LiveSteering, Schedule>): number {
  const nBudgets = [...schedules.values()].filter((schedule) => schedule.kind === "budget" && canSpend(schedule)).length;
  return nBudgets === 0 ? 1 : nBudgets + 2;
}

/** The budgets of one generation, and what they have spent. */
export class Budgets {
  private readonly spending = new Map<LiveSteering, Spending>();

  /**
   * Requests the choices of a step's budgets. They begin at the first of the output's `rows`, the one without budgets, whose alphas are
   * given, one per reading; `add` adds a row with others and returns its index in `rows`.
   */
  request(
    batch: Batch, budgets: readonly OwnBudget[], unspentAlphas: readonly number[], rows: readonly number[],
    add: (alphas: readonly number[]) => number,
  ): Choice[] {
    const choices: Choice[] = [];
    let tried = [{ row: 0, alphas: unspentAlphas }];
    for (const budget of budgets) {
      const spending = this.of(budget);
      const alphas = alphasToTry(spending, budgets.length);
      const more = tried.slice(0, tried.length <= COMBINED ? undefined : 1).flatMap((before) => {
        const after = alphas.map((alpha) => before.alphas.with(budget.own, alpha)).map((all) => ({ row: add(all), alphas: all }));
        const [baseline, ...candidates] = [before, ...after].map(({ row }) => rows[row]!);
        const index = batch.choose({ baseline: baseline!, candidates, nats: allowance(spending) });
        choices.push({ ...budget, alphas, rows: [before, ...after].map(({ row }) => row), index });
        return after;
      });
      tried = [...more, ...tried];
    }
    return choices;
  }

  /** True if a token may be computed again with smaller alphas: with several budgets only the first, since one of them often finds none. */
  mayTryAgain(choices: readonly Choice[]): boolean {
    const spending = choices.map((choice) => this.of(choice));
    return choices.length > 0 && spending.every(({ tries, isFirst }) => tries < MOST_TRIES && (isFirst || choices.length === 1));
  }

  /** Takes what was measured where the token is computed again because some budgets found no alpha. Throws E_NOT_FINITE. */
  tryAgain(choices: readonly Choice[], chosen: readonly Chosen[]): void {
    for (const { steering, schedule, alphas, index: choice } of choices) {
      const { index, kls } = chosen[choice]!;
      const spending = this.of({ steering, schedule });
      const isBelow = index < 0 && index !== UNREACHED;
      if (isBelow && kls.some((kl) => Number.isNaN(kl))) throw notFinite();
      const reach = isBelow ? reachBelow(spending, alphas, kls) : spending.reach;
      this.spending.set(steering, { ...spending, reach, tries: spending.tries + 1 });
    }
  }

  /**
   * Takes the alpha that was chosen among those tried; returns its reading. Where a shut gate kept all of them out, they say nothing about
   * the next token. Throws E_NOT_FINITE.
   */
  take(choice: Pick<Choice, "steering" | "schedule" | "alphas">, { index, kls }: Pick<Chosen, "index" | "kls">, isShut: boolean): Reading {
    const { steering, alphas } = choice;
    if (kls.slice(0, index < 0 ? kls.length : index + 1).some((kl) => Number.isNaN(kl))) throw notFinite();
    if (!isShut) this.spending.set(steering, spendingAfter(this.of(choice), alphas, { index, kls }));
    return { alpha: alphas[index] ?? 0, kl: kls[index] ?? 0 };
  }

  /** True if a budget leaves the next token anything to spend. */
  canSpend(budget: Pick<OwnBudget, "steering" | "schedule">): boolean {
    return canSpend(budget.schedule) && allowance(this.of(budget)) >= LEAST;
  }

  private of({ steering, schedule }: Pick<OwnBudget, "steering" | "schedule">): Spending {
    const spending = this.spending.get(steering);
    return spending?.schedule === schedule ? spending : unspent(schedule);
  }
}
