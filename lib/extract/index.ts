export { planExtraction, runExtraction, type ExtractionPlan } from "./demonstrations.js";
export type { ExtractionOptions } from "./extract.js";
export type { ExtractOptions } from "./demonstrations.js";
export type { ExtractPairsOptions } from "./pairs.js";
export type { ExtractWordsOptions } from "./words.js";
export { loadContrastTexts, type ContrastTexts, type ExtractTextsOptions } from "./contrast-texts.js";
export { EVERYDAY_QUESTIONS, HELD_OUT_QUESTIONS } from "./everyday-questions.js";
export { POOLINGS } from "./pairs.js";
export { answerPairs } from "./text-pairs.js";
