import { languageName } from "../evaluate/index.js";
import { bootstrap, mean, quantile, type Estimate } from "../maths/index.js";
import { judgesOf, summariseRun, type EvaluationHeader, type RunResults, type RunSetting, type SettingResult } from "../results/index.js";
import { groupOf, vectorNames, type Group } from "./strategy.js";

/** A run's results together with their summary, which is computed only once. */
export interface RunData extends RunResults {
  summary: SettingResult[];
}

export function runData(results: RunResults): RunData {
  return { ...results, summary: summariseRun(results) };
}

/** The wanted property in words, for example "Italian" or "formal". */
export function propertyName({ evaluator, wanted }: Pick<EvaluationHeader, "evaluator" | "wanted">): string {
  if (evaluator.startsWith("probe-")) return `${wanted} (probe)`;
  return evaluator === "language" && wanted !== null ? languageName(wanted) : wanted ?? evaluator;
}

/** Column names of all evaluations with a wanted value. Names that would be the same get the evaluator's name added. */
export function judgedNames({ evaluations }: Pick<RunResults, "evaluations">): Array<{ evaluator: string; name: string }> {
  const judged = evaluations
    .filter(({ header }) => header.wanted !== null)
    .map(({ header }) => ({ evaluator: header.evaluator, name: propertyName(header) }));
  return judged.map(({ evaluator, name }) => ({
    evaluator,
    name: judged.filter((other) => other.name === name).length > 1 ? `${name} (${evaluator})` : name,
  }));
}

/** Name of the share of answers that have every property. */
export const JOINT = "all at once";

/** Share of a setting's answers that have a property. */
export interface ShareRow {
  setting: string;
  group: Group;
  property: string;
  share: number;
  low: number;
  high: number;
  /** Number of evaluated answers, and how many of them are undetermined. */
  n: number;
  undetermined: number;
}

/** Figures 1 and 2: shares per setting and property, and shares of all properties at once. */
export function shareRows(data: RunData): ShareRow[] {
  const groups = groupByLabel(data);
  const evaluated = new Map(data.evaluations.map(({ header, rows }) => [header.evaluator, rows.length]));
  const nOf = (setting: string, evaluators: readonly string[]): number => {
    const least = Math.min(...evaluators.map((name) => evaluated.get(name)!));
    return data.records.filter((record, index) => record.setting === setting && index < least).length;
  };
  const names = judgedNames(data);
  return data.summary.flatMap(({ setting, properties, joint }) => {
    const row = (property: string, evaluators: readonly string[], result: SettingResult["joint"] | undefined): ShareRow[] => {
      if (!result) return [];
      const { share: { value: share, low, high }, undetermined } = result;
      return [{ setting, group: groups.get(setting)!, property, share, low, high, n: nOf(setting, evaluators), undetermined }];
    };
    const evaluators = judgesOf(data).map(({ header }) => header.evaluator);
    return [...names.flatMap(({ evaluator, name }) => row(name, [evaluator], properties[evaluator])), ...row(JOINT, evaluators, joint)];
  });
}

/** Distribution of ΔPPL over a setting's answers, as a box plot shows it. */
export interface BoxRow {
  setting: string;
  group: Group;
  n: number;
  q1: number;
  median: number;
  q3: number;
  /** Furthest values within 1.5 box lengths of the box. */
  lowWhisker: number;
  highWhisker: number;
  outliers: number[];
}

/** Figures 1 and 2: ΔPPL per setting, without the settings that have no value. */
export function boxRows(data: RunData): BoxRow[] {
  const groups = groupByLabel(data);
  return data.run.settings.flatMap(({ label }) => {
    const values = data.records
      .flatMap(({ setting, deltaPerplexity }) => (setting === label && deltaPerplexity !== null ? [deltaPerplexity] : []))
      .sort((a, b) => a - b);
    if (values.length === 0) return [];
    const [q1, median, q3] = [0.25, 0.5, 0.75].map((q) => quantile(values, q)) as [number, number, number];
    const reach = 1.5 * (q3 - q1);
    const inside = values.filter((value) => value >= q1 - reach && value <= q3 + reach);
    return [
      {
        setting: label,
        group: groups.get(label)!,
        n: values.length,
        q1,
        median,
        q3,
        lowWhisker: Math.min(q1, ...inside),
        highWhisker: Math.max(q3, ...inside),
        outliers: values.filter((value) => value < q1 - reach || value > q3 + reach),
      },
    ];
  });
}

export const STEP_QUANTITIES = ["KL", "α"] as const;

