/** Activations of many prompts, and of texts that are given; of a few prompts: `model.capture`. */
import { captureActivations, captureMeans, captureTexts, readableLayers as readable } from "../capture/index.js";
import { saveActivations } from "../capture/activation-file.js";
import * as given from "./arguments.js";
import { guarded } from "./guard.js";

/** @function */
export const activations = guarded("capture.activations", captureActivations, { model: given.model, prompts: given.list(given.tokens), options: given.capturing });
/** @function */
export const means = guarded("capture.means", captureMeans, { model: given.model, prompts: given.list(given.required({ tokens: given.tokens, weight: given.number })), options: given.capturing });
/** @function */
export const texts = guarded("capture.texts", captureTexts, { model: given.model, texts: given.list(given.required({ prompt: given.tokens, answer: given.tokens })), options: given.capturingTexts });
/** @function */
export const readableLayers = guarded("capture.readableLayers", readable, { model: given.required({ info: given.required({ nLayer: given.whole }) }), site: given.site });
/** @function */
export const save = guarded("capture.save", saveActivations, { path: given.path, records: given.asyncList, source: given.required({ site: given.site, nPrompts: given.count, model: given.fingerprint }) });
