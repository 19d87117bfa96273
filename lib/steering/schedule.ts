import { z } from "zod";
import { SteeringError } from "../errors.js";

export const klReductionSchema = z.enum(["mean", "sum"]);
/** `mean` divides the KL by the size of the top-p set, as the published code does; `sum` is the paper's formula. */
export type KlReduction = z.infer<typeof klReductionSchema>;

const alpha = z.number().finite();
const P_RANGE = "must be above 0 and at most 1";

/** Alpha as a function of the token step, or of the distributions (REFERENCE §4). */
export const scheduleSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("fixed"), alpha: alpha.default(1) }),
  z.strictObject({ kind: z.literal("start"), alpha: alpha.default(1) }),
  z.strictObject({ kind: z.literal("diminishing"), alpha: alpha.default(1) }),
  z.strictObject({
    kind: z.literal("dynamic"),
    topP: z.number().gt(0, P_RANGE).max(1, P_RANGE).default(0.5),
    alphaMax: z.number().min(0).finite().default(2),
    strongAlpha: alpha.default(2),
    klReduction: klReductionSchema.default("mean"),
  }),
]);
export type Schedule = z.infer<typeof scheduleSchema>;
export type DynamicSchedule = Extract<Schedule, { kind: "dynamic" }>;
export type SetSchedule = Exclude<Schedule, { kind: "dynamic" }>;

export const tailSchema = z.enum(["mean", "hold", "stop"]).default("mean");
/** What happens beyond the vector's last step: the mean of its steps, its last step, or nothing. */
export type Tail = z.infer<typeof tailSchema>;

/** Throws E_BAD_SPEC. */
export function parseTail(input: Tail | undefined): Tail {
  const parsed = tailSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw new SteeringError("E_BAD_SPEC", `tail: "${String(input)}" is none of mean, hold, stop`);
}

/** A schedule whose settings may be left out, e.g. `{ kind: "dynamic" }`. */
export type ScheduleInput = z.input<typeof scheduleSchema>;

/** Fill in defaults. Throws E_BAD_SPEC naming the setting. */
export function parseSchedule(input: ScheduleInput): Schedule {
  const parsed = scheduleSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new SteeringError("E_BAD_SPEC", `schedule ${issue.path.join(".")}: ${issue.message}`);
}

/** α_i of a schedule that does not depend on the distributions; N = the vector's steps (REFERENCE §4). */
export function alphaAt(schedule: SetSchedule, step: number, nSteps: number): number {
  switch (schedule.kind) {
    case "fixed": return schedule.alpha;
    case "start": return step === 0 ? schedule.alpha : 0;
    case "diminishing": return schedule.alpha * Math.max(0, 1 - step / nSteps);
  }
}
