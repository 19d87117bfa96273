export { planExtraction, runExtraction, type ExtractionPlan } from "./demonstrations.js";
export type { ExtractionOptions } from "./extract.js";
export type { ExtractOptions } from "./demonstrations.js";
export type { ExtractPairsOptions } from "./pairs.js";
export { POOLINGS } from "./pairs.js";
export { answerPairs } from "./text-pairs.js";
