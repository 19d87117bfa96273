import { given } from "../arguments/index.js";
import { siteArgument } from "../vector/index.js";
import type { CaptureOptions } from "./capture.js";
import type { TextCaptureOptions } from "./texts.js";

const { signal, onProgress } = given.stops;
export const captureArgument = given.requiredOf<CaptureOptions>({
  site: siteArgument, layers: given.tokens.optional(), maxNewTokens: given.number,
  signal: signal.optional(), onProgress: onProgress.optional(),
});
export const captureTextsArgument = given.requiredOf<TextCaptureOptions>({
  site: siteArgument, layers: given.tokens.optional(), pooling: given.text.optional(), maxSteps: given.number.optional(),
  signal: signal.optional(), onProgress: onProgress.optional(),
});
