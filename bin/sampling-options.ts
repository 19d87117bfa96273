import { parsedBy } from "../lib/checks.js";
import { samplingSchema } from "../lib/engine/index.js";
import { parseJson, readUtf8 } from "../lib/formats/index.js";
import { SteeringError, type Sampling } from "../lib/index.js";
import { camelCase, titled, type Values } from "./command.js";
import { defined } from "./common.js";

const MAX_GRAMMAR_BYTES = 2 ** 20;
const number = { type: "number", coerce: inRange } as const;

/** How to pick tokens. */
export const SAMPLING = titled("Sampling", {
  temperature: { ...number, default: 0, describe: "0: always take the most likely token; above 0: sample" },
  "top-k": { ...number, default: 0, describe: "Sample among the K most likely tokens; 0: all" },
  "top-p": { ...number, default: 1, describe: "Sample among the most likely tokens that together have probability P" },
  "min-p": { ...number, default: 0, describe: "Sample among tokens at least P times as likely as the most likely one" },
  "typical-p": { ...number, default: 1, describe: "Sample among the least surprising tokens that together have probability P" },
  "top-n-sigma": { ...number, default: 0, describe: "Sample among logits within N standard deviations of the highest; 0: all" },
  "xtc-probability": { ...number, default: 0, describe: "How often to drop all likely tokens but the least likely of them" },
  "xtc-threshold": { ...number, default: 0.1, describe: "How likely a token must be for XTC to drop it" },
  "repeat-penalty": { ...number, default: 1, describe: "Penalty for repeated tokens; 1: none" },
  "presence-penalty": { ...number, default: 0, describe: "Subtracted from the logits of tokens that have occurred; 0: none" },
  "frequency-penalty": { ...number, default: 0, describe: "Subtracted from a token's logit for each time it has occurred; 0: none" },
  "repeat-last-n": { ...number, default: 64, describe: "How many of the last tokens these three penalties count" },
  "dry-multiplier": { ...number, default: 0, describe: "Penalty for repeated sequences (DRY); 0: none" },
  "dry-base": { ...number, default: 1.75, describe: "Factor by which the DRY penalty grows with each repeated token" },
  "dry-allowed-length": { ...number, default: 2, describe: "Length from which on DRY penalises a repeated sequence" },
  "dry-last-n": { ...number, default: 64, describe: "How many of the last tokens DRY looks at" },
  "dry-breaker": {
    type: "string", array: true, describe: "Text that no repeated sequence extends across, or none (repeatable)",
    defaultDescription: "line end, colon, quotation mark, asterisk",
  },
  seed: { ...number, default: 0, describe: "Seed of the sampling" },
  grammar: { type: "string", describe: "File with a grammar (GBNF) that the answer must follow" },
  "json-schema": { type: "string", describe: "File with a JSON schema that the answer must follow" },
});

/** Throws E_BAD_ARGUMENT for a value that the library's setting of this name cannot have. */
function inRange(value: number, name: string): number {
  const setting = samplingSchema.shape[camelCase(name) as keyof Sampling];
  parsedBy(setting, value, (problem) => new SteeringError("E_BAD_ARGUMENT",
    `--${name}: ${problem.replace(/(?:Too small|Too big|Invalid input): /, "").replace(/, received NaN$/, "")}`));
  return value;
}

/** The library's settings for these options, with the files that they name. */
export async function samplingOf(options: Values<typeof SAMPLING>): Promise<Sampling> {
  const { grammar, jsonSchema } = options;
  const read = (path: string): Promise<string> => readUtf8(path, "E_BAD_GRAMMAR", MAX_GRAMMAR_BYTES);
  const { temperature, topK, topP, minP, typicalP, topNSigma, xtcProbability, xtcThreshold, seed } = options;
  const { repeatPenalty, presencePenalty, frequencyPenalty, repeatLastN } = options;
  const { dryMultiplier, dryBase, dryAllowedLength, dryLastN, dryBreaker: breakers } = options;
  return {
    ...(grammar !== undefined && { grammar: await read(grammar) }),
    ...(jsonSchema !== undefined && { jsonSchema: parseJson(await read(jsonSchema), jsonSchema, "E_BAD_GRAMMAR") }),
    temperature, topK, topP, minP, typicalP, topNSigma, xtcProbability, xtcThreshold, seed,
    repeatPenalty, presencePenalty, frequencyPenalty, repeatLastN,
    dryMultiplier, dryBase, dryAllowedLength, dryLastN, ...defined({ drySequenceBreakers: sequenceBreakers(breakers) }),
  };
}

function sequenceBreakers(given: readonly string[]): string[] | undefined {
  if (given.length === 0) return undefined;
  return given.length === 1 && given[0] === "none" ? [] : given.map((text) => text.replaceAll("\\n", "\n"));
}
