import {
  parseSchedule, type BudgetSchedule, type DynamicSchedule, type FunctionSchedule, type ScheduleSettings, type WrittenSchedule,
} from "./schedule.js";

type Kind<Name extends WrittenSchedule["kind"]> = Extract<WrittenSchedule, { kind: Name }>;
/** Settings of `schedule.dynamic`; all have defaults. */
export type DynamicSettings = Omit<Extract<ScheduleSettings, { kind: "dynamic" }>, "kind">;
/** Settings of `schedule.budget`; all have defaults. */
export type BudgetSettings = Omit<Extract<ScheduleSettings, { kind: "budget" }>, "kind" | "nats">;

/** The same alpha at every token step. Like all schedules, throws E_BAD_SPEC for an out-of-range value. */
export function fixed(alpha = 1): Kind<"fixed"> {
  return parseSchedule({ kind: "fixed", alpha }) as Kind<"fixed">;
}

/** Alpha at the first token step only (docs/method.md §4, Start). */
export function start(alpha = 1): Kind<"start"> {
  return parseSchedule({ kind: "start", alpha }) as Kind<"start">;
}

/**
 * Linear decrease from alpha at the first of the vector's N steps to alpha/N at the last, then nothing (docs/method.md §4, Dim).
 * A vector of one step is added at the first token step only.
 */
export function diminishing(alpha = 1): Kind<"diminishing"> {
  return parseSchedule({ kind: "diminishing", alpha }) as Kind<"diminishing">;
}

/** Alpha at the token steps from `from` up to but excluding `to`. */
export function window(alpha: number, range: { from?: number; to: number }): Kind<"window"> {
  return parseSchedule({ kind: "window", alpha, ...range }) as Kind<"window">;
}

/**
 * Alpha measured at every token (docs/method.md §4, Dyn): the KL divergence that the vector causes at alpha `strongAlpha` (default
 * 2) among the most likely tokens with total probability `topP` (default 0.5), limited to `alphaMax` (default 2). `klReduction`:
 * "sum" is the paper's formula, "mean" (default) that of its code. `skip` (default: never): after `after` KLs in a row below `below`
 * nats, the next `for` tokens keep the last alpha, unmeasured.
 */
export function dynamic(settings: DynamicSettings = {}): DynamicSchedule {
  return parseSchedule({ kind: "dynamic", ...settings }) as DynamicSchedule;
}

/**
 * The largest alpha of those tried, at most `alphaMax` (default 2), whose distribution of the next token is within `nats` of the one
 * without this vector (docs/method.md §4, Budget). `per`: each token may spend `nats` ("token", default), or the whole answer.
 */
export function budget(nats: number, settings: BudgetSettings = {}): BudgetSchedule {
  return parseSchedule({ kind: "budget", nats, ...settings }) as BudgetSchedule;
}

/** The alphas of an earlier generation, per token step; 0 after the last. */
export function recorded(alphas: readonly number[]): Kind<"recorded"> {
  return parseSchedule({ kind: "recorded", alphas: alphas as number[] }) as Kind<"recorded">;
}

/** Alpha as any function of the token step. */
export function custom(alphaAt: (step: number) => number): FunctionSchedule {
  return parseSchedule(alphaAt) as FunctionSchedule;
}
