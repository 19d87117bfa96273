import { areaUnderFront, drawWithReplacement, mean, paretoFront, quantile, type Estimate } from "../maths/index.js";
import { hitMeasure, judgesOf } from "../results/index.js";
import { tradeOffRows, type RunData, type TradeOffRow } from "./data.js";
import { GROUPS, type Group } from "./strategy.js";

/** Resamples of the prompts for the intervals of the areas. */
const RESAMPLES = 500;

/** A strategy's part in the front of effect against ΔPPL. */
export interface GroupFront {
  group: Group | "all";
  /** Its settings that have both values. */
  settings: string[];
  /** Its settings on the front of all settings, cheapest first. */
  onFront: string[];
  /** Mean over the range of ΔPPLs of the largest share at no more than that ΔPPL, with its bootstrap interval over prompts. */
  area: Estimate;
}

/** The settings to which no other is preferable in share and median ΔPPL, cheapest first. */
export function frontOf(rows: readonly TradeOffRow[]): TradeOffRow[] {
  return paretoFront(rows.map((row) => ({ row, cost: row.deltaPerplexity.value, gain: row.share.value }))).map(({ row }) => row);
}

/** The areas go this far beyond the costliest setting, as a share of the range, so that this setting has an area, too. */
const BEYOND = 0.1;

/** The front of all settings, and each strategy's own, whose areas share one range of ΔPPLs, `from` to `to` (docs/method.md §10). */
export function groupFronts(data: RunData): { property: string; from: number; to: number; rows: GroupFront[] } | undefined {
  const { property, rows } = tradeOffRows(data) ?? { property: "", rows: [] };
  if (rows.length < 2) return undefined;
  const front = frontOf(rows);
  const costs = (some: readonly TradeOffRow[]): number[] => some.map(({ deltaPerplexity }) => deltaPerplexity.value);
  const groups = GROUPS.filter((group) => rows.some((row) => row.group === group));
  const effective = groups.flatMap((each) => frontOf(rows.filter(({ group }) => group === each))).filter(({ share }) => share.value > 0);
  const from = Math.min(...costs(rows));
  const highest = Math.max(...costs(effective), ...costs(rows.filter(({ group }) => group === "No ICL")), from);
  const to = highest + BEYOND * (highest - from);
  const resampled = resamples(data, rows);
  const areaOf = (group: Group | "all"): Estimate => {
    const isOwn = (row: TradeOffRow): boolean => group === "all" || row.group === group;
    const own = rows.filter(isOwn).map(({ deltaPerplexity, share }) => ({ cost: deltaPerplexity.value, gain: share.value }));
    const found = resampled.map((sample) => areaUnderFront(sample.filter((_, index) => isOwn(rows[index]!)), from, to));
    return { value: areaUnderFront(own, from, to), low: quantile(found, 0.025), high: quantile(found, 0.975) };
  };
  return {
    property, from, to,
    rows: (["all", ...groups] as const).map((group) => {
      const isOwn = (row: TradeOffRow): boolean => group === "all" || row.group === group;
      return {
        group, settings: rows.filter(isOwn).map(({ setting }) => setting), onFront: front.filter(isOwn).map(({ setting }) => setting),
        area: areaOf(group),
      };
    }),
  };
}

/** Shares and median ΔPPLs of the settings on prompts drawn with replacement, the same ones for all settings. */
function resamples(data: RunData, rows: readonly TradeOffRow[]): Array<Array<{ cost: number; gain: number }>> {
  const hit = hitMeasure(judgesOf(data));
  const prompts = [...new Set(data.records.map(({ prompt }) => prompt))];
  const place = new Map(prompts.map((prompt, index) => [prompt, index]));
  const values = rows.map(({ setting }) => {
    const own = data.records.flatMap((record, index) => (record.setting === setting ? [{ record, index }] : []));
    const hits = Array<number | undefined>(prompts.length);
    const costs = Array<number | null>(prompts.length).fill(null);
    for (const { record, index } of own) {
      hits[place.get(record.prompt)!] = hit(index);
      costs[place.get(record.prompt)!] = record.deltaPerplexity;
    }
    return { hits, costs };
  });
  return Array.from({ length: RESAMPLES }, (_, seed) => {
    const drawn = drawWithReplacement(prompts.length, prompts.length, seed);
    return values.map(({ hits, costs }) => ({
      gain: mean(drawn.flatMap((at) => hits[at] ?? [])), cost: quantile(drawn.flatMap((at) => costs[at] ?? []), 0.5),
    }));
  });
}
