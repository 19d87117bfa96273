/** How questions and demonstrations are written for a model. */
export { chatTokens } from "../generate/index.js";
export { iclPrompt as icl, iclTokens, promptGroups as groups, questionPrompt as question, questionTokens, QUESTION_STOP } from "../experiment/prompt.js";
