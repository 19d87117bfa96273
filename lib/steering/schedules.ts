import { parseSchedule, type DynamicSchedule, type FunctionSchedule, type ScheduleSettings, type WrittenSchedule } from "./schedule.js";

type Kind<Name extends WrittenSchedule["kind"]> = Extract<WrittenSchedule, { kind: Name }>;
/** Of `schedule.dynamic`; all have defaults. */
export type DynamicSettings = Omit<Extract<ScheduleSettings, { kind: "dynamic" }>, "kind">;

/** The same alpha at every token step. Throws E_BAD_SPEC, as all schedules do for a value out of its range. */
export function fixed(alpha = 1): Kind<"fixed"> {
  return parseSchedule({ kind: "fixed", alpha }) as Kind<"fixed">;
}

/** Alpha at the first token step only (docs/method.md §4, Start). */
export function start(alpha = 1): Kind<"start"> {
  return parseSchedule({ kind: "start", alpha }) as Kind<"start">;
}

/** From alpha at the first of the vector's N steps to alpha/N at the last, linearly, and nothing beyond (docs/method.md §4, Dim). A vector of one step is added at the first token step only. */
export function diminishing(alpha = 1): Kind<"diminishing"> {
  return parseSchedule({ kind: "diminishing", alpha }) as Kind<"diminishing">;
}

/** Alpha at the token steps from `from` to before `to`. */
export function window(alpha: number, range: { from?: number; to: number }): Kind<"window"> {
  return parseSchedule({ kind: "window", alpha, ...range }) as Kind<"window">;
}

/**
 * Alpha measured at every token: the KL divergence that the vector causes among the likeliest tokens that make up `topP`
 * (default 0.5), at most `alphaMax` (2); `strongAlpha` (2) measures; `klReduction: "sum"` is the paper's formula, "mean"
 * (default) its code (docs/method.md §4, Dyn).
 */
export function dynamic(settings: DynamicSettings = {}): DynamicSchedule {
  return parseSchedule({ kind: "dynamic", ...settings }) as DynamicSchedule;
}

/** Alphas per token step, as a generation had them; none beyond. */
export function recorded(alphas: readonly number[]): Kind<"recorded"> {
  return parseSchedule({ kind: "recorded", alphas: alphas as number[] }) as Kind<"recorded">;
}

/** Alpha as any function of the token step. */
export function custom(alphaAt: (step: number) => number): FunctionSchedule {
  return parseSchedule(alphaAt) as FunctionSchedule;
}
