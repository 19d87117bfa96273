export { onAbort } from "./abort.js";
export {
  Batch, UNSETTLED, type AlphaRequest, type BudgetRequest, type GateRequest, type RowCapture, type RowOptions, type Term,
} from "./batch.js";
export type { Candidate } from "./candidates.js";
export { Classifier, loadClassifier, type Classification } from "./classifier.js";
export { Context, UNREACHED, type Chosen, type GateReading, type MeasuredAlpha, type Sample, type StepResult } from "./context.js";
export { Embedder, loadEmbedder } from "./embedder.js";
export type { TextModelOptions } from "./text-model.js";
export { Engine, engineVersion, openEngine } from "./engine.js";
export { lendDevices } from "./lend-devices.js";
export { parseServers } from "./load-options.js";
export { programVersion } from "./program-version.js";
export type { LoadModelOptions, Logger, RopeScaling } from "./load-options.js";
export type { ModelInfo } from "./model-info.js";
export { samplingSchema, type Sampling } from "./sampling.js";
export { threadLimit } from "./threads.js";
export { addsTheSame, type Cells } from "./scheduler/cells.js";
export {
  STEERED_ROWS, type KeepsCells, type Place, type PrefillTask, type StepTask, type Taken, type TakeResult, type Task,
} from "./scheduler/task.js";
export { Translator, loadTranslator, type LoadTranslatorOptions, type TranslateOptions, type Translation } from "./translator.js";
export { loadingArgument, loadingTranslatorArgument } from "./arguments.js";
