import { bootstrap, mean, type Estimate } from "../maths/index.js";
import { columnOf, type Evaluation } from "./evaluations.js";
import { hitMeasure, judgesOf, type EvaluatedResults, type Measure } from "./summary.js";

/** A number per answer by which settings are compared, beside hits and ΔPPL. */
export interface Outcome {
  /** For example "content kept". */
  name: string;
  measure: Measure;
  /** The setting with which it compares each answer, whose own values say nothing. */
  against?: string;
}

export const [KEPT, SCORE, KL, PERPLEXITY] = ["content kept", "score", "KL per token", "perplexity"] as const;

/** The outcomes that a run has: those of its evaluations and of its records (docs/method.md §10). */
export function outcomesOf(results: EvaluatedResults): Outcome[] {
  const { records, evaluations } = results;
  const kept = keptOf(evaluations);
  const perplexity = perplexityMeasure(results);
  const score = scoreMeasure(results);
  const against = kept?.header.config["against"];
  return [
    ...(kept ? [{ name: KEPT, measure: numberMeasure(kept), ...(typeof against === "string" && { against }) }] : []),
    ...(score ? [{ name: SCORE, measure: score }] : []),
    ...(records.some(({ klPerToken }) => klPerToken !== undefined)
      ? [{ name: KL, measure: (index: number) => records[index]!.klPerToken }] : []),
    ...(perplexity ? [{ name: PERPLEXITY, measure: perplexity }] : []),
  ];
}

/** The mean of an outcome over a setting's answers, with its bootstrap interval; undefined without values. */
export function outcomeMean({ records }: Pick<EvaluatedResults, "records">, { measure }: Outcome, setting: string): Estimate | undefined {
  const values = records.flatMap((record, index) => (record.setting === setting ? measure(index) ?? [] : []));
  return values.length === 0 ? undefined : bootstrap(values, mean);
}

/** What the score of an answer is made of, each from 0 to 1. */
export interface ScoreParts {
  effect: number;
  kept: number;
  fluency: number;
}

/** Harmonic mean: 0 if one part is 0. As in AxBench, an answer must have all three. */
export function scoreOf({ effect, kept, fluency }: ScoreParts): number {
  return effect === 0 || kept === 0 || fluency === 0 ? 0 : 3 / (1 / effect + 1 / kept + 1 / fluency);
}

/** How fluent an answer is beside the unsteered one: 1 if its perplexity is no larger, otherwise the ratio; 0 for an empty answer. */
export function fluencyOf(perplexity: number | undefined, unsteered: number): number {
  return perplexity === undefined ? 0 : Math.min(1, unsteered / perplexity);
}

/** The score of each answer; undefined if a judge, the content kept or the perplexity is missing. */
function scoreMeasure(results: EvaluatedResults): Measure | undefined {
  const { run, records, evaluations } = results;
  const judges = judgesOf(results);
  const kept = keptOf(evaluations);
  const perplexity = perplexityMeasure(results);
  const base = unsteeredLabel(run.settings);
  if (judges.length === 0 || !kept || !perplexity || base === undefined) return undefined;
  const [hit, content] = [hitMeasure(judges), numberMeasure(kept)];
  const unsteered = new Map(records.flatMap(({ prompt, setting }, index) => (setting === base ? [[prompt, perplexity(index)]] : [])));
  return (index) => {
    const [effect, own, usual] = [hit(index), content(index), unsteered.get(records[index]!.prompt)];
    if (effect === undefined || own === undefined || usual === undefined) return undefined;
    return scoreOf({ effect, kept: own, fluency: fluencyOf(perplexity(index), usual) });
  };
}

/** The label of the unsteered question. */
export function unsteeredLabel(settings: EvaluatedResults["run"]["settings"]): string | undefined {
  return settings.find(({ prompt, steer }) => prompt === "no-icl" && steer.length === 0)?.label;
}

/** The answers' own perplexity, unsteered: from the records in a comparison of methods, otherwise from the evaluator. */
function perplexityMeasure({ run, records, evaluations }: EvaluatedResults): Measure | undefined {
  if (run.config["cost"] === "perplexity") return (index) => records[index]!.perplexity ?? undefined;
  const found = evaluations.find(({ header }) => header.evaluator === "perplexity");
  return found && numberMeasure(found);
}

function keptOf(evaluations: readonly Evaluation[]): Evaluation | undefined {
  return evaluations.find(({ header }) => header.evaluator === "kept");
}

function numberMeasure({ header, rows }: Evaluation): Measure {
  return (index) => {
    const value = rows[index]?.[columnOf(header.evaluator)];
    return typeof value === "number" ? value : undefined;
  };
}
