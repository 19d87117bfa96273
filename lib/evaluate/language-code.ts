import { SteeringError } from "../errors.js";

/** Languages of our datasets, by ISO 639-3 code. */
export const DATASET_LANGUAGES = { ENG: "eng", ITA: "ita", FRA: "fra", SPA: "spa", ZHO: "cmn" } as const;

/** ISO 639-3 codes of all languages that the detectors know, keyed by the shortest code of the same language. */
const ISO_639_3: Readonly<Record<string, string>> = Object.fromEntries([
  "amh", "arb", "azj", "bel", "bul", "ben", "bho", "bos", "cat", "ceb", "ces", "dan", "deu", "ell", "eng", "spa", "est", "eus",
  "pes", "fin", "fra", "fuv", "guj", "hau", "heb", "hin", "hms", "hnj", "hrv", "hun", "hye", "ibo", "ilo", "ind", "isl", "ita",
  "jav", "jpn", "kat", "kaz", "kin", "kan", "koi", "kor", "kur", "lao", "lin", "lit", "lav", "mad", "mag",
  "mai", "mal", "mar", "msa", "mya", "npi", "nld", "nor", "nya", "ori", "pan", "pbu", "plt", "pol", "por", "qug", "ron", "run",
  "rus", "sin", "skr", "slk", "slv", "sna", "som", "sqi", "srp", "sun", "swe", "swh", "tam", "tel",
  "tgl", "tha", "tuk", "tur", "uig", "ukr", "urd", "uzn", "vie", "yor", "zyb", "zlm", "cmn", "zul", "ckb",
].map((code) => [shortest(code), code]));

/** Variants of a language that the detectors do not distinguish. */
const SAME: Readonly<Record<string, string>> = { nb: "nor", nn: "nor" };

/** CLDR's preferred code without script and region: "it" for "ita" and "it-CH", "zh" for "cmn", "zho" and "zh-cn". */
function shortest(code: string): string {
  return Intl.getCanonicalLocales(code)[0]!.split("-")[0]!;
}

/**
 * Find the ISO 639-3 code of a language given by any of its usual codes: `it`, `ita`, `zh-cn`, `zho`, `cmn`.
 *
 * @throws SteeringError E_BAD_ARGUMENT if `code` is not the code of a language
 */
export function parseLanguage(code: string): string {
  try {
    const short = shortest(code.trim().replaceAll("_", "-"));
    const known = SAME[short] ?? ISO_639_3[short];
    if (known) return known;
    if (new Intl.DisplayNames("en", { type: "language", fallback: "none" }).of(short) !== undefined) return short;
  } catch {
    // RangeError: not in the form of a code
  }
  throw new SteeringError("E_BAD_ARGUMENT",
    `"${code}" is not a language; expected an ISO 639 code, for example it, fr, es, zh-cn, en, ita or cmn`);
}

/** English name of a language, for example "Italian". Returns anything that is not a language code unchanged. */
export function languageName(code: string): string {
  try {
    return new Intl.DisplayNames("en", { type: "language" }).of(code) ?? code;
  } catch {
    return code; // RangeError: not in the form of a code
  }
}

/** Language of a dataset's answers, from its published name (`ITA`, `ITunsafe`, `ENi2f_test`); undefined for other names. */
export function languageOfDataset(name: string): string | undefined {
  const [, prefix] = /^(ENG?|ITA?|FRA?|SPA?|ZHO?)(?=[a-z_]|$)/.exec(name) ?? [];
  return Object.entries(DATASET_LANGUAGES).find(([key]) => prefix && key.startsWith(prefix))?.[1];
}
