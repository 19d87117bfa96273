export { captureActivations, captureMeans, type CaptureOptions, type CapturePrompt, type PromptActivations } from "./capture.js";
export { captureTexts, readableLayers, type PromptedText, type TextCaptureOptions, type TextMeans } from "./texts.js";
