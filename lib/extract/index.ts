export { planExtraction, runExtraction, type ExtractionPlan } from "./demonstrations.js";
