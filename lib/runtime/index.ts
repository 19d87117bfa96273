export { Batch, type RowOptions, type Term } from "./batch.js";
export { Context, throwIfAborted, type AlphaRequest, type MeasuredAlpha } from "./context.js";
export { loadModel, Model, type LoadModelOptions } from "./model.js";
export type { ModelInfo } from "./model-info.js";
