import { beginningOf, type Keeping } from "./kept.js";
import type { Claim, Room } from "./room.js";
import { donorFor, type Job, type Running } from "./running.js";
import type { MachineRowTimes } from "../row-times.js";
import { cellsOf } from "./task.js";

export interface SchedulerLimits {
  /** Maximum KV cells, unless one task needs more. */
  maxCells: number;
  /** Maximum sequences at once, unless one task needs more. */
  maxSequences: number;
  /** Maximum tasks at once. */
  maxTasks: number;
  /** Tells the tasks where guessing pays. */
  rowTimes: Pick<MachineRowTimes, "isReady" | "ready" | "now">;
  /** True if the model's memory cannot be cut at a token (`NativeModelInfo`). */
  hasWholeSequences?: boolean;
}

export function keepingOf({ hasWholeSequences = false, maxTasks }: SchedulerLimits): Keeping {
  return { hasWholeSequences, isExact: maxTasks === 1 };
}

/**
 * Gives a task its sequences. It begins with kept cells, with those of a running task once they are computed, or with none: whatever is
 * the longest beginning.
 */
export function start(
  job: Job, claim: Claim, room: Room, running: readonly Running[], limits: SchedulerLimits,
): Running {
  const { task } = job;
  const keeps = task.kind === "steps" ? task.keeps : undefined;
  const keeping = keepingOf(limits);
  if (keeping.isExact) room.forget(keeps?.owner); // otherwise the task's cells would lie elsewhere than in an empty cache
  const donor = donorFor(task, running, keeping.hasWholeSequences);
  const found = keeps && beginningOf(task, room.kept, keeping);
  const beginning = found && found.nTokens >= (donor?.nTokens ?? 0) ? found : undefined;
  const prefilled = beginning?.nTokens ?? 0;
  return {
    job, task, sequences: room.take(claim, beginning, keeps?.owner), nCells: cellsOf(task), prefilled, computed: prefilled,
    token: task.prompt.at(-1)!, step: 0, hasBegun: false, cancelled: false, hasEnded: false, donor: beginning ? undefined : donor,
  };
}
