import { given } from "../guard/index.js";

/** The variables of a chat template, as argument of public functions. */
export const variablesArgument = given.a<object>("an object of variables", (value: unknown) => given.isObject(value) && !Array.isArray(value));
