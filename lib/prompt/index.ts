export { chatTokens, type ChatMessage, type ChatTemplate } from "./chat.js";
export { evaluationPrompts, formattedPrompts, rowGroups, type EvaluationPrompt } from "./evaluation-prompts.js";
export {
  FORMAT_CHOICES, demonstrationTokens, promptTokens, promptTokensUnder, resolveDemonstrationFormat, resolveFormat,
  type DemonstrationOptions, type FormatOptions,
} from "./format.js";
export { QUESTION_STOP, iclTokens, promptGroups, questionPrompt, type QaVariant } from "./question.js";
export type { TemplateVariables } from "./template-variables.js";
export { formatShape, variablesArgument } from "./arguments.js";
export type { PromptGroup, Tokeniser } from "./question.js";
export {
  NO_THOUGHT, ThoughtReader, isThoughtMark, openingOf, splitThoughts, type Opening, type Phase, type ThoughtsAndAnswer,
} from "./thoughts.js";
