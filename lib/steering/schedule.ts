import { z } from "zod";
import { shown, SteeringError } from "../errors.js";

export const klReductionSchema = z.enum(["mean", "sum"]);
/** `mean` divides the KL by the size of the top-p set, as the published code does; `sum` is the paper's formula. */
export type KlReduction = z.infer<typeof klReductionSchema>;

/** Alphas are added as 32-bit floats. */
const isAlpha = (value: number): boolean => Number.isFinite(Math.fround(value));
export const alphaSchema = z.number().refine(isAlpha, "must be a finite number of 32 bits");
const P_RANGE = "must be above 0 and at most 1";

/** Alpha as a function of the token step, or of the distributions (docs/method.md §4). */
export const scheduleSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("fixed"), alpha: alphaSchema.default(1) }),
  z.strictObject({ kind: z.literal("start"), alpha: alphaSchema.default(1) }),
  z.strictObject({ kind: z.literal("diminishing"), alpha: alphaSchema.default(1) }),
  z.strictObject({
    kind: z.literal("window"),
    alpha: alphaSchema.default(1),
    from: z.number().int().min(0).default(0),
    to: z.number().int().min(1),
  }).refine(({ from, to }) => from < to, "to must be above from"),
  /** Alphas that a generation had, per step; none beyond. */
  z.strictObject({ kind: z.literal("recorded"), alphas: z.array(alphaSchema) }),
  z.strictObject({
    kind: z.literal("dynamic"),
    topP: z.number().gt(0, P_RANGE).max(1, P_RANGE).default(0.5),
    alphaMax: z.number().min(0).finite().default(2),
    strongAlpha: alphaSchema.default(2),
    klReduction: klReductionSchema.default("mean"),
  }),
]);
/** A schedule that files and the command line can hold. */
export type WrittenSchedule = z.infer<typeof scheduleSchema>;
export type DynamicSchedule = Extract<WrittenSchedule, { kind: "dynamic" }>;
/** Alpha as any function of the token step. */
export interface FunctionSchedule {
  kind: "function";
  /** Alpha at a token step, counted from 0. */
  alphaAt: (step: number) => number;
}
/** A schedule with all its settings. */
export type Schedule = WrittenSchedule | FunctionSchedule;
export type SetSchedule = Exclude<Schedule, DynamicSchedule>;

export const tailSchema = z.enum(["mean", "hold", "stop"]).default("mean");
/** What happens beyond the vector's last step: the mean of its steps, its last step, or nothing. */
export type Tail = z.infer<typeof tailSchema>;

/** Throws E_BAD_SPEC. */
export function parseTail(input: Tail | undefined): Tail {
  const parsed = tailSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw new SteeringError("E_BAD_SPEC", `tail: ${shown(input)} is none of mean, hold, stop`);
}

/** A schedule whose settings may be left out, e.g. `{ kind: "dynamic" }`. */
export type ScheduleSettings = z.input<typeof scheduleSchema>;
/** Such a schedule, or alpha as a function of the token step. */
export type ScheduleInput = ScheduleSettings | FunctionSchedule | ((step: number) => number);

/** Fill in defaults. Throws E_BAD_SPEC naming the setting. */
export function parseSchedule(input: ScheduleSettings): WrittenSchedule;
export function parseSchedule(input: ScheduleInput): Schedule;
export function parseSchedule(input: ScheduleInput): Schedule {
  if (typeof input === "function") return functionSchedule(input);
  if (typeof input === "object" && input?.kind === "function") return functionSchedule(input.alphaAt);
  const parsed = scheduleSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new SteeringError("E_BAD_SPEC", `schedule ${issue.path.join(".")}: ${issue.message}`);
}

function functionSchedule(of: (step: number) => number): FunctionSchedule {
  if (typeof of !== "function") throw new SteeringError("E_BAD_SPEC", "schedule alphaAt: a function of the step was expected");
  return { kind: "function", alphaAt: of };
}

/** α_i of a schedule that does not depend on the distributions; N = the vector's steps (docs/method.md §4). Throws E_BAD_SPEC. */
export function alphaAt(schedule: SetSchedule, step: number, nSteps: number): number {
  switch (schedule.kind) {
    case "fixed": return schedule.alpha;
    case "start": return step === 0 ? schedule.alpha : 0;
    case "diminishing": return schedule.alpha * Math.max(0, 1 - step / nSteps);
    case "window": return step >= schedule.from && step < schedule.to ? schedule.alpha : 0;
    case "recorded": return schedule.alphas[step] ?? 0;
    case "function": {
      const value = schedule.alphaAt(step);
      if (typeof value === "number" && isAlpha(value)) return value;
      throw new SteeringError("E_BAD_SPEC", `the schedule's function gave ${shown(value)} at step ${step}; a finite number was expected`);
    }
  }
}
