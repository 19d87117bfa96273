/** Captures activations of many prompts and of given texts; for a few prompts, use `model.capture`. */
import { given, checked } from "../arguments/index.js";
import { fingerprintArgument, siteArgument } from "../vector/index.js";
import { saveActivations, type ActivationSource } from "./activation-file.js";
import { captureArgument, captureTextsArgument } from "./arguments.js";
import { captureActivations, captureMeans } from "./capture.js";
import { captureTexts, readableLayers as readable } from "./texts.js";

/** @function */
export const activations = checked("capture.activations", captureActivations, {
  model: given.model, prompts: given.list(given.tokens), options: captureArgument,
});
/** @function */
export const means = checked("capture.means", captureMeans, {
  model: given.model, prompts: given.list(given.required({ tokens: given.tokens, weight: given.number })), options: captureArgument,
});
/** @function */
export const texts = checked("capture.texts", captureTexts, {
  model: given.model, texts: given.list(given.required({ prompt: given.tokens, answer: given.tokens })), options: captureTextsArgument,
});
/** @function */
export const readableLayers = checked("capture.readableLayers", readable, {
  model: given.required({ info: given.required({ nLayer: given.whole }) }), site: siteArgument,
});
const isAsyncIterable = (value: unknown): boolean => given.has(value, Symbol.asyncIterator);
const asyncList = given.a<never>("activations, as returned by capture.activations", isAsyncIterable);
const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0 && value <= 1e8;
const count = given.a<number>("a whole number from 0 to 100 million", isCount);
/** @function */
export const save = checked("capture.save", saveActivations, {
  path: given.path, records: asyncList,
  source: given.requiredOf<ActivationSource>({ site: siteArgument, nPrompts: count, model: fingerprintArgument }),
});
