import { SteeringError } from "../errors.js";
import { packageVersion } from "../formats/index.js";
import { DATASET_LANGUAGES, languageName, parseLanguage } from "./language-code.js";
import { DEFAULT_DETECTOR, LANGUAGE_DETECTORS, loadLanguageDetector, type LanguageDetectorName, type LanguageGuess } from "./language.js";
import type { EvaluationColumns, Evaluator } from "./evaluator.js";

/** Options of `languageEvaluator`. */
export interface LanguageEvaluatorOptions {
  /** The language that counts as a success, in any form that `parseLanguage` accepts; none by default. */
  wanted?: string | undefined;
  /** The detector that decides. The other detector's label is recorded, too. */
  detector?: LanguageDetectorName;
  /**
   * Languages to choose among, or "all". Default: those of our datasets and the wanted one. Any other language is named only if the
   * text is clearly in it.
   */
  candidates?: readonly string[] | "all" | undefined;
}

/**
 * Evaluator of language. Columns of the deciding detector: the label; `p` (probability of the wanted language, otherwise of the label);
 * `why` if there is no label; `hit`. Columns of each detector: its label and `p`. `agree` tells whether the detectors agree.
 *
 * @throws SteeringError E_BAD_ARGUMENT (not a language, or one that the detector does not know)
 */
export async function languageEvaluator(
  { wanted, detector = DEFAULT_DETECTOR, candidates }: LanguageEvaluatorOptions = {},
): Promise<Evaluator> {
  const language = wanted === undefined ? null : parseLanguage(wanted);
  const listed = (candidates === "all" ? [] : candidates ?? Object.values(DATASET_LANGUAGES)).map(parseLanguage);
  const among = candidates === "all" ? undefined : [...new Set([...listed, ...(language ? [language] : [])])];
  const detectors = await Promise.all(LANGUAGE_DETECTORS.map(loadLanguageDetector));
  const unknown = language !== null && !detectors.find(({ name }) => name === detector)!.languages.includes(language);
  if (unknown) {
    const others = LANGUAGE_DETECTORS.filter((name) => name !== detector).join();
    throw new SteeringError("E_BAD_ARGUMENT", `${detector} does not know ${languageName(language)}; try the other detector (${others})`);
  }
  const columnsOf = (text: string): EvaluationColumns => {
    const guesses = detectors.map((each) => ({ name: each.name, ...labelled(each.detect(text, among)) }));
    const deciding = guesses.find(({ name }) => name === detector)!;
    const p = (guess: typeof deciding): number => guess.probabilities[language ?? guess.language] ?? 0;
    return {
      "": deciding.language, p: p(deciding), why: deciding.why ?? null,
      ...Object.fromEntries(guesses.flatMap((guess) => [[guess.name, guess.language], [`${guess.name}_p`, p(guess)]])),
      agree: guesses.every((guess) => guess.language === deciding.language),
      ...(language && { hit: deciding.language === "und" ? null : deciding.language === language }),
    };
  };
  return {
    name: "language", wanted: language, batchSize: 1000,
    config: { detector, candidates: among ?? "all" },
    versions: { llamaSteer: packageVersion() },
    evaluate: async (texts) => texts.map(({ text }) => columnsOf(text)),
    [Symbol.dispose]: () => {},
  };
}

/** A text in a language that is not a candidate gets that language as its label: it is a miss, not undetermined. */
function labelled({ other, why, ...guess }: LanguageGuess): Omit<LanguageGuess, "other"> {
  return other === undefined ? { ...guess, ...(why && { why }) } : { ...guess, language: other };
}
