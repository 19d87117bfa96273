export { Batch, type AlphaRequest, type RowCapture, type RowOptions, type Term } from "./batch.js";
export { abortError, Context, sharedSignal, throwIfAborted, type MeasuredAlpha } from "./context.js";
export { loadClassifier, type Classification, type Classifier } from "./classifier.js";
export { engineVersion, Model, openModel, type LoadModelOptions, type Logger } from "./model.js";
export type { ModelInfo } from "./model-info.js";
export type { Sampling } from "./sampling.js";
export { loadTranslator, type LoadTranslatorOptions, type TranslateOptions, type Translation, type Translator } from "./translator.js";
export { STEERED_ROWS, type Place, type Task, type PromptReading } from "./task.js";
export type { CaptureHandle, VectorHandle } from "../native/index.js";
