import { SteeringError } from "../errors.js";
import { DATASET_LANGUAGES, parseLanguage } from "./language-code.js";

/** Built-in detectors (docs/evaluation.md). */
export const LANGUAGE_DETECTORS = ["eld", "franc"] as const;
/** Name of a built-in detector. */
export type LanguageDetectorName = (typeof LANGUAGE_DETECTORS)[number];
/** The more accurate detector on answers of 30 tokens (docs/evaluation.md). */
export const DEFAULT_DETECTOR: LanguageDetectorName = "eld";

/** Why the language of a text is undetermined. */
export type Undetermined = "empty" | "short" | "code" | "mixed" | "unsure" | "other";

/** A detector's result for a text. */
export interface LanguageGuess {
  /** ISO 639-3 code of a candidate, or "und". */
  language: string;
  /**
   * Probabilities of the candidates, adding up to 1; with `why` "other", those among all languages, and that of `other`. All 0 if there
   * is no evidence for any candidate, or if `why` is anything but "unsure" or "other".
   */
  probabilities: Record<string, number>;
  /** Only with "und". "other" means that the text is in a language that is not a candidate. */
  why?: Undetermined;
  /** Only with `why` "other": the language of the text, among all that the detector knows. */
  other?: string;
}

/** Detects the language of a text. */
export interface LanguageDetector {
  readonly name: LanguageDetectorName;
  /** ISO 639-3 codes of all languages it knows. */
  readonly languages: readonly string[];
  /** Detect the language among `candidates` (ISO 639-3; default: all it knows), unless the text is clearly in another language. */
  detect(text: string, candidates?: readonly string[]): LanguageGuess;
}

/** Scores the candidates on the detector's own scale; higher is likelier. */
type Score = (text: string, candidates: readonly string[] | undefined) => Array<[language: string, score: number]>;

interface Scorer {
  score: Score;
  languages: readonly string[];
}

/**
 * Divisors of the scores that make their softmax a probability. On the published answers, cut to 30 tokens, the log loss is least at
 * 0.045 and 0.049.
 */
