export { alphasOf, GenerationStream, replay } from "./generation-stream.js";
export { canonicalSpec, compose, LiveSteering, steerings, type Steering, type SteerInput } from "./live-steering.js";
export { chatTokens, type ChatMessage, type ChatTemplate } from "../prompt/chat.js";
export type { TemplateVariables } from "../prompt/template-variables.js";
export { generate, generateText, scoreTokens, type GenerateOptions, type Prompt, type ScoreOptions } from "./generate.js";
export type { GeneratedToken, GenerationResult } from "./generation.js";
export type { Reading } from "./streams.js";
