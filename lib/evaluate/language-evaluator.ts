import { SteeringError } from "../errors.js";
import { packageVersion } from "../formats/index.js";
import { DATASET_LANGUAGES, languageName, parseLanguage } from "./language-code.js";
import { DEFAULT_DETECTOR, LANGUAGE_DETECTORS, loadLanguageDetector, type LanguageDetectorName, type LanguageGuess } from "./language.js";
import type { EvaluationColumns, Evaluator } from "./evaluator.js";

/** Which detector decides, and which language is wanted. */
export interface LanguageEvaluatorOptions {
  /** The language that counts as a hit, as `parseLanguage` reads it; none by default. */
  wanted?: string | undefined;
  /** Whose label counts; the other's stands beside it. */
  detector?: LanguageDetectorName;
  /** Languages to choose among, or "all"; by default those of our datasets, and the wanted one. Another one is named only where the text is clearly in it. */
  candidates?: readonly string[] | "all" | undefined;
}

/**
 * Columns of the deciding detector: label, `p` (probability of the wanted language, else of the label), `why` where there
 * is no label, `hit`; of each detector its label and `p`; `agree`: whether they say the same.
 */
export async function languageEvaluator({ wanted, detector = DEFAULT_DETECTOR, candidates }: LanguageEvaluatorOptions = {}): Promise<Evaluator> {
  const language = wanted === undefined ? null : parseLanguage(wanted);
  const among = candidates === "all" ? undefined : [...new Set([...(candidates ?? Object.values(DATASET_LANGUAGES)).map(parseLanguage), ...(language ? [language] : [])])];
  const detectors = await Promise.all(LANGUAGE_DETECTORS.map(loadLanguageDetector));
  const unknown = language !== null && !detectors.find(({ name }) => name === detector)!.languages.includes(language);
  if (unknown) throw new SteeringError("E_BAD_ARGUMENT", `${detector} does not know ${languageName(language)}; the other detector may (${LANGUAGE_DETECTORS.filter((name) => name !== detector).join()})`);
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

/** What is in none of the candidates has its own label: a miss, and not an answer that cannot be judged. */
function labelled({ other, why, ...guess }: LanguageGuess): Omit<LanguageGuess, "other"> {
  return other === undefined ? { ...guess, ...(why && { why }) } : { ...guess, language: other };
}
