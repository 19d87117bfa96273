import { SteeringError } from "../errors.js";
import { packageVersion } from "../formats/index.js";
import type { Evaluator } from "./evaluator.js";
import { wordsOf } from "./fluency-evaluator.js";
import { DATASET_LANGUAGES, languageName, parseLanguage } from "./language-code.js";
import { loadLanguageDetector, loadWordDetector, WORD_DETECTOR } from "./language.js";
import { foreignTo } from "./scripts.js";

/** Options of `codeSwitchingEvaluator`. */
export interface CodeSwitchingOptions {
  /** The language that the words should be in, in any form that `parseLanguage` accepts. */
  wanted: string;
  /** The languages that words may be in; default: those of our datasets, and the wanted one. */
  candidates?: readonly string[] | undefined;
}

/** Probability that the next word is in another language. */
const SWITCH = 0.005;
const LETTER = /\p{L}/u;
/** The language of words in a script that no candidate is written in. */
const FOREIGN = "und";

/**
 * Evaluator of code-switching, named `switching` (docs/method.md §11). Columns: the share of the text's words that are not in the wanted
 * language; `words`; `switches` (changes of language between neighbouring words). The language of a word is read off its neighbours, too,
 * so a single word of another language may be missed, unless its script is not that of a candidate. Null for a text without words.
 *
 * @throws SteeringError E_BAD_ARGUMENT (not a language, or one that the detector of words does not know)
 */
export async function codeSwitchingEvaluator({ wanted, candidates }: CodeSwitchingOptions): Promise<Evaluator> {
  const language = parseLanguage(wanted);
  if (!await knowsWords(language)) {
    throw new SteeringError("E_BAD_ARGUMENT", `code-switching: ${WORD_DETECTOR}, which reads the words, does not know `
      + `${languageName(language)}; expected a language that it knows, for example Italian`);
  }
  const listed = (candidates ?? Object.values(DATASET_LANGUAGES)).map(parseLanguage);
  const among = [...new Set([...listed, language])];
  const detect = await loadWordDetector(among);
  const isForeign = foreignTo(among);
  return {
    name: "switching", wanted: null, batchSize: 100, config: { wanted: language, candidates: among, switch: SWITCH, foreign: "script" },
    versions: { llamaSteer: packageVersion() },
    evaluate: async (texts) => texts.map(({ text }) => {
      const words = wordsOf(text).filter((word) => LETTER.test(word));
      if (words.length === 0) return { "": null, words: 0, switches: null };
      const inSequence = likeliestSequence(words.filter((word) => !isForeign(word)).map(detect), among, SWITCH);
      const languages = words.map((word) => (isForeign(word) ? FOREIGN : inSequence.shift()!));
      return {
        "": languages.filter((each) => each !== language).length / words.length, words: words.length,
        switches: languages.slice(1).filter((each, index) => each !== languages[index]).length,
      };
    }),
    [Symbol.dispose]: () => {},
  };
}

/** Whether code-switching can be told for a language (ISO 639-3). */
export async function knowsWords(language: string): Promise<boolean> {
  return (await loadLanguageDetector(WORD_DETECTOR)).languages.includes(language);
}

/** The likeliest language of each word, if a word is in another language than the one before it with the probability `change` (Viterbi). */
export function likeliestSequence(
  probabilities: ReadonlyArray<Readonly<Record<string, number>>>, languages: readonly string[], change: number,
): string[] {
  const toOther = Math.log(change / Math.max(1, languages.length - 1));
  const toSame = Math.log(1 - change);
  const logOf = (word: Readonly<Record<string, number>>, language: string): number => Math.log(Math.max(word[language] ?? 0, 1e-6));
  let scores = languages.map(() => 0);
  const previous: number[][] = [];
  for (const word of probabilities) {
    const isFirst = previous.length === 0;
    const best = scores.indexOf(Math.max(...scores));
    const from = languages.map((_, index) => (isFirst || scores[index]! + toSame >= scores[best]! + toOther ? index : best));
    scores = languages.map((language, index) =>
      scores[from[index]!]! + (isFirst ? 0 : from[index] === index ? toSame : toOther) + logOf(word, language));
    previous.push(from);
  }
  const path: number[] = [];
  let at = scores.indexOf(Math.max(...scores));
  for (const from of [...previous].reverse()) {
    path.unshift(at);
    at = from[at]!;
  }
  return path.map((index) => languages[index]!);
}
