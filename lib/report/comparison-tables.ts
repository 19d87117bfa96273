import {
  hitMeasure, interference, judgeAgreement, judgesOf, outcomesOf, pairedDifferences, withoutComparisons, type PairedDifference,
} from "../results/index.js";
import { JOINT, judgedNames, type RunData } from "./data.js";
import { brief, percent } from "./figures/chart.js";
import { groupFronts, type GroupFront } from "./front.js";
import { signed, table, withInterval, type Column, type Table } from "./tables.js";

/** How each setting differs from the reference on the same prompts; undefined if there is nothing to compare. */
export function differencesTable(data: RunData, reference: string): Table | undefined {
  const judges = judgesOf(data);
  const names = new Map(judgedNames(data).map(({ evaluator, name }) => [evaluator, name]));
  const measures = [
    ...withoutComparisons(data.evaluations)
      .map((each) => ({ name: names.get(each.header.evaluator)!, measure: hitMeasure([each]), isShare: true })),
    ...(judges.length > 1 ? [{ name: JOINT, measure: hitMeasure(judges), isShare: true }] : []),
    { name: "ΔPPL", measure: (index: number) => data.records[index]!.deltaPerplexity ?? undefined, isShare: false },
    ...outcomesOf(data).filter(({ against }) => against !== reference).map((each) => ({ ...each, isShare: false })),
  ]
    .map(({ name, measure, isShare }) => ({
      name,
      isShare,
      found: new Map(pairedDifferences(data, reference, measure).map((each) => [each.setting, each])),
    }))
    .filter(({ found }) => [...found.values()].some(({ n }) => n > 0));
  if (measures.length === 0) return undefined;
  const rows = data.run.settings.map(({ label }) => label).filter((label) => measures.some(({ found }) => (found.get(label)?.n ?? 0) > 0));
  return table({
    id: "differences", title: `Differences from ${reference}`,
    caption: `Each setting minus ${reference} on the same prompts: the mean difference with its 95 % bootstrap interval over prompts. `
      + "An interval that excludes 0 shows a difference that is consistent across prompts. Shares are in percentage points. p: the "
      + "probability of such a difference by chance (McNemar's exact test for shares, a permutation test for all else), corrected by Holm "
      + "for the number of settings.",
  }, rows, [
    { name: "setting", value: (row) => row, show: (row) => row },
    ...measures.flatMap(({ name, isShare, found }): Array<Column<string>> => {
      const difference = (row: string) => found.get(row)?.difference ?? null;
      const format = isShare ? points : (value: number) => signed(value, brief);
      return [
        { name, value: (row) => difference(row)?.value ?? null, show: (row) => tested(found.get(row), format) },
        { name: `${name} low`, value: (row) => difference(row)?.low ?? null },
        { name: `${name} high`, value: (row) => difference(row)?.high ?? null },
        { name: `${name} p`, value: (row) => found.get(row)?.p ?? null },
        { name: `${name} p (Holm)`, value: (row) => found.get(row)?.pHolm ?? null },
        { name: `${name}: prompts`, value: (row) => found.get(row)?.n ?? 0 },
      ];
    }),
  ]);
}

/** The front of effect against ΔPPL, of all settings and of each strategy; undefined if no setting has both. */
export function frontTable(data: RunData): Table | undefined {
  const found = groupFronts(data);
  if (!found) return undefined;
  const hit = found.property === JOINT ? "all properties at once" : found.property;
  const listed = (labels: readonly string[]): string => labels.join(", ");
  return table<GroupFront>({
    id: "front", title: "Effect against ΔPPL",
    caption: `The front holds the settings that no other beats both in the share of answers (${hit}) and in the median ΔPPL. Area: the `
      + `mean, over ΔPPLs from ${brief(found.from)} to ${brief(found.to)}, of the largest share that the strategy reaches at no more than `
      + "that ΔPPL, with its 95 % bootstrap interval over prompts. A strategy with more settings has more chances, on the same prompts.",
  }, found.rows, [
    { name: "strategy", value: ({ group }) => group, show: ({ group }) => group },
    { name: "settings", value: ({ settings }) => settings.length, show: ({ settings }) => String(settings.length) },
    { name: "area", value: ({ area }) => area.value, show: ({ area }) => withInterval(area, percent) },
    { name: "area low", value: ({ area }) => area.low },
    { name: "area high", value: ({ area }) => area.high },
    { name: "on the front of all", value: ({ onFront }) => listed(onFront), show: ({ onFront }) => listed(onFront) },
  ]);
}

