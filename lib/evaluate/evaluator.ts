import type { EvaluationValue } from "../results/index.js";

/** One answer to be evaluated. */
export interface EvaluatedText {
  /** Empty where the text answers none. */
  question: string;
  text: string;
}

/**
 * What an evaluator says of a text, by the ends of its columns' names: "" is the label (`eval_language`), "p" goes to
 * `eval_language_p`. `hit`: whether the text has the wanted property; null where that is undetermined.
 */
export type EvaluationColumns = Record<string, EvaluationValue>;

/** Judges texts, many at a time. */
export interface Evaluator extends Disposable {
  /** Names its columns, e.g. "language". */
  readonly name: string;
  /** What it judges, where that is not its name: a probe may judge "formality". */
  readonly property?: string;
  /** What counts as a hit; null where nothing does. */
  readonly wanted: string | null;
  /** Everything that its values depend on. */
  readonly config: Record<string, unknown>;
  readonly versions: Record<string, string>;
  /** Texts of one call: what an interruption loses at most. */
  readonly batchSize: number;
  /** One entry per text. Throws only what stops all of them: a text that cannot be judged is undetermined. */
  evaluate(texts: readonly EvaluatedText[], signal?: AbortSignal): Promise<EvaluationColumns[]>;
}
