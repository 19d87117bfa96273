import {
  agreement, bootstrap, holm, mean, median, quantile, share, signFlipTest, signTest, type Agreement, type Estimate,
} from "../maths/index.js";
import { hitOf, type Evaluation } from "./evaluations.js";
import { isPlanned, plannedProperties, unjudged } from "./planned-judges.js";
import type { RunResults } from "./store.js";

/** How a value is distributed over the answers. */
export interface Distribution {
  n: number;
  mean: Estimate;
  median: Estimate;
  /** First and third quartile. */
  quartiles: readonly [number, number];
}

/** The share of answers that have a property. */
export interface PropertyResult {
  /** Number of evaluated answers. */
  n: number;
  /** Share of the `n` answers that have the property; undetermined answers count as not having it. */
  share: Estimate;
  undetermined: number;
}

/** One row of a run's table. */
export interface SettingResult {
  setting: string;
  answers: number;
  /** Answers whose generation failed (`finishReason` failed). */
  failed: number;
  /** ΔPPL; null for the reference setting. */
  deltaPerplexity: Distribution | null;
  /** By evaluator, for the evaluators with a wanted value. */
  properties: Record<string, PropertyResult>;
  /** Answers with all these properties at once; null if there are fewer than two. */
  joint: PropertyResult | null;
}

/** A run's answers with their evaluations, as `readRun` returns them. */
export type EvaluatedResults = Pick<RunResults, "run" | "records" | "evaluations">;

/** Summarise a run, one row per setting, in their order. */
export function summariseRun(results: EvaluatedResults): SettingResult[] {
  const judged = results.evaluations.filter(({ header }) => header.wanted !== null);
  const judges = judgesOf(results);
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

/**
 * One judge per wanted property. In a comparison of methods, those that its plan names, whoever else judges the answers, and none while one
 * of them is missing (`unjudged`). In other runs the evaluator of the property's name, otherwise the first that does not ask an instruct
 * model, such as a probe, otherwise the first.
 */
export function judgesOf({ run, evaluations }: Pick<EvaluatedResults, "run" | "evaluations">): Evaluation[] {
  const judged = withoutComparisons(evaluations);
  const planned = plannedProperties(run);
  if (planned && unjudged({ run, evaluations }).length > 0) return [];
  if (planned) {
    const counted = planned.map((property) => judged.find(({ header }) => isPlanned(header, property)));
    return judged.filter((each) => counted.includes(each));
  }
  return judged.filter(({ header }) => {
    const same = judged.map((other) => other.header).filter(({ property }) => property === header.property);
    const chosen = same.find(({ evaluator, property }) => evaluator === property)
      ?? same.find(({ evaluator }) => !evaluator.startsWith("judge-")) ?? same[0]!;
    return header === chosen;
  });
}

/** The evaluations with a wanted value, but those that compare with a setting's answers: that setting itself never has a hit in them. */
export function withoutComparisons(evaluations: readonly Evaluation[]): Evaluation[] {
  return evaluations.filter(({ header }) => header.wanted !== null && header.config["against"] === undefined);
}

/** How far two judges of the same property agree on whether an answer has it. */
export interface JudgeAgreement extends Agreement {
  property: string;
  /** Names of the evaluators. */
  judges: [string, string];
}

/** The agreement of every two judges of the same property. Judges that compare answers with those of a setting are left out. */
export function judgeAgreement(evaluations: readonly Evaluation[]): JudgeAgreement[] {
  const judged = withoutComparisons(evaluations);
  return judged.flatMap((one, index) => judged.slice(index + 1).filter(({ header }) => header.property === one.header.property)
    .map((other): JudgeAgreement => {
      const hits = [one, other].map((each) => each.rows.map((_, row) => hitOf(each, row)));
      return {
        property: one.header.property, judges: [one.header.evaluator, other.header.evaluator], ...agreement(hits[0]!, hits[1]!),
      };
    }));
}

/** Whether an answer has all properties: false if any is missing, otherwise null if any is undetermined. */
export function jointHit(judged: readonly Evaluation[], index: number): boolean | null {
  const hits = judged.map((evaluation) => hitOf(evaluation, index));
  if (hits.includes(false)) return false;
  return hits.includes(null) ? null : true;
}

/** Describe the distribution of values, with 95 % bootstrap intervals of the mean and the median. */
export function distribution(values: readonly number[]): Distribution {
  const quartiles = [quantile(values, 0.25), quantile(values, 0.75)] as const;
  return { n: values.length, mean: bootstrap(values, mean), median: median(values), quartiles };
}

/** The value to compare between settings, by index of the record; undefined if the record has none. */
export type Measure = (index: number) => number | undefined;

/** How two settings differ on the prompts they both answered. */
export interface PairedDifference {
  setting: string;
  /** Number of prompts with a value in both settings. */
  n: number;
  /** Mean difference from the reference per prompt, with its 95 % bootstrap interval over prompts; null without prompts. */
  difference: Estimate | null;
  /**
   * Probability of a difference at least as large if the setting were no better or worse than the reference: McNemar's exact test if
   * all differences are those of hits, otherwise a permutation test of the mean (`signFlipTest`). Null without prompts.
   */
  p: number | null;
  /** The same after Holm's correction for the number of settings. */
  pHolm: number | null;
}

/** Compare each setting with `reference` on the same prompts, by an evaluation's hits (1 or 0) or by ΔPPL (docs/method.md §10). */
export function pairedDifferences(results: EvaluatedResults, reference: string, measure: Measure): PairedDifference[] {
  const values = (setting: string): Map<number, number> => new Map(recordsOf(results, setting).flatMap((index) => {
    const value = measure(index);
    return value === undefined ? [] : [[results.records[index]!.prompt, value]];
  }));
  const base = values(reference);
  const found = results.run.settings.filter(({ label }) => label !== reference).map(({ label }) => {
    const pairs = [...values(label)].flatMap(([prompt, value]) => (base.has(prompt) ? [[value, base.get(prompt)!] as const] : []));
    const differences = pairs.map(([value, other]) => value - other);
    const isEmpty = pairs.length === 0;
    return {
      setting: label, n: pairs.length, difference: isEmpty ? null : bootstrap(differences, mean), p: isEmpty ? null : pairedTest(pairs),
    };
  });
  const tested = found.filter((each) => each.p !== null);
  const corrected = holm(tested.map(({ p }) => p!));
  return found.map((each) => ({ ...each, pHolm: each.p === null ? null : corrected[tested.indexOf(each)]! }));
}

function pairedTest(pairs: ReadonlyArray<readonly [number, number]>): number {
  const differences = pairs.map(([value, other]) => value - other);
  if (pairs.flat().some((value) => value !== 0 && value !== 1)) return signFlipTest(differences);
  return signTest(differences.filter((each) => each > 0).length, differences.filter((each) => each < 0).length);
}

/** Hits as 1, all other evaluated answers as 0. */
export function hitMeasure(judged: readonly Evaluation[]): Measure {
  return (index) => (judged.every(({ rows }) => index < rows.length) ? Number(jointHit(judged, index) === true) : undefined);
}

function recordsOf({ records }: EvaluatedResults, label: string): number[] {
  return records.flatMap(({ setting }, index) => (setting === label ? [index] : []));
}

function propertyResult(hits: ReadonlyArray<boolean | null>): PropertyResult | null {
  if (hits.length === 0) return null;
  const count = (wanted: boolean | null): number => hits.filter((hit) => hit === wanted).length;
  return { n: hits.length, share: share(count(true), hits.length), undetermined: count(null) };
}
