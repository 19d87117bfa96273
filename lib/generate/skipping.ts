import type { DynamicSchedule } from "../steering/index.js";

/** What the KLs of a steering so far mean for its next steps. */
export interface Calm {
  /** The schedule that they were measured for. */
  schedule: DynamicSchedule;
  /** How many KLs in a row were under the threshold of `skip`. */
  quiet: number;
  /** How many of the next steps are not measured. */
  left: number;
  /** The alpha measured last, which these steps take. */
  alpha: number;
}

/** The state after a step with this alpha and KL; a KL of null: the step was skipped. */
export function calmAfter(before: Calm | undefined, schedule: DynamicSchedule, { alpha, kl }: { alpha: number; kl: number | null }): Calm {
  if (kl === null) return { ...before!, left: before!.left - 1 };
  const { skip } = schedule;
  const quiet = skip && kl < skip.below ? (before?.quiet ?? 0) + 1 : 0;
  return { schedule, quiet, left: skip && quiet >= skip.after ? skip.for : 0, alpha };
}
