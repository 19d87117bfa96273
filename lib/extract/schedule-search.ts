import { LEAST_VARIETY } from "../calibrate/index.js";
import { parseSchedule, type WrittenSchedule } from "../steering/index.js";
import type { Gain } from "./likelihood-gain.js";

/** Schedules to try, as multiples of the alpha that spends the KL budget. Dim adds half as much in all as Fixed. */
const TRIED = { fixed: [Math.SQRT1_2, 1, Math.SQRT2], diminishing: [1, Math.SQRT2, 2] } as const;
/** Nats per token. Measured: answers that lose more are broken (docs/measured.md). */
const MOST_LOSS = 1;
/** What a nat of fluency is worth, in nats of gain. Measured: it chooses what reads best, for a language and for a tone. */
const PRICE = 0.25;

/** A schedule, and what it does to answers. */
export type TriedSchedule = { schedule: WrittenSchedule } & Gain;

/**
 * The schedule that moves answers furthest towards the description for what it costs, among those whose answers stay fluent and varied;
 * undefined if none moves them at all. `alpha`: the fixed alpha that spends the KL budget.
 */
export async function searchSchedule(
  alpha: number, measure: (schedule: WrittenSchedule) => Promise<Gain>,
): Promise<{ best: TriedSchedule | undefined; tried: TriedSchedule[] }> {
  const schedules = (Object.keys(TRIED) as Array<keyof typeof TRIED>).flatMap((kind) =>
    TRIED[kind].map((factor) => parseSchedule({ kind, alpha: Number((alpha * factor).toPrecision(2)) })));
  const tried: TriedSchedule[] = [];
  for (const schedule of schedules) tried.push({ schedule, ...await measure(schedule) });
  const good = tried.filter(({ gain, loss, variety, nLost }) => nLost === 0 && gain > 0 && loss <= MOST_LOSS && variety >= LEAST_VARIETY);
  const worth = ({ gain, loss }: Gain): number => gain - PRICE * loss;
  return { best: good.toSorted((a, b) => worth(b) - worth(a))[0], tried };
}
