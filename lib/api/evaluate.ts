/** Evaluators of answers, and what they are made of (docs/evaluation.md). */
export { languageEvaluator as language } from "../evaluate/language-evaluator.js";
export { guardEvaluator as guard } from "../evaluate/guard-evaluator.js";
export { formalityEvaluator as formality } from "../evaluate/formality-evaluator.js";
export { probeEvaluator as probe } from "../evaluate/probe-evaluator.js";
export { fluencyEvaluator as fluency, perplexityEvaluator as perplexityOfAnswers, repetition } from "../evaluate/fluency-evaluator.js";
export { translatedEvaluator as translated } from "../evaluate/translated-evaluator.js";
export { checkEvaluators as check, evaluateRun as run, named, withLanguage } from "../experiment/evaluate.js";
export { wantedOf, wantedSide } from "../experiment/wanted.js";
export { Guard } from "../evaluate/guard.js";
export { GUARD_FORMS } from "../evaluate/guard-form.js";
export { DEFAULT_DETECTOR, detectLanguage, LANGUAGE_DETECTORS, loadLanguageDetector } from "../evaluate/language.js";
export { DATASET_LANGUAGES, languageName, languageOfDataset, parseLanguage } from "../evaluate/language-code.js";
export { deltaPerplexity, perplexity, withFoundAlphas } from "../evaluate/perplexity.js";
export { ggufTranslator, nllbTranslator, openTranslator } from "../evaluate/translation.js";
