import { SteeringError } from "../lib/index.js";
import { PAIR_METHODS, type PairMethod } from "../lib/vector/index.js";
import { camelCase } from "./command.js";

/** What `extract` contrasts. */
export type ExtractSource = { kind: "words" } | { kind: "icl" } | { kind: "pairs"; method: PairMethod }
  | { kind: "texts"; method: PairMethod | undefined };

/** The options that decide, and those that only some sources read. */
interface Given {
  towards: string | undefined;
  away: string | undefined;
  positive: string | undefined;
  negative: string | undefined;
  pairs: string | undefined;
  method: "icl" | PairMethod | undefined;
  pooling: string | undefined;
  layers: string | undefined;
  bestLayers: number | undefined;
  maxNewTokens: number | undefined;
}

/** Options that only some sources read. */
const READ_BY: Record<string, ReadonlyArray<ExtractSource["kind"]>> = {
  away: ["words"],
  questions: ["words"],
  method: ["icl", "pairs", "texts"],
  "icl-examples": ["icl"],
  support: ["icl"],
  pooling: ["pairs", "words"],
  "n-pairs": ["pairs"],
  "best-layers": ["pairs", "texts"],
  "max-new-tokens": ["words", "icl", "pairs"],
};
const WRITTEN: Record<ExtractSource["kind"], string> = {
  words: "--towards", icl: "--method icl", pairs: `--method ${PAIR_METHODS.join(", ")}`, texts: "--pairs",
};

/** Decides what to contrast. Throws E_BAD_ARGUMENT if the options name nothing, or several things. */
export function sourceOf({ towards, away, positive, negative, pairs, method }: Given): ExtractSource {
  const named = [
    towards !== undefined && "--towards", (positive ?? negative) !== undefined && "--positive and --negative",
    pairs !== undefined && "--pairs",
  ].filter((each) => typeof each === "string");
  if (named.length > 1) throw new SteeringError("E_BAD_ARGUMENT", `${named.join(", ")} exclude each other; give only one source`);
  if (towards !== undefined) return { kind: "words" };
  if (pairs !== undefined) {
    if (method === "icl") {
      throw new SteeringError("E_BAD_ARGUMENT", "--method icl needs --positive and --negative; with --pairs, use mean, pca or probe");
    }
    return { kind: "texts", method };
  }
  if (named.length === 0) {
    const problem = away === undefined ? "nothing to extract from" : "--away needs --towards, the behaviour that is wanted";
    throw new SteeringError("E_BAD_ARGUMENT", `${problem}; give --towards WORDS, --positive and --negative, or --pairs FILE`);
  }
  const missing = positive === undefined ? "--positive" : negative === undefined ? "--negative" : undefined;
  if (missing) throw new SteeringError("E_BAD_ARGUMENT", `missing: ${missing}`);
  return method === undefined || method === "icl" ? { kind: "icl" } : { kind: "pairs", method };
}

/** Throws E_BAD_ARGUMENT for options that have no effect with the source. */
export function checkSource(source: ExtractSource, options: Given): void {
  const { pooling, layers, bestLayers, maxNewTokens } = options;
  const isGiven = (name: string): boolean => (options as unknown as Record<string, unknown>)[camelCase(name)] !== undefined;
  const misplaced = Object.keys(READ_BY).find((name) => isGiven(name) && !READ_BY[name]!.includes(source.kind));
  const how = source.kind === "pairs" ? `--method ${source.method}` : WRITTEN[source.kind];
  const wrong = [
    misplaced && `--${misplaced} has no effect with ${how}; it is for ${READ_BY[misplaced]!.map((kind) => WRITTEN[kind]).join(" and ")}`,
    source.kind === "pairs" && pooling !== "step" && maxNewTokens !== undefined
      && `--max-new-tokens has no effect with --pooling ${pooling ?? "mean"}; it is for --method icl and --pooling step`,
    layers !== undefined && bestLayers !== undefined && "--layers and --best-layers both choose layers; give only one of them",
  ].find((message) => typeof message === "string");
  if (wrong) throw new SteeringError("E_BAD_ARGUMENT", wrong);
}
