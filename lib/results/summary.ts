import { bootstrap, mean, median, quantile, share, type Estimate } from "../maths/index.js";
import { hitOf, type Evaluation } from "./evaluations.js";
import type { RunResults } from "./store.js";

/** How a figure is distributed over the answers. */
export interface Distribution {
  n: number;
  mean: Estimate;
  median: Estimate;
  /** First and third quartile. */
  quartiles: readonly [number, number];
}

/** How many answers have a property. */
export interface PropertyResult {
  /** Answers that were evaluated. */
  n: number;
  /** Of these; undetermined ones count as none. */
  share: Estimate;
  undetermined: number;
}

/** One row of a run's table. */
export interface SettingResult {
  setting: string;
  answers: number;
  /** Answers that could not be had (`finishReason` failed). */
  failed: number;
  /** ΔPPL; null for the setting that it is measured against. */
  deltaPerplexity: Distribution | null;
  /** By evaluator, of those that say what counts as a hit. */
  properties: Record<string, PropertyResult>;
  /** Answers with all these properties at once; null where there are fewer than two. */
  joint: PropertyResult | null;
}

/** A run's answers with what evaluators say of them, as `readRun` gives them. */
export type EvaluatedResults = Pick<RunResults, "run" | "records" | "evaluations">;

/** A table of a run's settings, in their order. */
export function summariseRun(results: EvaluatedResults): SettingResult[] {
  const judged = results.evaluations.filter(({ header }) => header.wanted !== null);
  const judges = judgesOf(results.evaluations);
  return results.run.settings.map(({ label }) => {
    const own = recordsOf(results, label);
    const properties = Object.fromEntries(judged.flatMap((evaluation) => {
      const found = propertyResult(own.filter((index) => index < evaluation.rows.length).map((index) => hitOf(evaluation, index)));
      return found ? [[evaluation.header.evaluator, found]] : [];
    }));
    const byAll = own.filter((index) => judges.every(({ rows }) => index < rows.length));
    const deltas = own.flatMap((index) => results.records[index]!.deltaPerplexity ?? []);
    return {
      setting: label,
      answers: own.length,
      failed: own.filter((index) => results.records[index]!.finishReason === "failed").length,
      deltaPerplexity: deltas.length === 0 ? null : distribution(deltas),
      properties,
      joint: judges.length < 2 ? null : propertyResult(byAll.map((index) => jointHit(judges, index))),
    };
  });
}

/** One judge of each property that is wanted: the evaluator of that name, else the first that judges it, such as a probe. */
export function judgesOf(evaluations: readonly Evaluation[]): Evaluation[] {
  const judged = evaluations.filter(({ header }) => header.wanted !== null);
  return judged.filter(({ header }) => {
    const same = judged.filter((other) => other.header.property === header.property);
    return header === (same.find((other) => other.header.evaluator === header.property) ?? same[0]!).header;
  });
}

/** Whether an answer has all properties; null where one of them is undetermined and none is missing. */
export function jointHit(judged: readonly Evaluation[], index: number): boolean | null {
  const hits = judged.map((evaluation) => hitOf(evaluation, index));
  if (hits.includes(false)) return false;
  return hits.includes(null) ? null : true;
}

/** How a value is distributed, with 95 % bootstrap intervals of its mean and its median. */
export function distribution(values: readonly number[]): Distribution {
  return { n: values.length, mean: bootstrap(values, mean), median: median(values), quartiles: [quantile(values, 0.25), quantile(values, 0.75)] };
}

/** What is compared between settings: a value per record; undefined where there is none. */
export type Measure = (index: number) => number | undefined;

/** How two settings differ on the prompts that both answered. */
export interface PairedDifference {
  setting: string;
  /** Prompts that both settings have a value for. */
  n: number;
  /** Mean of the differences to the reference, prompt by prompt, with its 95 % bootstrap interval over prompts; null without prompts. */
  difference: Estimate | null;
}

/** How much each setting differs from `reference` on the same prompts: hits of an evaluation as 1 and 0, or ΔPPL. */
export function pairedDifferences(results: EvaluatedResults, reference: string, measure: Measure): PairedDifference[] {
  const values = (setting: string): Map<number, number> => new Map(recordsOf(results, setting).flatMap((index) => {
    const value = measure(index);
    return value === undefined ? [] : [[results.records[index]!.prompt, value]];
  }));
  const base = values(reference);
  return results.run.settings.filter(({ label }) => label !== reference).map(({ label }) => {
    const differences = [...values(label)].flatMap(([prompt, value]) => (base.has(prompt) ? [value - base.get(prompt)!] : []));
    return { setting: label, n: differences.length, difference: differences.length === 0 ? null : bootstrap(differences, mean) };
  });
}

/** Hits as 1, everything else that was evaluated as 0. */
export function hitMeasure(judged: readonly Evaluation[]): Measure {
  return (index) => (judged.every(({ rows }) => index < rows.length) ? Number(jointHit(judged, index) === true) : undefined);
}

function recordsOf({ records }: EvaluatedResults, label: string): number[] {
  return records.flatMap(({ setting }, index) => (setting === label ? [index] : []));
}

function propertyResult(hits: ReadonlyArray<boolean | null>): PropertyResult | null {
  if (hits.length === 0) return null;
  return { n: hits.length, share: share(hits.filter((hit) => hit === true).length, hits.length), undetermined: hits.filter((hit) => hit === null).length };
}
