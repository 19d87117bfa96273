import type { EvaluationValue } from "../results/index.js";

/** One answer to evaluate. */
export interface EvaluatedText {
  /** Empty if the text answers no question. */
  question: string;
  text: string;
  /** The answer of the setting `against` to the same prompt, for evaluators that compare with one. */
  reference?: string;
}

/**
 * An evaluator's results for one text, by column suffix: "" is the label (`eval_language`), "p" becomes `eval_language_p`. `hit` tells
 * whether the text has the wanted property; null if undetermined.
 */
export type EvaluationColumns = Record<string, EvaluationValue>;

/** Judges texts in batches. */
export interface Evaluator extends Disposable {
  /** Prefix of its columns, for example "language". */
  readonly name: string;
  /** What it judges, if that differs from its name: a probe may judge "formality". */
  readonly property?: string;
  /** The label that counts as a success; null if none does. */
  readonly wanted: string | null;
  /** Label of the setting whose answer to the same prompt is passed on as `reference`. */
  readonly against?: string;
  /** Everything its values depend on. */
  readonly config: Record<string, unknown>;
  readonly versions: Record<string, string>;
  /** Texts per call, and so the most results that an interruption loses. */
  readonly batchSize: number;
  /** Returns one entry per text. A text that cannot be judged is undetermined; only errors that concern all texts are thrown. */
  evaluate(texts: readonly EvaluatedText[], signal?: AbortSignal): Promise<EvaluationColumns[]>;
}
