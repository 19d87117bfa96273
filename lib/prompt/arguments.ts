import { given } from "../arguments/index.js";

const isPlainObject = (value: unknown): boolean => given.isObject(value) && !Array.isArray(value);
/** The variables of a chat template, as an argument of public functions. */
export const variablesArgument = given.a<object>("an object of variables", isPlainObject);
/** The options of `FormatOptions`, by name. */
export const formatShape = {
  format: given.text.optional(), system: given.text.optional(), templateVariables: variablesArgument.optional(),
};
