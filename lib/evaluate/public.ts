/** Evaluators, and the measures of a run's answers. */
import { z } from "zod";
import { loadingTranslatorArgument } from "../engine/index.js";
import {
  deltaPerplexity as difference, generatedArgument, perplexity as ofText, scoringArgument, scoringShape, steeringsArgument,
  withFoundAlphas as withAlphas,
} from "../generate/index.js";
import { given, checked, checkMethods, making } from "../arguments/index.js";
import { probeArgument } from "../probe/index.js";
import { datasetArgument } from "../dataset/index.js";
import { formatShape, variablesArgument, type FormatOptions } from "../prompt/index.js";
import { brevityEvaluator } from "./brevity-evaluator.js";
import { codeSwitchingEvaluator, type CodeSwitchingOptions } from "./code-switching.js";
import { evaluateRun, type EvaluateOptions } from "./evaluate-run.js";
import type { Evaluator } from "./evaluator.js";
import { fluencyEvaluator, perplexityEvaluator, repetition as repeated } from "./fluency-evaluator.js";
import { formalityEvaluator, type FormalityEvaluatorOptions } from "./formality-evaluator.js";
import { keptEvaluator, type KeptOptions } from "./kept-evaluator.js";
import { guardEvaluator, type GuardEvaluatorOptions } from "./guard-evaluator.js";
import {
  knowledge as measureKnowledge, knowledgeChange as changeOfKnowledge, loadChoices as readChoices, type KnowledgeOptions,
} from "./facts.js";
import { goldAgreement as agreementWithGold, type GoldOptions } from "./gold.js";
import { Guard } from "./guard.js";
import { judgeEvaluator, type JudgeEvaluatorOptions } from "./judge-evaluator.js";
import { Judge, type JudgeOptions } from "./judge.js";
import { languageName as nameOfLanguage, languageOfDataset as languageOf, parseLanguage as readLanguage } from "./language-code.js";
import { languageEvaluator, type LanguageEvaluatorOptions } from "./language-evaluator.js";
import { detectLanguage as detect, LANGUAGE_DETECTORS, loadLanguageDetector as loadDetector } from "./language.js";
import { qualityEvaluator, type QualityEvaluatorOptions } from "./quality-evaluator.js";
import { loadRubric as readRubric, rubricNamed } from "./rubric.js";
import { probeEvaluator, type ProbeEvaluatorOptions } from "./probe-evaluator.js";
import { translatedEvaluator } from "./translated-evaluator.js";
import { ggufTranslator as gguf, nllbTranslator as nllb, openTranslator as open, type NllbOptions } from "./translation.js";
export { GUARD_FORMS } from "./guard-form.js";
export { Guard } from "./guard.js";
export { Judge } from "./judge.js";
export { DEFAULT_DETECTOR, LANGUAGE_DETECTORS } from "./language.js";

const judged = given.list(given.required({ question: given.text, text: given.text, reference: given.text.optional() }));
const { model, text, signal } = given;
const stopping = given.optionsOf<{ signal?: AbortSignal }>({ signal });

function judging<F extends (...args: never[]) => Evaluator | Promise<Evaluator>>(make: F): F {
  return making<Evaluator, F>(make, "evaluator", "evaluate", { texts: judged, signal: signal.optional() });
}

