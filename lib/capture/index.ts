export { captureActivations, captureMeans, type CaptureOptions, type CapturePrompt, type PromptActivations } from "./capture.js";
