import type { Argv } from "yargs";
import { DEFAULT_PARALLEL, STRATEGY_WORDS } from "../lib/experiment/index.js";
import { spec, type Shard, type Strategy } from "../lib/experiments.js";
import { SteeringError, SteeringVector, type HookSite } from "../lib/index.js";
import { HOOK_SITES } from "../lib/vector/index.js";
import { modelOptions, wholeNumber, type ModelOptions } from "./common.js";

/** Short names of the strategies. */
const WORDS = Object.keys(STRATEGY_WORDS);

/** Options of every run of an experiment. */
export interface RunArguments extends ModelOptions {
  out: string | undefined;
  datasets: string | undefined;
  parallel: number;
  shard: Shard | undefined;
}

/** Options of single and composed experiments. */
export interface ExperimentArguments extends RunArguments {
  iclExamples: number;
  evaluationSize: number;
  evaluateOn: "groups" | "rows";
  maxNewTokens: number;
  promptFormat: "clean" | "published";
  klReduction: "mean" | "sum";
  strategies: Strategy[] | undefined;
  alphas: number[] | undefined;
  topP: number[] | undefined;
  layers: number[] | "all";
  heads: number[] | "all";
}

export function runOptions<T>(yargs: Argv<T>): Argv<T & RunArguments> {
  return yargs
    .option("out", { type: "string", nargs: 1, describe: "Folder of the run; one that holds it already is gone on with. Default: runs/MODEL/NAME" })
    .option("datasets", { type: "string", nargs: 1, describe: "Folder of datasets; default: LLAMA_STEER_DATASETS, or those that belong to the model" })
    .option("parallel", { type: "number", default: DEFAULT_PARALLEL, coerce: wholeNumber("parallel", 1), describe: "Prompts that are answered at once, in all settings; more for a large GPU" })
    .option("shard", { type: "string", nargs: 1, coerce: once(shard), describe: "I/N: only this part of the prompts, I from 0; `results merge` joins them" }) as unknown as Argv<T & RunArguments>;
}

export function experimentOptions<T>(yargs: Argv<T>, published: { alphas: readonly number[]; topP: readonly number[] }): Argv<T & ExperimentArguments> {
  return runOptions(modelOptions(yargs))
    .option("icl-examples", { type: "number", default: 4, coerce: wholeNumber("icl-examples", 0), describe: "Demonstrations per prompt" })
    .option("evaluation-size", { type: "number", default: 50, coerce: wholeNumber("evaluation-size", 1), describe: "Prompts to answer, from the first" })
    .option("evaluate-on", { choices: ["groups", "rows"] as const, default: "groups" as const, describe: "Ask the last row of every group, as published, or every row behind the rows before it" })
    .option("max-new-tokens", { type: "number", default: 30, coerce: wholeNumber("max-new-tokens", 1), describe: "Token steps" })
    .option("strategies", { type: "string", nargs: 1, coerce: list(strategy), describe: `Of ${WORDS.join(",")}; all by default` })
    .option("alphas", { type: "string", nargs: 1, coerce: list(number), describe: `Intensities of Fixed, Start and Dim; as published: ${published.alphas.join(",")}` })
    .option("top-p", { type: "string", nargs: 1, coerce: list(number), describe: `p_top of Dyn; as published: ${published.topP.join(",")}` })
    .option("kl-reduction", { choices: ["mean", "sum"] as const, default: "mean" as const, describe: "mean divides the KL by the size of the top-p set, as the published code does" })
    .option("prompt-format", { choices: ["clean", "published"] as const, default: "clean" as const, describe: "published: BOS before every piece, one demonstration left out, as its code does" })
    .option("layers", { type: "string", nargs: 1, default: "all", coerce: once(spec.parseIndices), describe: "Layers from 0, e.g. 4-9+12" })
    .option("heads", { type: "string", nargs: 1, default: "all", coerce: once(spec.parseIndices), describe: "Heads from 0, at head_out only" }) as unknown as Argv<T & ExperimentArguments>;
}

export function siteOption<T>(yargs: Argv<T>): Argv<T & { hookSite: HookSite }> {
  return yargs.option("hook-site", { choices: HOOK_SITES, default: "head_out" as HookSite, describe: "Where in a block; head_out is the published one" }) as unknown as Argv<T & { hookSite: HookSite }>;
}

/** A given draw: indices, or the vector file whose draw is to be repeated. */
export async function supportIndices(text: string | undefined): Promise<number[] | undefined> {
  if (text === undefined) return undefined;
  if (!text.endsWith(".safetensors")) return list(index)(text);
  const { origin } = (await SteeringVector.load(text)).provenance;
  if (origin.kind !== "icl") throw new SteeringError("E_BAD_ARGUMENT", `${text} was not extracted from prompts with demonstrations: it has no draw to repeat`);
  return origin.supportIndices;
}

/** For yargs' `coerce`: values joined by commas. */
export function list<Value>(parse: (word: string) => Value): (text: string | undefined) => Value[] | undefined {
  return once((text) => text.split(",").map((word) => parse(word.trim())));
}

/** For yargs' `coerce`: an option that is given several times arrives as a list. */
function once<Value>(parse: (text: string) => Value): (text: unknown) => Value | undefined {
  return (text) => {
    if (Array.isArray(text)) throw new SteeringError("E_BAD_ARGUMENT", `an option is given twice (${text.join(" and ")}); join its values, e.g. 0.5,1`);
    return text === undefined ? undefined : parse(String(text));
  };
}

export function number(word: string): number {
  const value = Number(word);
  if (word === "" || !Number.isFinite(value)) throw new SteeringError("E_BAD_ARGUMENT", `"${word}" is not a number; numbers joined by commas were expected, e.g. 0.5,1,1.5`);
  return value;
}

function index(word: string): number {
  const value = number(word);
  if (!Number.isInteger(value) || value < 0) throw new SteeringError("E_BAD_ARGUMENT", `"${word}" is no index; whole numbers from 0 were expected`);
  return value;
}

function strategy(word: string): Strategy {
  const found = Object.entries(STRATEGY_WORDS).find((names) => names.includes(word));
  if (!found) throw new SteeringError("E_BAD_ARGUMENT", `"${word}" is not a strategy; expected ${WORDS.join(", ")}`);
  return found[1];
}

function shard(text: string): Shard {
  const [, index, count] = /^(\d+)\/(\d+)$/.exec(text)?.map(Number) ?? [];
  if (index === undefined || count === undefined || index >= count) throw new SteeringError("E_BAD_ARGUMENT", `--shard ${text}: I/N was expected, I from 0 to N − 1, e.g. 0/4 for the first of four`);
  return { index, count };
}
