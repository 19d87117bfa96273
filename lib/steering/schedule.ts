import { z } from "zod";
import { parsedBy } from "../checks.js";
import { shown, SteeringError } from "../errors.js";
import { isAlpha, KINDS, type KindSchema } from "./schedule-kinds.js";

const schemas = Object.values(KINDS).map(({ schema }) => schema) as [KindSchema, ...KindSchema[]];
/** Alpha as a function of the token step or of the distributions (docs/method.md §4). */
export const scheduleSchema = z.discriminatedUnion("kind", schemas);
/** A schedule that files and the command line can express. */
export type WrittenSchedule = z.infer<KindSchema>;
export type DynamicSchedule = Extract<WrittenSchedule, { kind: "dynamic" }>;
export type BudgetSchedule = Extract<WrittenSchedule, { kind: "budget" }>;
/** A schedule whose alphas depend on the distributions. */
export type MeasuredSchedule = DynamicSchedule | BudgetSchedule;
/** Alpha as any function of the token step. */
export interface FunctionSchedule {
  kind: "function";
  /** Alpha at a token step, counted from 0. */
  alphaAt: (step: number) => number;
}
/** A schedule with all settings filled in. */
export type Schedule = WrittenSchedule | FunctionSchedule;
export type SetSchedule = Exclude<Schedule, MeasuredSchedule>;

export const tailSchema = z.enum(["mean", "hold", "stop"]).default("mean");
/** What is added after the vector's last step: the mean of its steps, its last step, or nothing. */
export type Tail = z.infer<typeof tailSchema>;

/** Validate a tail and fill in the default. Throws E_BAD_SPEC. */
export function parseTail(input: Tail | undefined): Tail {
  const parsed = tailSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw new SteeringError("E_BAD_SPEC", `tail is ${shown(input)}; expected mean, hold or stop`);
}

/** A schedule with optional settings, e.g. `{ kind: "dynamic" }`. */
export type ScheduleSettings = z.input<typeof scheduleSchema>;
/** A schedule with optional settings, or alpha as a function of the token step. */
export type ScheduleInput = ScheduleSettings | FunctionSchedule | ((step: number) => number);

/** Validate a schedule and fill in the defaults. Throws E_BAD_SPEC, naming the setting. */
export function parseSchedule(input: ScheduleSettings): WrittenSchedule;
export function parseSchedule(input: ScheduleInput): Schedule;
export function parseSchedule(input: ScheduleInput): Schedule {
  if (typeof input === "function") return functionSchedule(input);
  if (typeof input === "object" && input?.kind === "function") return functionSchedule(input.alphaAt);
  return parsedBy(scheduleSchema, input, (problem) => new SteeringError("E_BAD_SPEC", `schedule ${problem}`));
}

function functionSchedule(of: (step: number) => number): FunctionSchedule {
  if (typeof of !== "function") throw new SteeringError("E_BAD_SPEC", "schedule alphaAt: expected a function of the step");
  return { kind: "function", alphaAt: of };
}

export function isDynamic(schedule: Schedule): schedule is DynamicSchedule {
  return schedule.kind === "dynamic";
}

/** True for a schedule whose alphas depend on the distributions. */
export function isMeasured(schedule: Schedule): schedule is MeasuredSchedule {
  return schedule.kind === "dynamic" || schedule.kind === "budget";
}

/** α_i of a schedule that does not depend on the distributions; N = the vector's steps (docs/method.md §4). Throws E_BAD_SPEC. */
export function alphaAt(schedule: SetSchedule, step: number, nSteps: number): number {
  if (schedule.kind === "function") return ofFunction(schedule, step);
  const at: (settings: never, step: number, nSteps: number) => number = KINDS[schedule.kind].alphaAt;
  return at(schedule as never, step, nSteps);
}

function ofFunction({ alphaAt: of }: FunctionSchedule, step: number): number {
  const value = of(step);
  if (typeof value === "number" && isAlpha(value)) return value;
  throw new SteeringError("E_BAD_SPEC", `the schedule's function returned ${shown(value)} at step ${step}; expected a finite number`);
}