const candidates = z.union([z.literal("all"), given.list(text)], 'expected "all" or a list of languages');
/** @function */
export const language = checked("evaluate.language", judging(languageEvaluator), {
  options: given.optionsOf<LanguageEvaluatorOptions>({ wanted: text, detector: z.enum(LANGUAGE_DETECTORS), candidates }),
});
const forms = given.list(given.anObject);
/** @function */
export const guard = checked("evaluate.guard", judging(guardEvaluator), {
  model, options: given.optionsOf<GuardEvaluatorOptions>({ wanted: text, forms, controversial: z.enum(["safe", "unsafe"]).nullable() }),
});
/** @function */
export const formality = checked("evaluate.formality", judging(formalityEvaluator), {
  classifier: given.classifier, options: given.optionsOf<FormalityEvaluatorOptions>({ wanted: text, sure: given.number }),
});
/** @function */
export const probe = checked("evaluate.probe", judging(probeEvaluator), {
  model, probe: probeArgument, options: given.optionsOf<ProbeEvaluatorOptions>({ wanted: given.sides, property: text }),
});
const judgeShape = { leastMass: given.number.optional(), templateVariables: variablesArgument.optional() };
/** @function */
export const judge = checked("evaluate.judge", judging(judgeEvaluator), {
  model, rubric: given.anObject,
  options: given.optionsOf<JudgeEvaluatorOptions>({ wanted: text, threshold: given.number, against: text, ...judgeShape }),
});
const choice = given.required({ question: text, right: text, wrong: given.list(text) });
/** @function */
export const loadChoices = checked("evaluate.loadChoices", readChoices, { path: given.path.optional() });
/** @function */
export const knowledge = checked("evaluate.knowledge", measureKnowledge, {
  model,
  options: given.optionsOf<KnowledgeOptions>({
    ...scoringShape, questions: given.list(choice), onProgress: given.callback, ...formatShape,
  }),
});
const known = given.required({ correct: given.list(given.flag) });
/** @function */
export const knowledgeChange = checked("evaluate.knowledgeChange", changeOfKnowledge, { before: known, after: known });
/** @function */
export const quality = checked("evaluate.quality", judging(qualityEvaluator), {
  model, options: given.requiredOf<QualityEvaluatorOptions>({ concept: text, ...judgeShape }),
});
/** @function */
export const rubric = checked("evaluate.rubric", rubricNamed, {
  name: z.enum(["formality", "safety", "language"]), language: text.optional(),
});
/** @function */
export const loadRubric = checked("evaluate.loadRubric", readRubric, { path: given.path });
const side = given.required({ dataset: datasetArgument, label: text });
/** @function */
export const goldAgreement = checked("evaluate.goldAgreement", agreementWithGold, {
  evaluator: given.evaluator, sides: given.required({ positive: side, negative: side }),
  options: given.optionsOf<GoldOptions>({ n: given.number, signal }),
});
/** @function */
export const brevity = checked("evaluate.brevity", judging(brevityEvaluator), { mostWords: given.number });
/** @function */
export const codeSwitching = checked("evaluate.codeSwitching", judging(codeSwitchingEvaluator), {
  options: given.requiredOf<CodeSwitchingOptions>({ wanted: text, candidates: given.list(text).optional() }),
});
/** @function */
export const fluency = checked("evaluate.fluency", judging(fluencyEvaluator), {});
/** @function */
export const perplexityOfAnswers = checked("evaluate.perplexityOfAnswers", judging(perplexityEvaluator), {
  model, options: given.optionsOf<FormatOptions>(formatShape),
});
const contentSource = z.union([model, given.embedder], "expected a model, as returned by loadModel or loadEmbedder");
/** @function */
export const kept = checked("evaluate.kept", judging(keptEvaluator), {
  source: contentSource,
  options: given.optionsOf<KeptOptions>({ against: text, prefix: text, layer: given.number, datasets: given.path, signal }),
});
/** @function */
export const translated = checked("evaluate.translated", judging(translatedEvaluator), {
  inner: given.evaluator, translator: given.translator, languages: given.list(text).optional(),
});
/** @function */
export const run = checked("evaluate.run", evaluateRun, {
  folder: given.path, evaluators: given.list(given.evaluator),
  options: given.optionsOf<EvaluateOptions>({ again: given.flag, ...given.stops }),
});

const detecting = { text, candidates: given.list(text).optional() };
/** @function */
export const detectLanguage = checked("evaluate.detectLanguage", detect, detecting);
/** @function */
export const loadLanguageDetector = checked("evaluate.loadLanguageDetector", making(loadDetector, "detector", "detect", detecting), {
  name: text.optional(),
});
/** @function */
export const languageName = checked("evaluate.languageName", nameOfLanguage, { code: text });
/** @function */
export const languageOfDataset = checked("evaluate.languageOfDataset", languageOf, { name: text });
/** @function */
export const parseLanguage = checked("evaluate.parseLanguage", readLanguage, { code: text });
/** @function */
export const repetition = checked("evaluate.repetition", repeated, { text });

/** @function */
export const perplexity = checked("evaluate.perplexity", ofText, {
  model, prompt: given.prompt, continuation: given.tokens, options: scoringArgument,
});
/** @function */
export const deltaPerplexity = checked("evaluate.deltaPerplexity", difference, {
  model, prompts: given.required({ noIcl: given.prompt, icl: given.prompt, iclOutput: given.tokens }), options: scoringArgument,
});
/** @function */
export const withFoundAlphas = checked("evaluate.withFoundAlphas", withAlphas, {
  steer: steeringsArgument, result: generatedArgument,
});

/** @function */
export const ggufTranslator = checked("evaluate.ggufTranslator", gguf, { nameOrPath: given.path, options: loadingTranslatorArgument });
/** @function */
export const nllbTranslator = checked("evaluate.nllbTranslator", nllb, {
  options: given.optionsOf<NllbOptions>({ model: text, from: text, pipeline: given.callback }),
});
/** @function */
export const openTranslator = checked("evaluate.openTranslator", open, { name: given.name, options: stopping });

checkMethods("guard", Guard.prototype, { judge: { answers: judged, options: stopping } }, { rejects: true });
const comparing = { answers: judged, rubric: given.anObject, options: stopping };
checkMethods("judge", Judge.prototype, { judge: comparing, compare: comparing }, { rejects: true });
checkMethods("Judge", Judge, { of: { model, options: given.optionsOf<JudgeOptions>(judgeShape) } });
checkMethods("Guard", Guard, { of: { model, forms: forms.optional() } });
