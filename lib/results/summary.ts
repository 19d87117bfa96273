import { median, share, type Estimate } from "../maths/statistics.js";
import type { ResultRecord } from "./records.js";
import type { RunResults } from "./store.js";

/** One row of a run's table. */
export interface SettingResult {
  setting: string;
  answers: number;
  /** Answers that could not be had (`finishReason` failed). */
  failed: number;
  /** Median ΔPPL with its 95 % interval; null for the setting that it is measured against. */
  deltaPerplexity: Estimate | null;
  /** Share of answers that `isHit` accepts; null without it. */
  hits: Estimate | null;
}

/** A table of a run's settings, in their order. `isHit`: whether an answer has the wanted property. */
export function summariseRun({ run, records }: Pick<RunResults, "run" | "records">, isHit?: (record: ResultRecord) => boolean): SettingResult[] {
  return run.settings.map(({ label }) => {
    const own = records.filter(({ setting }) => setting === label);
    const deltas = own.flatMap(({ deltaPerplexity }) => (deltaPerplexity === null ? [] : [deltaPerplexity]));
    return {
      setting: label,
      answers: own.length,
      failed: own.filter(({ finishReason }) => finishReason === "failed").length,
      deltaPerplexity: deltas.length === 0 ? null : median(deltas),
      hits: isHit && own.length > 0 ? share(own.filter(isHit).length, own.length) : null,
    };
  });
}
