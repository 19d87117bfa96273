import type { StepDetails } from "../../server/schemas/index.js";
import type { ScheduleInput, SteeringEntry } from "./steering.js";

export type Reading = StepDetails["readings"][number];
type Read = NonNullable<Reading["gate"]>;

/** E.g. "83 %", "1.5 %". */
export const percent = (share: number): string => (share < 0.001 ? "< 0.1 %" : `${share < 0.1 ? (share * 100).toFixed(1) : Math.round(share * 100)} %`);

/** What a gate did, and the probability that it read, e.g. "open, 83 %". */
export function gateWords({ probability, value }: Read): string {
  return `${value === 0 ? "shut" : value === 1 ? "open" : `open by ${value.toFixed(2)}`}, ${percent(probability)}`;
}

/** What is left of an answer's budget after these readings of its steering, in nats; undefined for other schedules. */
export function leftOf(schedule: ScheduleInput, readings: readonly Reading[]): number | undefined {
  return schedule.kind === "budget" && schedule.per === "answer" ? Math.max(0, schedule.nats - spentBy(readings)) : undefined;
}

/** What a budget spent, in few words: the sum if it is for the answer, otherwise the mean per token. */
export function spentWords({ schedule }: SteeringEntry, readings: readonly Reading[]): string | undefined {
  if (schedule.kind !== "budget") return undefined;
  const spent = spentBy(readings);
  return schedule.per === "answer" ? `${spent.toFixed(1)} of ${schedule.nats}` : `${(spent / Math.max(1, readings.length)).toFixed(2)} / token`;
}

const spentBy = (readings: readonly Reading[]): number => readings.reduce((sum, { kl }) => sum + (kl ?? 0), 0);
