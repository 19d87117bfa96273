export { captureActivations, captureMeans, inOrder, type CaptureOptions, type CapturePrompt, type PromptActivations } from "./capture.js";
export { captureTexts, readableLayers, type Pooling, type PromptedText, type TextCaptureOptions, type TextMeans } from "./texts.js";
