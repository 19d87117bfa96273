export { captureMeans, type CaptureOptions, type CapturePrompt } from "./capture.js";
