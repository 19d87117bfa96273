import { SteeringError } from "../errors.js";

/** Languages of our datasets, by ISO 639-3 code. */
export const DATASET_LANGUAGES = { ENG: "eng", ITA: "ita", FRA: "fra", SPA: "spa", ZHO: "cmn" } as const;

/** ISO 639-3 codes by the shortest code of the same language, of all that the detectors know. */
const ISO_639_3: Readonly<Record<string, string>> = Object.fromEntries([
  "amh", "arb", "azj", "bel", "bul", "ben", "bho", "bos", "cat", "ceb", "ces", "dan", "deu", "ell", "eng", "spa", "est", "eus", "pes", "fin", "fra", "fuv", "guj",
  "hau", "heb", "hin", "hms", "hnj", "hrv", "hun", "hye", "ibo", "ilo", "ind", "isl", "ita", "jav", "jpn", "kat", "kaz", "kin", "kan", "koi", "kor", "kur", "lao", "lin", "lit", "lav", "mad", "mag",
  "mai", "mal", "mar", "msa", "mya", "npi", "nld", "nor", "nya", "ori", "pan", "pbu", "plt", "pol", "por", "qug", "ron", "run", "rus", "sin", "skr", "slk", "slv", "sna",
  "som", "sqi", "srp", "sun", "swe", "swh", "tam", "tel", "tgl", "tha", "tuk", "tur", "uig", "ukr", "urd", "uzn", "vie", "yor", "zyb", "zlm", "cmn", "zul", "ckb",
].map((code) => [shortest(code), code]));

/** Written forms of a language that detectors know as one. */
const SAME: Readonly<Record<string, string>> = { nb: "nor", nn: "nor" };

/** The code that CLDR prefers, without script and region: "it" for "ita" and "it-CH", "zh" for "cmn", "zho" and "zh-cn". */
function shortest(code: string): string {
  return Intl.getCanonicalLocales(code)[0]!.split("-")[0]!;
}

/**
 * The ISO 639-3 code of a language that is named in any of the usual ways: `it`, `ita`, `zh-cn`, `zho`, `cmn`.
 *
 * @throws SteeringError E_BAD_ARGUMENT for what is no code of a language
 */
export function parseLanguage(code: string): string {
  try {
    const short = shortest(code.trim().replaceAll("_", "-"));
    const known = SAME[short] ?? ISO_639_3[short];
    if (known) return known;
    if (new Intl.DisplayNames("en", { type: "language", fallback: "none" }).of(short) !== undefined) return short;
  } catch {
    // no code at all
  }
  throw new SteeringError("E_BAD_ARGUMENT", `"${code}" is no language; a code of ISO 639 was expected, e.g. it, fr, es, zh-cn, en, or ita, cmn`);
}

/** What the language is called, e.g. "Italian"; what is no code of a language is returned as it is, as evaluators of others may want anything. */
export function languageName(code: string): string {
  try {
    return new Intl.DisplayNames("en", { type: "language" }).of(code) ?? code;
  } catch {
    return code; // RangeError: not the form of a code
  }
}

/** Language that a dataset's answers are in, by its name as published (`ITA`, `ITunsafe`, `ENi2f_test`); undefined for other names. */
export function languageOfDataset(name: string): string | undefined {
  const [, prefix] = /^(ENG?|ITA?|FRA?|SPA?|ZHO?)(?=[a-z_]|$)/.exec(name) ?? [];
  return Object.entries(DATASET_LANGUAGES).find(([key]) => prefix && key.startsWith(prefix))?.[1];
}