/** Mean of a quantity at a step, over the answers of a Dyn setting that reached the step. */
export interface StepRow {
  setting: string;
  topP: number;
  property: string;
  quantity: (typeof STEP_QUANTITIES)[number];
  /** Generation step, 0-based. */
  step: number;
  mean: number;
  /** 95 % bootstrap interval of the mean; null for a single answer. */
  low: number | null;
  high: number | null;
  /** Number of answers that reached the step. */
  n: number;
}

/** Figure 3: KL (nats) and α per generation step of each Dyn setting and property. */
export function stepRows({ run, records }: Pick<RunData, "run" | "records">): StepRow[] {
  const names = vectorNames(run);
  return run.settings.filter((setting) => groupOf(run, setting) === "Dyn").flatMap((setting) => {
    const own = records.filter((record) => record.setting === setting.label);
    return setting.steer.flatMap(({ vector, schedule }, term) => STEP_QUANTITIES.flatMap((quantity) => {
      const series = own.map((record) => (quantity === "KL" ? record.kls[term] : record.alphas[term]) ?? []);
      const nSteps = Math.max(0, ...series.map(({ length }) => length));
      return Array.from({ length: nSteps }, (_, step): StepRow => {
        const values = series.flatMap((each) => each[step] ?? []);
        const found: Estimate | undefined = values.length > 1 ? bootstrap(values, mean) : undefined;
        return {
          setting: setting.label, topP: (schedule as { topP: number }).topP, property: names[vector]!, quantity, step,
          mean: mean(values), low: found?.low ?? null, high: found?.high ?? null, n: values.length,
        };
      });
    }));
  });
}

/** A cell of figure 6. */
export interface MatrixCell {
  alpha1: number;
  alpha2: number;
  /** A property, `JOINT` or `MEDIAN_DELTA`. */
  quantity: string;
  value: number;
}

export const MEDIAN_DELTA = "median ΔPPL";

/** Figure 6: Fixed compositions of two vectors, by their alphas. */
export function matrixCells(data: RunData): MatrixCell[] {
  const shares = shareRows(data);
  return data.run.settings.flatMap((setting) => {
    const alphas = fixedAlphas(setting);
    if (alphas?.length !== 2) return [];
    const cell = (quantity: string, value: number): MatrixCell => ({ alpha1: alphas[0]!, alpha2: alphas[1]!, quantity, value });
    const delta = data.summary.find((each) => each.setting === setting.label)?.deltaPerplexity;
    return [
      ...shares.filter((row) => row.setting === setting.label).map(({ property, share }) => cell(property, share)),
      ...(delta ? [cell(MEDIAN_DELTA, delta.median.value)] : []),
    ];
  });
}

function fixedAlphas({ steer }: RunSetting): number[] | undefined {
  const alphas = steer.map(({ schedule, gate }) => (gate === undefined && schedule.kind === "fixed" ? schedule.alpha : NaN));
  return alphas.some(Number.isNaN) ? undefined : alphas;
}

/** A setting of figure 7. */
export interface TradeOffRow {
  setting: string;
  group: Group;
  /** Share of hits and median ΔPPL, with 95 % intervals. */
  share: Estimate;
  deltaPerplexity: Estimate;
}

/** Figure 7: the cost of steering, per setting that has both values. Several properties are counted all at once. */
export function tradeOffRows(data: RunData): { property: string; rows: TradeOffRow[] } | undefined {
  const judges = judgesOf(data).map(({ header }) => header.evaluator);
  const names = judgedNames(data).filter(({ evaluator }) => judges.includes(evaluator));
  if (names.length === 0) return undefined;
  const groups = groupByLabel(data);
  const rows = data.summary.flatMap(({ setting, properties, joint, deltaPerplexity }): TradeOffRow[] => {
    const found = names.length > 1 ? joint : properties[names[0]!.evaluator];
    return found && deltaPerplexity
      ? [{ setting, group: groups.get(setting)!, share: found.share, deltaPerplexity: deltaPerplexity.median }]
      : [];
  });
  return { property: names.length > 1 ? JOINT : names[0]!.name, rows };
}

function groupByLabel({ run }: Pick<RunData, "run">): Map<string, Group> {
  return new Map(run.settings.map((setting) => [setting.label, groupOf(run, setting)]));
}

/** Choose sample prompts, spread evenly over the answered ones. */
export function samplePrompts({ records }: Pick<RunData, "records">, count: number): number[] {
  const prompts = [...new Set(records.map(({ prompt }) => prompt))];
  const n = Math.min(count, prompts.length);
  return Array.from({ length: n }, (_, i) => prompts[Math.floor((i * prompts.length) / n)]!);
}
