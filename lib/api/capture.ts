/** Activations of many prompts, and of texts that are given; of a few prompts: `model.capture`. */
export { captureActivations as activations, captureMeans as means, captureTexts as texts, readableLayers } from "../capture/index.js";
export { saveActivations as save } from "../io/activation-file.js";
