import { requireOneOf } from "../checks.js";
import { engineVersion, type Engine } from "../engine/index.js";
import { SteeringError } from "../errors.js";
import { packageVersion } from "../formats/index.js";
import type { EvaluationColumns, Evaluator } from "./evaluator.js";
import { Judge, type JudgeOptions, type Verdict } from "./judge.js";
import { checkRubric, type Rubric, type YesNoRubric } from "./rubric.js";

/** Options of `judgeEvaluator`. */
export interface JudgeEvaluatorOptions extends JudgeOptions {
  /** The label of a yes-or-no rubric that counts as a success; none by default. */
  wanted?: string | undefined;
  /**
   * The probability of the first label, above 0 and below 1, from which an answer has it; default 0.5. Small models prefer one label
   * whatever they read: `goldAgreement` fits the threshold to labelled answers.
   */
  threshold?: number | undefined;
  /**
   * Compare each answer with that of this setting to the same prompt, for example "no-icl"; the rubric must have `compare`. In this
   * case an answer that has more of the wanted label than the other is a success.
   */
  against?: string | undefined;
}

/**
 * Evaluator that asks an instruct model about each answer, named `judge-<rubric>`; with `against`, `judge-<rubric>-against`. Columns of a
 * yes-or-no rubric: the label; `p` (probability of the first label); `mass` (see `Verdict`); `hit`. A scale has the mean score;
 * `mass`; `hit` if the rubric has `from`. An answer without a verdict is undetermined. The caller keeps ownership of the model, which
 * should not be the one that was steered.
 *
 * @throws SteeringError E_BAD_ARGUMENT (not a rubric, or a label that it does not have), and what `Judge.of` throws
 */
export async function judgeEvaluator(
  model: Engine, rubric: Rubric, { wanted, threshold = 0.5, against, ...options }: JudgeEvaluatorOptions = {},
): Promise<Evaluator> {
  const checked = checkRubric(rubric);
  if (checked.kind === "scale" && (wanted ?? against) !== undefined) {
    throw new SteeringError("E_BAD_ARGUMENT", `the rubric ${checked.name} is a scale; "wanted" and "against" are for yes-or-no rubrics`);
  }
  if (!(threshold > 0 && threshold < 1)) {
    throw new SteeringError("E_BAD_ARGUMENT", `threshold must be a number above 0 and below 1, not ${threshold}`);
  }
  if (checked.kind === "yes-no" && wanted !== undefined) requireOneOf("wanted", wanted, checked.labels);
  if (checked.kind === "yes-no" && against !== undefined && checked.compare === undefined) {
    throw new SteeringError("E_BAD_ARGUMENT", `the rubric ${checked.name} does not say how to compare; give it "compare"`);
  }
  const judge = await Judge.of(model, options);
  const { leastMass } = options;
  const base = {
    property: checked.property ?? checked.name, batchSize: 64,
    config: {
      model: { ...await model.fingerprint() }, rubric: { ...checked }, ...(leastMass !== undefined && { leastMass }),
      ...(threshold !== 0.5 && { threshold }),
      ...(options.templateVariables && { templateVariables: options.templateVariables }), ...(against !== undefined && { against }),
    },
    versions: { llamaSteer: packageVersion(), llamaCpp: engineVersion() },
    [Symbol.dispose]: () => {},
  };
  if (checked.kind === "scale") {
    const { from } = checked;
    return {
      ...base, name: `judge-${checked.name}`, wanted: from === undefined ? null : `at least ${from}`,
      evaluate: async (texts, signal) => (await judge.judge(texts, checked, { signal })).map((found) => ({
        "": found?.value ?? null, mass: found?.mass ?? null, ...(from !== undefined && { hit: found && found.value >= from }),
      })),
    };
  }
  const columns = (found: Verdict | null) => labelled(found, checked, { wanted, threshold: against === undefined ? threshold : 0.5 });
  if (against === undefined) {
    return {
      ...base, name: `judge-${checked.name}`, wanted: wanted ?? null,
      evaluate: async (texts, signal) => (await judge.judge(texts, checked, { signal })).map(columns),
    };
  }
  return {
    ...base, name: `judge-${checked.name}-against`, against,
    wanted: wanted === undefined ? null : `more ${wanted} than ${against}`,
    evaluate: async (texts, signal) => (await judge.compare(texts, checked, { signal })).map(columns),
  };
}

function labelled(
  found: Verdict | null, { labels: [yes, no] }: YesNoRubric, { wanted, threshold }: { wanted: string | undefined; threshold: number },
): EvaluationColumns {
  const label = found && (found.value >= threshold ? yes : no);
  return {
    "": label ?? "und", p: found?.value ?? null, mass: found?.mass ?? null, ...(wanted !== undefined && { hit: label && label === wanted }),
  };
}
