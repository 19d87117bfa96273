import { judgeEach } from "./judge-each.js";
import type { EvaluatedText, Evaluator } from "./evaluator.js";
import { DATASET_LANGUAGES } from "./language-code.js";
import { loadLanguageDetector } from "./language.js";
import type { TextTranslator } from "./translation.js";

/** Not translated: English, and texts whose language is undetermined. */
const LEFT = ["eng", "und"];
const UNTRANSLATABLE = "";

/**
 * Wrap an evaluator so that it sees English: texts in any other of `languages` are translated first. Adds the column `translation`, null
 * for texts that were not translated. A text that is too long to translate is passed on as an empty text, and so is undetermined. The
 * caller keeps ownership of the translator.
 *
 * @param languages ISO 639-3 codes to choose among; default: those of our datasets
 */
export async function translatedEvaluator(
  inner: Evaluator,
  translator: TextTranslator,
  languages: readonly string[] | undefined = Object.values(DATASET_LANGUAGES),
): Promise<Evaluator> {
  const detector = await loadLanguageDetector();
  return {
    ...inner,
    config: { ...inner.config, translator: translator.name },
    evaluate: async (texts, signal) => {
      const translations = await translated(texts, (text) => detector.detect(text, languages).language, translator, signal);
      const found = await inner.evaluate(texts.map((each, index) => ({ ...each, text: translations[index] ?? each.text })), signal);
      return found.map((columns, index) => ({ ...columns, translation: translations[index]! }));
    },
  };
}

/** Translate the texts language by language, because some translators need to know the source language. */
async function translated(
  texts: readonly EvaluatedText[],
  languageOf: (text: string) => string,
  translator: TextTranslator,
  signal: AbortSignal | undefined,
): Promise<Array<string | null>> {
  const languages = texts.map(({ text }) => languageOf(text));
  const result: Array<string | null> = texts.map(() => null);
  for (const language of new Set(languages.filter((each) => !LEFT.includes(each)))) {
    const own = languages.flatMap((each, index) => (each === language ? [index] : []));
    const translate = (some: readonly string[]) => translator.translate(some, { from: language, ...(signal && { signal }) });
    const found = await judgeEach(own.map((index) => texts[index]!.text), translate);
    own.forEach((index, i) => { result[index] = found[i] ?? UNTRANSLATABLE; });
  }
  return result;
}
