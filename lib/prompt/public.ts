/** Writes questions and demonstrations as prompts for a model. */
import { z } from "zod";
import { datasetArgument } from "../dataset/index.js";
import { given, checked } from "../arguments/index.js";
import { formatShape, variablesArgument } from "./arguments.js";
import { chatTokens as tokensOfChat, type ChatTemplate } from "./chat.js";
import { promptTokens, type FormatOptions } from "./format.js";
import * as all from "./question.js";
export { QUESTION_STOP } from "./question.js";

const format = given.text.optional();

/** @function */
export const chatTokens = checked("prompts.chatTokens", tokensOfChat, {
  model: given.tokeniser, messages: given.messages,
  options: given.optionsOf<ChatTemplate>({ templateVariables: variablesArgument, mayCut: given.flag }),
});
/** @function */
export const tokens = checked("prompts.tokens", promptTokens, {
  model: given.tokeniser, question: z.union([given.text, given.messages], "expected a question or a list of messages"),
  options: given.optionsOf<FormatOptions>(formatShape),
});
/** @function */
export const icl = checked("prompts.icl", all.iclPrompt, { instruction: given.text, group: given.group });
/** @function */
export const iclTokens = checked("prompts.iclTokens", all.iclTokens, {
  model: given.tokeniser, instruction: given.text, group: given.group, format,
});
/** @function */
export const groups = checked("prompts.groups", all.promptGroups, { dataset: datasetArgument, iclExamples: given.number });
/** @function */
export const question = checked("prompts.question", all.questionPrompt, { question: given.text });
/** @function */
export const questionTokens = checked("prompts.questionTokens", all.questionTokens, {
  model: given.tokeniser, question: given.text, format,
});
