export { chatTokens, type ChatMessage, type ChatTemplate } from "./chat.js";
export { evaluationPrompts, rowGroups, type EvaluationPrompt } from "./evaluation-prompts.js";
export { FORMAT_CHOICES, promptTokens, resolveFormat, type FormatOptions } from "./format.js";
export { QUESTION_STOP, iclTokens, promptGroups, questionPrompt, type QaVariant } from "./question.js";
export type { TemplateVariables } from "./template-variables.js";
export { variablesArgument } from "./arguments.js";
export type { PromptGroup, Tokeniser } from "./question.js";
