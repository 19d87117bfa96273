export { captureActivations, captureMeans, inOrder, type CaptureOptions, type CapturePrompt, type PromptActivations } from "./capture.js";
export { captureTexts, readableLayers, type Pooling, type PromptedText, type TextCaptureOptions, type TextMeans } from "./texts.js";
export { captureArgument, captureTextsArgument } from "./arguments.js";
export type { ActivationRecord, ActivationSource } from "./activation-file.js";
