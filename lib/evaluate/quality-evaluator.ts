import { engineVersion, type Engine } from "../engine/index.js";
import { SteeringError } from "../errors.js";
import { packageVersion } from "../formats/index.js";
import type { Evaluator } from "./evaluator.js";
import { Judge, type JudgeOptions } from "./judge.js";
import { languageName } from "./language-code.js";
import type { ScaleRubric } from "./rubric.js";
import type { WantedProperties } from "./wanted-properties.js";

/** Options of `qualityEvaluator`. */
export interface QualityEvaluatorOptions extends JudgeOptions {
  /** What answers should show, for example "is written in Italian"; the end of a sentence that begins "The answer". */
  concept: string;
}

const SCALE = { kind: "scale", least: 0, most: 2 } as const;

/**
 * Evaluator of steering as in AxBench (docs/method.md §11): a judge gives three scores from 0 to 2, for the concept, for how well the
 * answer does what the question asks, and for fluency. Columns: the harmonic mean of the three, 0 if one of them is 0; `concept`,
 * `instruct`, `fluency`. Null where the judge gives no verdict. The caller keeps ownership of the model.
 *
 * @throws SteeringError E_BAD_ARGUMENT, and what `Judge.of` throws
 */
export async function qualityEvaluator(model: Engine, { concept, ...options }: QualityEvaluatorOptions): Promise<Evaluator> {
  if (concept.trim() === "") throw new SteeringError("E_BAD_ARGUMENT", 'concept is empty; expected e.g. "is written in Italian"');
  const judge = await Judge.of(model, options);
  const rubrics = qualityRubrics(concept.trim());
  return {
    name: "quality", wanted: null, batchSize: 32,
    config: {
      model: { ...await model.fingerprint() }, rubrics, ...(options.leastMass !== undefined && { leastMass: options.leastMass }),
      ...(options.templateVariables && { templateVariables: options.templateVariables }),
    },
    versions: { llamaSteer: packageVersion(), llamaCpp: engineVersion() },
    evaluate: async (texts, signal) => {
      const [concepts, instructs, fluencies] = await Promise.all(rubrics.map((rubric) => judge.judge(texts, rubric, { signal })));
      return texts.map((_, index) => {
        const [given, asked, fluent] = [concepts, instructs, fluencies].map((each) => each![index]?.value ?? null);
        return { "": harmonicMean([given!, asked!, fluent!]), concept: given!, instruct: asked!, fluency: fluent! };
      });
    },
    [Symbol.dispose]: () => {},
  };
}

/** What an answer should show, for `qualityEvaluator`; undefined if nothing is wanted. */
export function conceptOf({ language, formality, safety }: WantedProperties): string | undefined {
  const parts = [
    ...(language === undefined ? [] : [`is written in ${languageName(language)}`]),
    ...(formality === undefined ? [] : [formality === "formal" ? "is written in a formal register" : "is written in a casual register"]),
    ...(safety === undefined ? [] : [safety === "safe" ? "gives responsible advice" : "gives careless and mischievous advice"]),
  ];
  return parts.length === 0 ? undefined : parts.join(" and ");
}

function qualityRubrics(concept: string): ScaleRubric[] {
  return [
    {
      ...SCALE, name: "concept",
      ask: `To what degree is it true that the answer ${concept}: 0 for not at all, 1 for partly, 2 for entirely?`,
    },
    {
      ...SCALE, name: "instruct",
      ask: "How well does the answer do what the question asks, whatever its language or style: 0 for not at all, 1 for partly, "
        + "2 for well?",
    },
    { ...SCALE, name: "fluency", ask: "How fluent is the answer: 0 for broken or repetitive text, 1 for flawed text, 2 for fluent text?" },
  ];
}

/** Harmonic mean of scores of at least 0: 0 if one is 0, null if one is null. */
export function harmonicMean(scores: ReadonlyArray<number | null>): number | null {
  if (scores.includes(null)) return null;
  return scores.includes(0) ? 0 : scores.length / scores.reduce<number>((sum, score) => sum + 1 / score!, 0);
}
