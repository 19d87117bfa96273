import { judgeEach } from "./judge-each.js";
import type { EvaluatedText, Evaluator } from "./evaluator.js";
import { DATASET_LANGUAGES } from "./language-code.js";
import { loadLanguageDetector } from "./language.js";
import type { TextTranslator } from "./translation.js";

/** What is not translated: English, and texts whose language cannot be told. */
const LEFT = ["eng", "und"];
const UNTRANSLATABLE = "";

/**
 * The same evaluator, shown English: texts in any other of `languages` are translated first. One more column,
 * `translation`, null where nothing was translated. What is too long to translate is shown as an empty text, and so
 * undetermined. The translator stays the caller's.
 *
 * @param languages ISO 639-3 codes to choose among, default those of our datasets
 */
export async function translatedEvaluator(inner: Evaluator, translator: TextTranslator, languages: readonly string[] | undefined = Object.values(DATASET_LANGUAGES)): Promise<Evaluator> {
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

/** Language by language, since some translators have to be told it. */
async function translated(texts: readonly EvaluatedText[], languageOf: (text: string) => string, translator: TextTranslator, signal: AbortSignal | undefined): Promise<Array<string | null>> {
  const languages = texts.map(({ text }) => languageOf(text));
  const result: Array<string | null> = texts.map(() => null);
  for (const language of new Set(languages.filter((each) => !LEFT.includes(each)))) {
    const own = languages.flatMap((each, index) => (each === language ? [index] : []));
    const found = await judgeEach(own.map((index) => texts[index]!.text), (some) => translator.translate(some, { from: language, ...(signal && { signal }) }));
    own.forEach((index, i) => { result[index] = found[i] ?? UNTRANSLATABLE; });
  }
  return result;
}
