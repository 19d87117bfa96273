import { SteeringError } from "../errors.js";
import { DATASET_LANGUAGES, parseLanguage } from "./language-code.js";

/** Built-in detectors (docs/evaluation.md). */
export const LANGUAGE_DETECTORS = ["eld", "franc"] as const;
/** Name of a built-in detector. */
export type LanguageDetectorName = (typeof LANGUAGE_DETECTORS)[number];
/** The more accurate one on answers of 30 tokens (docs/evaluation.md). */
export const DEFAULT_DETECTOR: LanguageDetectorName = "eld";

/** Why a text has no language. */
export type Undetermined = "empty" | "short" | "code" | "mixed" | "unsure" | "other";

/** What a detector says of a text. */
export interface LanguageGuess {
  /** ISO 639-3 code of a candidate, or "und". */
  language: string;
  /** Of the candidates, and of `other`, adding up to 1 but for `other`; 0 throughout where nothing speaks for any, or `why` is another than "unsure" and "other". */
  probabilities: Record<string, number>;
  /** Only with "und". "other": the text is in a language that is none of the candidates. */
  why?: Undetermined;
  /** Only with `why` "other": which language that is, of all that the detector knows. */
  other?: string;
}

/** Tells the language of a text. */
export interface LanguageDetector {
  readonly name: LanguageDetectorName;
  /** All that it knows, ISO 639-3. */
  readonly languages: readonly string[];
  /** The language of a text among `candidates`, ISO 639-3, unless it is clearly in none of them; all that it knows by default. */
  detect(text: string, candidates?: readonly string[]): LanguageGuess;
}

/** Scores per candidate, the higher the likelier, on the detector's own scale. */
type Score = (text: string, candidates: readonly string[] | undefined) => Array<[language: string, score: number]>;

interface Scorer {
  score: Score;
  languages: readonly string[];
}

/** Divides a detector's scores so that their softmax is a probability: on the published answers, cut to 30 tokens, the log loss is least at 0.045 and 0.049. */
const TEMPERATURES: Record<LanguageDetectorName, number> = { eld: 0.05, franc: 0.05 };
/** Fewer letters than this say nothing; a Chinese text says as much in a third of them. */
const LEAST_LETTERS = { han: 4, other: 10 };
/** Marks of code and formulas, and how many of the characters that are not white space they may be. */
const CODE_MARKS = /[{}<>=+*/\\^_|&~`$;#@()[\]]/g;
const MOST_CODE_MARKS = 0.12;
/** Each half of a mixed text must be this sure, and this long in letters. */
const HALF = { probability: 0.9, letters: 20 };
const LEAST_PROBABILITY = 0.5;
/**
 * From which of the probabilities among all languages another language than the candidates makes them unsure, and from which
 * it is named: on gold answers of 10 tokens, eld then names none wrongly, and franc, which knows less of short texts, 1 % more.
 */
const OTHER: Record<LanguageDetectorName, { unsure: number; named: number }> = { eld: { unsure: 0.4, named: 0.5 }, franc: { unsure: 0.8, named: 0.8 } };
/** Characters that franc looks at. */
const FRANC_READS = 2048;
const CHINESE = "cmn";

/** Load a detector: its tables of n-grams are read from the disk when it is first asked for. */
export async function loadLanguageDetector(name: LanguageDetectorName = DEFAULT_DETECTOR): Promise<LanguageDetector> {
  if (!LANGUAGE_DETECTORS.includes(name)) throw new SteeringError("E_BAD_ARGUMENT", `"${String(name)}" is no language detector; there are ${LANGUAGE_DETECTORS.join(" and ")}`);
  const { score, languages } = await (name === "franc" ? francScorer() : eldScorer());
  return { name, languages, detect: (text, candidates) => guess(text, candidates, OTHER[name], (part, among) => softmax(score(part, among), TEMPERATURES[name])) };
}

/** The language of a text, among those of our datasets unless others are given; "und" with `why` "other" for a text in none of them. */
export async function detectLanguage(text: string, candidates: readonly string[] = Object.values(DATASET_LANGUAGES)): Promise<LanguageGuess> {
  return (await loadLanguageDetector()).detect(text, candidates);
}

function guess(text: string, candidates: readonly string[] | undefined, from: (typeof OTHER)[LanguageDetectorName], probabilitiesOf: (text: string, candidates: readonly string[] | undefined) => Record<string, number>): LanguageGuess {
  const nothing = (why: Undetermined, probabilities = Object.fromEntries((candidates ?? []).map((candidate) => [candidate, 0]))): LanguageGuess => ({ language: "und", probabilities, why });
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
  const halves = inHalves(text).filter((half) => lettersOf(half).length >= HALF.letters).map((half) => likeliest(probabilitiesOf(half, candidates)));
  if (halves.length === 2 && halves[0]![0] !== halves[1]![0] && halves.every(([, sure]) => sure >= HALF.probability)) return nothing("mixed");
  return { language, probabilities };
}

/** Why a text need not be shown to a detector, which would guess all the same. */
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
 * franc divides distances by the length of the text, which repetition adds to and distances do not: by its trigrams instead.
 * It knows the languages of its trigrams, and those that have a script of their own.
 */
async function francScorer(): Promise<Scorer> {
  const [{ francAll }, { data }, { expressions }] = await Promise.all([import("franc-min"), import("franc-min/data.js"), import("franc-min/expressions.js")]);
  const score: Score = (text, candidates) => {
    const read = text.slice(0, FRANC_READS);
    const perTrigram = read.length / Math.max(1, new Set(Array.from(read.slice(2), (_, index) => read.slice(index, index + 3))).size);
    const found = francAll(read, { minLength: 1, ...(candidates && { only: [...candidates] }) }).filter(([language]) => language !== "und");
    return withAll(found.map(([language, distance]): [string, number] => [language, 1 - (1 - distance) * perTrigram]), candidates);
  };
  return { score, languages: [...Object.values(data).flatMap((ofScript) => Object.keys(ofScript)), ...Object.keys(expressions).filter((name) => /^[a-z]{3}$/.test(name))] };
}

/** eld reads the first 1,000 characters. Its tables lack many Chinese words; but what is in Chinese characters and has no kana is Chinese. */
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

/** Candidates without a score are as good as the worst: 0. */
function withAll(found: Array<[string, number]>, candidates: readonly string[] = []): Array<[string, number]> {
  if (found.length === 0) return [];
  return [...found, ...candidates.filter((candidate) => !found.some(([language]) => language === candidate)).map((candidate): [string, number] => [candidate, 0])];
}
