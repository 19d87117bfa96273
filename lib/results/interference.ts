import { columnOf, type Evaluation } from "./evaluations.js";
import type { RunSetting } from "./run-file.js";
import {
  hitMeasure, pairedDifferences, withoutComparisons, type EvaluatedResults, type Measure, type PairedDifference,
} from "./summary.js";

/** What the settings of a composition do to one judge, against the unsteered question on the same prompts. */
export interface Interference {
  /** Name of the evaluator, or "words" for the number of words. */
  judge: string;
  /** Shares of hits, or numbers of words: one entry per setting that steers with one vector alone, and for the prompted baseline. */
  effects: PairedDifference[];
}

/**
 * The interference matrix of a composition (docs/method.md §10): how each vector alone, and the prompted baseline, change the share of hits
 * of every judge that does not compare, and the number of words if fluency was evaluated. Holm's correction is for the rows of the matrix.
 * Empty for runs without vectors alone.
 */
export function interference(results: EvaluatedResults): Interference[] {
  const { run, evaluations } = results;
  const { settings, vectors } = run;
  const base = settings.find(({ prompt, steer }) => prompt === "no-icl" && steer.length === 0)?.label;
  const isAlone = ({ steer }: RunSetting): boolean => steer.length === 1 && vectors.length > 1;
  if (base === undefined || !settings.some(isAlone)) return [];
  const compared = settings.filter((setting) => isAlone(setting) || setting.label === base || setting.prompt === "prompted");
  const some = { ...results, run: { ...run, settings: compared } };
  const words = evaluations.find(({ header }) => header.evaluator === "fluency");
  const judges: Array<[judge: string, measure: Measure]> = [
    ...withoutComparisons(evaluations).map((each): [string, Measure] => [each.header.evaluator, hitMeasure([each])]),
    ...(words ? [["words", wordsMeasure(words)] satisfies [string, Measure]] : []),
  ];
  return judges.map(([judge, measure]) => ({ judge, effects: pairedDifferences(some, base, measure) }));
}

function wordsMeasure({ rows }: Evaluation): Measure {
  return (index) => {
    const words = rows[index]?.[columnOf("fluency", "words")];
    return typeof words === "number" ? words : undefined;
  };
}
