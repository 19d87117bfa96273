export { answerPrompt, type SteeringPart } from "./answer.js";
export { withLanguage } from "./evaluate-run.js";
export type { Evaluator } from "./evaluator.js";
export { languageName } from "./language-code.js";
export { detectLanguage, type LanguageGuess } from "./language.js";