const TEMPERATURES: Record<LanguageDetectorName, number> = { eld: 0.05, franc: 0.05 };
/** The same for the scores of single words. */
const WORD_TEMPERATURE = 0.06;
/** A text with fewer letters is too short to judge. Chinese needs about a third as many. */
const LEAST_LETTERS = { han: 4, other: 10 };
/** Marks of code and formulas, and their largest share of the visible characters. */
const CODE_MARKS = /[{}<>=+*/\\^_|&~`$;#@()[\]]/g;
const MOST_CODE_MARKS = 0.12;
/** Each half of a mixed text needs at least this probability and this many letters. */
const HALF = { probability: 0.9, letters: 20 };
const LEAST_PROBABILITY = 0.5;
/**
 * Probabilities, among all languages, from which a language that is not a candidate makes the result unsure, and from which it is named.
 * On gold answers of 10 tokens, eld then names none wrongly; franc, which is weaker on short texts, 1 % more.
 */
const OTHER: Record<LanguageDetectorName, { unsure: number; named: number }> = {
  eld: { unsure: 0.4, named: 0.5 },
  franc: { unsure: 0.8, named: 0.8 },
};
/** Characters that franc reads. */
const FRANC_READS = 2048;
const CHINESE = "cmn";

/** Load a detector. The first call reads its n-gram tables from disk. Throws E_BAD_ARGUMENT. */
export async function loadLanguageDetector(name: LanguageDetectorName = DEFAULT_DETECTOR): Promise<LanguageDetector> {
  if (!LANGUAGE_DETECTORS.includes(name)) {
    const known = LANGUAGE_DETECTORS.join(" or ");
    throw new SteeringError("E_BAD_ARGUMENT", `"${String(name)}" is not a language detector; expected ${known}`);
  }
  const { score, languages } = await (name === "franc" ? francScorer() : eldScorer());
  const probabilitiesOf: Probabilities = (text, candidates) => softmax(score(text, candidates), TEMPERATURES[name]);
  return { name, languages, detect: (text, candidates) => guess(text, candidates, OTHER[name], probabilitiesOf) };
}

/** The detector of `loadWordDetector`. */
export const WORD_DETECTOR: LanguageDetectorName = "eld";

/**
 * Load a function that gives the probability of each candidate for a single word, from eld's n-grams. One word says little, so use it for
 * words in their context.
 */
export async function loadWordDetector(candidates: readonly string[]): Promise<(word: string) => Record<string, number>> {
  const { score } = await eldScorer();
  return (word) => {
    const scores = score(word, candidates);
    return softmax(scores.length > 0 ? scores : candidates.map((each): [string, number] => [each, 0]), WORD_TEMPERATURE);
  };
}

/** Detect the language of a text among `candidates` (default: those of our datasets); "und" with `why` "other" if it is in none of them. */
export async function detectLanguage(
  text: string,
  candidates: readonly string[] = Object.values(DATASET_LANGUAGES),
): Promise<LanguageGuess> {
  return (await loadLanguageDetector()).detect(text, candidates);
}

type Probabilities = (text: string, candidates: readonly string[] | undefined) => Record<string, number>;

function guess(
  text: string,
  candidates: readonly string[] | undefined,
  from: (typeof OTHER)[LanguageDetectorName],
  probabilitiesOf: Probabilities,
): LanguageGuess {
  const zeros = (): Record<string, number> => Object.fromEntries((candidates ?? []).map((candidate) => [candidate, 0]));
  const nothing = (why: Undetermined, probabilities = zeros()): LanguageGuess => ({ language: "und", probabilities, why });
  const why = unfit(text);
  if (why) return nothing(why);
  const probabilities = probabilitiesOf(text, candidates);
  const [language, probability] = likeliest(probabilities);
  if (candidates) {
    const open = probabilitiesOf(text, undefined);
    const known = Object.fromEntries(candidates.map((candidate) => [candidate, open[candidate] ?? 0]));
    const [other, sure] = likeliest(Object.fromEntries(Object.entries(open).filter(([each]) => !(each in known))));
    if (sure >= from.unsure && sure > likeliest(known)[1]) {
      return sure >= from.named ? { ...nothing("other", { ...known, [other]: sure }), other } : nothing("unsure", probabilities);
    }
  }
  if (probability < LEAST_PROBABILITY) return nothing("unsure", probability > 0 ? probabilities : undefined);
  const halves = inHalves(text)
    .filter((half) => lettersOf(half).length >= HALF.letters)
    .map((half) => likeliest(probabilitiesOf(half, candidates)));
  const isMixed = halves.length === 2 && halves[0]![0] !== halves[1]![0] && halves.every(([, sure]) => sure >= HALF.probability);
  if (isMixed) return nothing("mixed");
  return { language, probabilities };
}

/** Why not to show a text to a detector, which would guess anyway. */
function unfit(text: string): Undetermined | undefined {
  const visible = text.replace(/\s+/g, "");
  if (visible === "") return "empty";
  if (lettersOf(text).length < (/\p{Script=Han}/u.test(text) ? LEAST_LETTERS.han : LEAST_LETTERS.other)) return "short";
  return (visible.match(CODE_MARKS)?.length ?? 0) / visible.length > MOST_CODE_MARKS ? "code" : undefined;
}

function lettersOf(text: string): string[] {
  return text.match(/[\p{L}\p{M}]/gu) ?? [];
}

/** The text's halves, cut between words. */
function inHalves(text: string): string[] {
  const middle = text.length >> 1;
  const space = text.slice(middle).search(/[\s\p{Script=Han}]/u);
  return space < 0 ? [text] : [text.slice(0, middle + space), text.slice(middle + space)];
}

function likeliest(probabilities: Record<string, number>): [language: string, probability: number] {
  return Object.entries(probabilities).reduce((best, each) => (each[1] > best[1] ? each : best), ["und", 0]);
}

function softmax(scores: Array<[string, number]>, temperature: number): Record<string, number> {
  const largest = Math.max(...scores.map(([, score]) => score));
  const weights = scores.map(([language, score]) => [language, Math.exp((score - largest) / temperature)] as const);
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
  return Object.fromEntries(weights.map(([language, weight]) => [language, weight / total]));
}

/**
 * franc divides distances by the length of the text, which repetition increases, unlike the distances; we divide by the number of
 * distinct trigrams instead. franc knows the languages it has trigrams for and those with a script of their own.
 */
async function francScorer(): Promise<Scorer> {
  const [{ francAll }, { data }, { expressions }] = await Promise.all(
    [import("franc-min"), import("franc-min/data.js"), import("franc-min/expressions.js")],
  );
  const score: Score = (text, candidates) => {
    const read = text.slice(0, FRANC_READS);
    const perTrigram = read.length / Math.max(1, new Set(Array.from(read.slice(2), (_, index) => read.slice(index, index + 3))).size);
    const found = francAll(read, { minLength: 1, ...(candidates && { only: [...candidates] }) })
      .filter(([language]) => language !== "und");
    return withAll(found.map(([language, distance]): [string, number] => [language, 1 - (1 - distance) * perTrigram]), candidates);
  };
  const withTrigrams = Object.values(data).flatMap((ofScript) => Object.keys(ofScript));
  return { score, languages: [...withTrigrams, ...Object.keys(expressions).filter((name) => /^[a-z]{3}$/.test(name))] };
}

/** eld reads the first 1,000 characters. Its tables lack many Chinese words, but a text in Chinese characters without kana is Chinese. */
async function eldScorer(): Promise<Scorer> {
  const { eld } = await import("eld/medium");
  const score: Score = (text, candidates) => {
    if (isInHan(text) && (candidates?.includes(CHINESE) ?? true)) return withAll([[CHINESE, 1]], candidates);
    const scores = Object.entries(eld.detect(text).getScores()).map(([code, score]): [string, number] => [parseLanguage(code), score]);
    return withAll(candidates ? scores.filter(([language]) => candidates.includes(language)) : scores, candidates);
  };
  return { score, languages: Object.values(eld.info().Languages).map(parseLanguage) };
}

function isInHan(text: string): boolean {
  const han = text.match(/\p{Script=Han}/gu)?.length ?? 0;
  return han > lettersOf(text).length / 2 && !/[\p{Script=Hiragana}\p{Script=Katakana}]/u.test(text);
}

/** Candidates without a score get the lowest: 0. */
function withAll(found: Array<[string, number]>, candidates: readonly string[] = []): Array<[string, number]> {
  if (found.length === 0) return [];
  const missing = candidates.filter((candidate) => !found.some(([language]) => language === candidate));
  return [...found, ...missing.map((candidate): [string, number] => [candidate, 0])];
}
