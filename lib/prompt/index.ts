export { chatTokens, type ChatMessage, type ChatTemplate } from "./chat.js";
export { evaluationPrompts, type EvaluationPrompt } from "./evaluation-prompts.js";
export { QUESTION_STOP, iclTokens, promptGroups, questionPrompt, type PromptFormat } from "./question.js";
export type { TemplateVariables } from "./template-variables.js";
export { variablesArgument } from "./arguments.js";
export type { PromptGroup, Tokeniser } from "./question.js";
