import type { Estimate, PairedDifference, RunResults } from "../lib/experiments.js";
import { groupFronts, runData } from "../lib/report/index.js";
import { hitMeasure, judgesOf, outcomesOf, pairedDifferences, SCORE, unsteeredLabel } from "../lib/results/index.js";

/** How a setting of a comparison of methods differs from the reference, and its part in the front (docs/method.md §10). */
interface ComparedRow {
  setting: string;
  effect: PairedDifference | undefined;
  score: PairedDifference | undefined;
  deltaPerplexity: PairedDifference | undefined;
  /** Undefined for a setting without a ΔPPL or a judgement, and where several settings belong to one strategy. */
  area: Estimate | undefined;
  isOnFront: boolean;
}

/** The settings of a comparison of methods against the prompted baseline; undefined for other runs. */
export interface ComparedMethods {
  reference: string;
  /** ΔPPLs over which the areas are taken. */
  range: { from: number; to: number };
  rows: ComparedRow[];
}

/** Paired tests and the front of a comparison of methods; undefined for other runs, and without judges. */
export function comparedMethods(results: RunResults): ComparedMethods | undefined {
  const { run, records } = results;
  const judges = judgesOf(results);
  const reference = run.settings.find(({ prompt }) => prompt === "prompted")?.label ?? unsteeredLabel(run.settings);
  if (run.config["strengths"] === undefined || judges.length === 0 || reference === undefined) return undefined;
  const fronts = groupFronts(runData(results));
  if (!fronts) return undefined;
  const score = outcomesOf(results).find(({ name }) => name === SCORE);
  const against = (measure: (index: number) => number | undefined): Map<string, PairedDifference> =>
    new Map(pairedDifferences(results, reference, measure).map((each) => [each.setting, each]));
  const [effects, deltas] = [against(hitMeasure(judges)), against((index) => records[index]!.deltaPerplexity ?? undefined)];
  const scores = score && against(score.measure);
  return {
    reference, range: { from: fronts.from, to: fronts.to },
    rows: run.settings.map(({ label }) => ({
      setting: label, effect: effects.get(label), score: scores?.get(label), deltaPerplexity: deltas.get(label),
      area: fronts.rows.find(({ settings }) => settings.length === 1 && settings[0] === label)?.area,
      isOnFront: fronts.rows[0]!.onFront.includes(label),
    })),
  };
}
