export { generate, generateText, type GenerateOptions, type Steering } from "./generate.js";
export type { GeneratedToken, GenerationResult } from "./generation.js";
export type { Reading } from "./streams.js";
