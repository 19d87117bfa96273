import { francAll } from "franc-min";

/** Languages of our datasets, by ISO 639-3 code. */
export const DATASET_LANGUAGES = { ENG: "eng", ITA: "ita", FRA: "fra", SPA: "spa", ZHO: "cmn" } as const;

/** Language that a dataset's answers are in, by its name as published (`ITA`, `ITunsafe`, `ENi2f_test`); undefined for other names. */
export function languageOfDataset(name: string): string | undefined {
  const [, prefix] = /^(ENG?|ITA?|FRA?|SPA?|ZHO?)(?=[a-z_]|$)/.exec(name) ?? [];
  return Object.entries(DATASET_LANGUAGES).find(([key]) => prefix && key.startsWith(prefix))?.[1];
}

export interface LanguageGuess {
  /** ISO 639-3 code, or "und" for a text too short or too mixed to say. */
  language: string;
  /** Score of the guess relative to the best candidate, 0 to 1. */
  score: number;
}

/** Texts shorter than this many characters are not judged; a Chinese one says as much in a third of them. */
const MIN_LENGTH = { han: 4, other: 10 };

/** The language of a text, among `candidates` (ISO 639-3). */
export function detectLanguage(text: string, candidates: readonly string[] = Object.values(DATASET_LANGUAGES)): LanguageGuess {
  const [best] = francAll(text, { only: [...candidates], minLength: /\p{Script=Han}/u.test(text) ? MIN_LENGTH.han : MIN_LENGTH.other });
  return best ? { language: best[0], score: best[1] } : { language: "und", score: 0 };
}
