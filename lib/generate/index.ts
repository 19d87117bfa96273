export { generate, generateText, type GeneratedToken, type GenerateOptions, type GenerationResult, type Steering } from "./generate.js";
export type { Reading } from "./streams.js";