/** What each vector of a composition does to every judge; undefined for runs without vectors alone, or without judges. */
export function interferenceTable(data: RunData): Table | undefined {
  const judges = interference(data);
  const rows = judges[0]?.effects.map(({ setting }) => setting) ?? [];
  if (rows.length === 0) return undefined;
  const names = new Map(judgedNames(data).map(({ evaluator, name }) => [evaluator, name]));
  return table<string>({
    id: "interference", title: "What each vector does to every judge",
    caption: "Each vector alone, and the system message, minus the unsteered question on the same prompts: the difference in the share of "
      + "answers, in percentage points, and in the mean number of words, with 95 % bootstrap intervals. p as in the differences. A vector "
      + "should move its own judge and no other.",
  }, rows, [
    { name: "setting", value: (row) => row, show: (row) => row },
    ...judges.flatMap(({ judge, effects }): Array<Column<string>> => {
      const of = (row: string): PairedDifference | undefined => effects.find(({ setting }) => setting === row);
      const [name, format] = judge === "words" ? [judge, (value: number) => signed(value, brief)] as const
        : [names.get(judge)!, points] as const;
      return [
        { name, value: (row) => of(row)?.difference?.value ?? null, show: (row) => tested(of(row), format) },
        { name: `${name} low`, value: (row) => of(row)?.difference?.low ?? null },
        { name: `${name} high`, value: (row) => of(row)?.difference?.high ?? null },
        { name: `${name} p (Holm)`, value: (row) => of(row)?.pHolm ?? null },
      ];
    }),
  ]);
}

/** How far the judges of one property agree; undefined if no property has two. */
export function agreementTable({ evaluations }: RunData): Table | undefined {
  const found = judgeAgreement(evaluations);
  if (found.length === 0) return undefined;
  const number = (value: number): number | null => (Number.isNaN(value) ? null : value);
  return table({
    id: "agreement", title: "Agreement of the judges",
    caption: "Answers that both judges could judge: on how many of them they agree whether the answer has the property, and Cohen's kappa, "
      + "the agreement beyond chance: 1 if they always agree, 0 if as often as by chance.",
  }, found, [
    { name: "property", value: ({ property }) => property, show: ({ property }) => property },
    { name: "judges", value: ({ judges }) => judges.join(", "), show: ({ judges }) => judges.join(", ") },
    { name: "answers", value: ({ n }) => n, show: ({ n }) => String(n) },
    { name: "agree", value: ({ share }) => number(share), show: ({ share }) => (Number.isNaN(share) ? "" : percent(share)) },
    { name: "kappa", value: ({ kappa }) => number(kappa), show: ({ kappa }) => (Number.isNaN(kappa) ? "–" : kappa.toFixed(2)) },
  ]);
}

/** A share's difference in percentage points. */
function points(value: number): string {
  return signed(100 * value, (each) => each.toFixed(0));
}

function tested(found: PairedDifference | undefined, format: (value: number) => string): string {
  const text = withInterval(found?.difference, format);
  return text === "" ? "" : `${text}, p ${probability(found!.pHolm!)}`;
}

function probability(p: number): string {
  return p < 0.001 ? "< 0.001" : p.toFixed(p < 0.1 ? 3 : 2);
}
