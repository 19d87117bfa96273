export { SteeringError, type ErrorCode } from "./errors.js";
export { loadModel, type LoadModelOptions, type Model, type ModelInfo } from "./runtime/index.js";
export { generate, generateText, type GeneratedToken, type GenerateOptions, type GenerationResult, type Reading, type Steering } from "./generate/index.js";
export { extract, type ExtractOptions } from "./experiment/extract.js";
export { loadDataset, datasetNames, type Dataset, type Row } from "./experiment/dataset.js";
export { questionPrompt, QUESTION_STOP } from "./experiment/prompt.js";
export { loadVector, saveVector } from "./io/vector-file.js";
export { norms, parseSteer, type HookSite, type ModelFingerprint, type Provenance, type Schedule, type ScheduleInput, type SteeringSpec, type SteeringVector, type Tail } from "./steering/index.js";
export { detectLanguage, type LanguageGuess } from "./evaluate/language.js";
