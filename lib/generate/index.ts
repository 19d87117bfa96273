export { chatTokens, type ChatMessage } from "./chat.js";
export { generate, generateText, scoreTokens, type GenerateOptions, type Prompt, type ScoreOptions, type Steering } from "./generate.js";
export type { GeneratedToken, GenerationResult } from "./generation.js";
export type { Reading } from "./streams.js";
