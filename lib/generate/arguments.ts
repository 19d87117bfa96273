import { given } from "../arguments/index.js";
import { samplingSchema } from "../engine/index.js";
import { probeArgument } from "../probe/index.js";
import { oneSteeringArgument, steerArgument } from "../vector/index.js";
import type { GenerateOptions, ScoreOptions } from "./generate.js";

/** The options of `score`, by name. */
export const scoringShape = { steer: steerArgument, ownHistory: given.text, allowMismatch: given.flag, signal: given.signal };
/** The options of `generate`, by name. */
export const generationShape = {
  ...scoringShape, maxNewTokens: given.number, sampling: given.only(Object.keys(samplingSchema.shape), given.anObject),
  stop: given.list(given.text), logProbabilities: given.flag, pipeline: given.text, firstTokens: given.tokens, candidates: given.whole,
  monitor: given.list(probeArgument),
};
export const generationArgument = given.optionsOf<GenerateOptions>(generationShape);
export const scoringArgument = given.optionsOf<ScoreOptions>(scoringShape);

/** A list of steerings. */
export const steeringsArgument = given.list(oneSteeringArgument);

const reading = given.required({ alpha: given.number });
/** The result of a generation, whose alphas are read. */
export const generatedArgument = given.required({
  tokens: given.list(given.required({ readings: given.list(reading) })), endReadings: given.list(reading).nullish(),
});
