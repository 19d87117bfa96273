export { addon, devices, findInstallation, systemInfo, type Built, type NativeInstallation } from "./addon.js";
export type {
  CaptureHandle, NativeAddon, NativeAlphaRequests, NativeCaptureRows, NativeClassifier, NativeContext, NativeContextOptions,
  NativeDevice, NativeModel, NativeModelInfo, NativePieces, NativeSamplerOptions, NativeSiteNode, NativeSpecialToken, NativeSpecialTokens,
  NativeStep, NativeStepResult, NativeTerms, NativeTranslation, NativeTranslator, NativeVector, NativeWork,
  SamplerHandle, VectorHandle,
} from "./binding.js";
export { call, callAsync } from "./call.js";
