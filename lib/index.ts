/**
 * The API for applications: `import { loadModel } from "llama-steer"`.
 * Experiments, results, reports and evaluation are in `llama-steer/experiments`, so that applications do not load them.
 *
 * @module llama-steer
 */
export { SteeringError, type ErrorCode, type SteeringErrorOptions } from "./errors.js";
export { fromLlama, loadModel } from "./model/public.js";
export { Chat, Model, type ChatOptions, type LlamaLike, type TurnOptions } from "./model/index.js";
export { compose, loadSteering, replay } from "./generate/public.js";
export {
  GenerationStream, LiveSteering, type GeneratedToken, type GenerateOptions, type GenerationResult, type GenerationWork, type History,
  type Pipeline, type Prompt, type Reading, type ScoreOptions, type Steering, type SteerInput,
  type TokenCandidates,
} from "./generate/index.js";
export { load as loadDataset } from "./dataset/public.js";
export type { Dataset, LoadDatasetOptions, Row } from "./dataset/index.js";
export { extract } from "./extract/public.js";
export type { CacheOption, ExtractionOptions, StrengthOption } from "./extract/index.js";
export type { ExtractOptions } from "./extract/index.js";
export type { ExtractPairsOptions } from "./extract/index.js";
export type { ContrastTexts, ExtractTextsOptions, ExtractWordsOptions, PersonaTexts, TextContrast } from "./extract/index.js";
export { calibrate, calibrateByKl, measureKl } from "./calibrate/public.js";
export type {
  CalibrateOptions, CalibratedKind, CalibrationBaseline, Candidate, CostMeasure, KlCalibrationOptions, KlPoint, KlStatistic,
  MeasureKlOptions,
} from "./calibrate/index.js";
import "./vector/public.js"; // checks the arguments of SteeringVector
export { SteeringVector } from "./vector/index.js";
export type { FullGate, Gate, GateProbe, HowToAdd, LoadedSteering } from "./vector/index.js";
export type {
  Calibration, CurvePoint, DatasetReference, DerivedOrigin, DescriptionCalibration, EffectCalibration, Format, Health, HookSite, IclOrigin,
  ImportedOrigin, KlCalibration, LayerHealth, ModelFingerprint, PairMethod, PairsOrigin, Provenance, Selection, VectorData,
  WeightedVector, WordsOrigin,
} from "./vector/index.js";
export { load as loadProbe } from "./probe/public.js";
export type { Probe, ProbeLayer, ProbeMetrics, ProbeProvenance } from "./probe/index.js";
export {
  schedule, type BudgetSettings, type DynamicSettings, type FullGateRule, type FunctionSchedule, type GateRule, type GateSpec,
  type KlReduction, type Only, type Operation, type Operator, type Schedule, type ScheduleInput, type ScheduleSettings, type SteeredPhase,
  type SteeringSpec, type Tail, type WrittenSchedule, type WrittenSpec,
} from "./steering/index.js";
export * as prompts from "./prompt/public.js";
export type { ChatMessage, ChatTemplate, FormatOptions, Phase, TemplateVariables } from "./prompt/index.js";
export type { QaVariant, PromptGroup, Tokeniser } from "./prompt/index.js";
export * as models from "./models/public.js";
export type { OnProgress } from "./models/index.js";
export type { Pullable, PullOptions } from "./models/index.js";
export type { ModelEntry } from "./models/index.js";
export * as gallery from "./gallery/public.js";
export type { Gallery, GalleryEntry, PackedVector, PullVectorOptions } from "./gallery/index.js";
export type {
  Candidate as TokenCandidate, GateReading, LoadModelOptions, Logger, ModelInfo, RopeScaling, Sampling,
} from "./engine/index.js";
export type { CaptureOptions, Pooling, PromptActivations } from "./capture/index.js";
