export { generate, generateText, scoreTokens, type GenerateOptions, type Prompt, type ScoreOptions } from "./generate.js";
export { GenerationStream, alphasOf, replay } from "./generation-stream.js";
export type { GeneratedToken, GenerationResult } from "./generation.js";
export { LiveSteering, canonicalSpec, compose, steerings, type SteerInput, type Steering } from "./live-steering.js";
export { deltaPerplexity, deltaPerplexityFrom, perplexity, perplexityOf, withFoundAlphas } from "./perplexity.js";
export type { Reading } from "./streams.js";
export { generatedArgument, generationArgument, generationShape, scoringArgument } from "./arguments.js";
export type { DeltaPerplexityPrompts } from "./perplexity.js";
export type { History } from "./chat-memory.js";
