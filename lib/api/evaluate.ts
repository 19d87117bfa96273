/** Evaluators of answers, and what they are made of (docs/evaluation.md). */
import { fluencyEvaluator, perplexityEvaluator, repetition as repeated } from "../evaluate/fluency-evaluator.js";
import { formalityEvaluator } from "../evaluate/formality-evaluator.js";
import { guardEvaluator } from "../evaluate/guard-evaluator.js";
import { languageName as nameOfLanguage, languageOfDataset as languageOf, parseLanguage as readLanguage } from "../evaluate/language-code.js";
import { languageEvaluator } from "../evaluate/language-evaluator.js";
import { detectLanguage as detect, loadLanguageDetector as loadDetector } from "../evaluate/language.js";
import { deltaPerplexity as difference, perplexity as ofText, withFoundAlphas as withAlphas } from "../generate/perplexity.js";
import { probeEvaluator } from "../evaluate/probe-evaluator.js";
import { translatedEvaluator } from "../evaluate/translated-evaluator.js";
import { ggufTranslator as gguf, nllbTranslator as nllb, openTranslator as open } from "../evaluate/translation.js";
import type { Evaluator } from "../evaluate/evaluator.js";
import { checkEvaluators, evaluateRun, named as columnsNamed, withLanguage as judged } from "../evaluate/evaluate-run.js";
import { wantedOf as aimOf, wantedSide as sideOf } from "../evaluate/wanted-properties.js";
import * as given from "./arguments.js";
import { guarded, making } from "./guard.js";
export { Guard } from "../evaluate/guard.js";
export { GUARD_FORMS } from "../evaluate/guard-form.js";
export { DEFAULT_DETECTOR, LANGUAGE_DETECTORS } from "../evaluate/language.js";
export { DATASET_LANGUAGES } from "../evaluate/language-code.js";

/** The evaluator's own method is called by users as well. */
function judging<F extends (...args: never[]) => Evaluator | Promise<Evaluator>>(make: F): F {
  return making<Evaluator, F>(make, "evaluator", "evaluate", { texts: given.judged, signal: given.signal.optional() });
}

/** @function */
export const language = guarded("evaluate.language", judging(languageEvaluator), { options: given.options({ wanted: given.text, detector: given.detector, candidates: given.candidates }) });
/** @function */
export const guard = guarded("evaluate.guard", judging(guardEvaluator), { model: given.model, options: given.guarding });
/** @function */
export const formality = guarded("evaluate.formality", judging(formalityEvaluator), { classifier: given.classifier, options: given.options({ wanted: given.text, sure: given.number }) });
/** @function */
export const probe = guarded("evaluate.probe", judging(probeEvaluator), { model: given.model, probe: given.probe, options: given.options({ wanted: given.sides, property: given.text }) });
/** @function */
export const fluency = guarded("evaluate.fluency", judging(fluencyEvaluator), {});
/** @function */
export const perplexityOfAnswers = guarded("evaluate.perplexityOfAnswers", judging(perplexityEvaluator), { model: given.model, ask: given.callback });
/** @function */
export const repetition = guarded("evaluate.repetition", repeated, { text: given.text });
/** @function */
export const translated = guarded("evaluate.translated", judging(translatedEvaluator), { inner: given.evaluator, translator: given.translator, languages: given.list(given.text).optional() });
/** @function */
export const check = guarded("evaluate.check", checkEvaluators, { evaluators: given.list(given.evaluator) });
/** @function */
export const run = guarded("evaluate.run", evaluateRun, { folder: given.path, evaluators: given.list(given.evaluator), options: given.options({ again: given.flag, ...given.stops }) });
/** @function */
export const named = guarded("evaluate.named", columnsNamed, { evaluator: given.text, columns: given.anObject });
/** @function */
export const withLanguage = guarded("evaluate.withLanguage", judged, { results: given.results });
/** @function */
export const wantedOf = guarded("evaluate.wantedOf", aimOf, { run: given.aim });
/** @function */
export const wantedSide = guarded("evaluate.wantedSide", sideOf, { probe: given.madeOfTwo, wanted: given.wanted });
/** @function */
export const detectLanguage = guarded("evaluate.detectLanguage", detect, { text: given.text, candidates: given.list(given.text).optional() });
/** @function */
export const loadLanguageDetector = guarded("evaluate.loadLanguageDetector", making(loadDetector, "detector", "detect", { text: given.text, candidates: given.list(given.text).optional() }), { name: given.text.optional() });
/** @function */
export const languageName = guarded("evaluate.languageName", nameOfLanguage, { code: given.text });
/** @function */
export const languageOfDataset = guarded("evaluate.languageOfDataset", languageOf, { name: given.text });
/** @function */
export const parseLanguage = guarded("evaluate.parseLanguage", readLanguage, { code: given.text });
/** @function */
export const deltaPerplexity = guarded("evaluate.deltaPerplexity", difference, { model: given.model, prompts: given.required({ noIcl: given.prompt, icl: given.prompt, iclOutput: given.tokens }), options: given.scoring });
/** @function */
export const perplexity = guarded("evaluate.perplexity", ofText, { model: given.model, prompt: given.prompt, continuation: given.tokens, options: given.scoring });
/** @function */
export const withFoundAlphas = guarded("evaluate.withFoundAlphas", withAlphas, { steer: given.list(given.anObject), result: given.generated });
/** @function */
export const ggufTranslator = guarded("evaluate.ggufTranslator", gguf, { nameOrPath: given.path, options: given.loadingTranslator });
/** @function */
export const nllbTranslator = guarded("evaluate.nllbTranslator", nllb, { options: given.options({ model: given.text, from: given.text, pipeline: given.callback }) });
/** @function */
export const openTranslator = guarded("evaluate.openTranslator", open, { name: given.name, options: given.options({ signal: given.signal }) });
