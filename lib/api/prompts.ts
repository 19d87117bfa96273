/** How questions and demonstrations are written for a model. */
import * as all from "../prompt/question.js";
import { chatTokens as tokensOfChat } from "../prompt/index.js";
import * as given from "./arguments.js";
import { guarded } from "./guard.js";
export { QUESTION_STOP } from "../prompt/question.js";

/** @function */
export const chatTokens = guarded("prompts.chatTokens", tokensOfChat, { model: given.tokeniser, messages: given.messages, options: given.template });
/** @function */
export const icl = guarded("prompts.icl", all.iclPrompt, { instruction: given.text, group: given.group });
/** @function */
export const iclTokens = guarded("prompts.iclTokens", all.iclTokens, { model: given.tokeniser, instruction: given.text, group: given.group, format: given.format });
/** @function */
export const groups = guarded("prompts.groups", all.promptGroups, { dataset: given.dataset, iclExamples: given.number });
/** @function */
export const question = guarded("prompts.question", all.questionPrompt, { question: given.text });
/** @function */
export const questionTokens = guarded("prompts.questionTokens", all.questionTokens, { model: given.tokeniser, question: given.text, format: given.format });
