export { addon, devices, findInstallation, requireRpcBackend, systemInfo, type Built, type NativeInstallation } from "./addon.js";
export type {
  NativeAddon, NativeClassifier, NativeContext, NativeContextOptions, NativeDevice, NativeEmbedder, NativeGate, NativeModel,
  NativeModelInfo, NativePieces, NativeSamplerOptions, NativeSiteNode, NativeSpecialToken, NativeSpecialTokens, NativeTranslation,
  NativeTranslator, NativeVector, NativeWork,
} from "./binding.js";
export { call, callAsync } from "./call.js";
export { KEEPS_NORM, OPERATOR_NUMBERS } from "./step.js";
export type {
  CaptureHandle, GateHandle, NativeAlphaRequests, NativeBudgets, NativeCaptureRows, NativeGateRows, NativeStep, NativeStepResult,
  NativeTerms, SamplerHandle, VectorHandle,
} from "./step.js";
