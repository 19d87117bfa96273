import { DEFAULT_PARALLEL, STRATEGY_WORDS } from "../lib/experiment/index.js";
import { spec, type Strategy } from "../lib/experiments.js";
import { SteeringError, SteeringVector, type FormatOptions, type HookSite } from "../lib/index.js";
import { parseServers } from "../lib/engine/index.js";
import { FORMAT_CHOICES } from "../lib/prompt/index.js";
import { HOOK_SITES } from "../lib/vector/index.js";
import { options, titled, type OutputOptions, type Values } from "./command.js";
import { defined } from "./common.js";
import { shard } from "./shard.js";

const wholeNumber = (least: number) => (value: number, name: string): number => {
  if (Number.isInteger(value) && value >= least) return value;
  throw new SteeringError("E_BAD_ARGUMENT", `--${name} must be a whole number of at least ${least}`);
};

/** A whole number of at least `least`, checked before anything is loaded. */
export const count = (least = 1) => ({ type: "number", coerce: wholeNumber(least) } as const);

export const file = { type: "string", demandOption: true } as const;

/** What computes a model. */
export const MACHINE = titled("Machine", {
  threads: { ...count(), describe: "Number of CPU threads", defaultDescription: "one per idle core" },
  "gpu-layers": { ...count(0), describe: "Number of layers to run on the GPU", defaultDescription: "all, if there is a GPU" },
  rpc: {
    type: "string", coerce: parseServers, describe: "RPC servers that compute too, HOST:PORT joined by commas",
    defaultDescription: "$LLAMA_STEER_RPC",
  },
});

/** The model and what computes it. */
export const MODEL = options({
  model: { ...file, describe: "Model: a name from `models list`, an hf: address, or a path to a GGUF" },
  ...MACHINE,
});

export type ModelOptions = Values<typeof MODEL> & OutputOptions;

/** How questions are put to the model; `standard` describes the default where it is not `auto`. */
export const formatOptions = (standard = "auto: chat if the model has a template for it, else qa") => titled("Prompt", {
  format: {
    choices: FORMAT_CHOICES, defaultDescription: standard,
    describe: "How to ask: by the model's chat template, as Q:…A:, or the text alone",
  },
  system: { type: "string", describe: "System message; with qa and raw, an opening paragraph" },
  "template-variable": {
    type: "string", array: true, coerce: templateVariable,
    describe: "NAME=JSON for the chat template, e.g. enable_thinking=false (repeatable)",
  },
});

type FormatArguments = Values<ReturnType<typeof formatOptions>>;

/** The options of `formatOptions` as the library takes them. */
export function formatGiven({ format, system, templateVariable }: FormatArguments): FormatOptions {
  const names = templateVariable.map(([name]) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new SteeringError("E_BAD_ARGUMENT", `--template-variable sets ${twice} twice; give it once`);
  return { ...defined({ format, system }), ...(names.length > 0 && { templateVariables: Object.fromEntries(templateVariable) }) };
}

export const DATASETS = options({
  datasets: { type: "string", describe: "Folder of datasets", defaultDescription: "$LLAMA_STEER_DATASETS, or the model's own" },
});

/** Options of every run of an experiment. */
export const RUN = options({
  out: { type: "string", describe: "Folder of the run; an unfinished run in it is resumed", defaultDescription: "runs/MODEL/NAME" },
  ...DATASETS,
  parallel: {
    ...count(), default: DEFAULT_PARALLEL,
    describe: "Prompts to answer at once, each in every setting; raise it for a large GPU",
  },
  shard: {
    type: "string", coerce: (text: string, name: string) => shard(text, name),
    describe: "Answer only shard I of N, as I/N from 0, or auto in a job array",
  },
});

export type RunArguments = Values<typeof RUN> & Values<typeof MACHINE> & OutputOptions;

/** Options of single and composed experiments; `published`: the paper's settings, which are the defaults. */
export const experimentOptions = (published: { alphas: readonly number[]; topP: readonly number[] }) => options({
  ...MODEL,
  ...RUN,
  "icl-examples": { ...count(0), default: 4, describe: "Demonstrations per prompt" },
  "evaluation-size": { ...count(), default: 50, describe: "Number of prompts to answer, from the start of the dataset" },
  "evaluate-on": {
    choices: ["groups", "rows"], default: "groups",
    describe: "groups: ask the last row of each group, as published; rows: ask every row",
  },
  "max-new-tokens": { ...count(), default: 30, describe: "Tokens per answer, and steps of an extracted vector" },
  strategies: {
    type: "string", coerce: list(strategy), describe: "Strategies to compare, joined by commas",
    defaultDescription: "dyn,fixed,start,dim",
  },
  alphas: {
    type: "string", coerce: list(number), describe: "Intensities of fixed, start and dim, joined by commas",
    defaultDescription: published.alphas.join(","),
  },
  "top-p": {
    type: "string", coerce: list(number), describe: "Values of p_top for dyn, joined by commas",
    defaultDescription: published.topP.join(","),
  },
  budgets: {
    type: "string", coerce: list(number), describe: "KL budgets to try as well, in nats per token, joined by commas",
  },
  "kl-reduction": {
    choices: ["mean", "sum"], default: "mean",
    describe: "mean: divide the KL by the size of the top-p set, as published; sum: do not",
  },
  ...formatOptions("qa, as published"),
  prompted: {
    type: "string", describe: "System message of the baseline that asks for the property, or none",
    defaultDescription: "what the dataset asks for",
  },
  "prompt-format": {
    choices: ["clean", "published"], default: "clean",
    describe: "published: qa as in the paper's code, with its extra BOS",
  },
  layers: { type: "string", default: "all", coerce: spec.parseIndices, describe: "Layers to steer, counted from 0, e.g. 4-9+12" },
  heads: { type: "string", default: "all", coerce: spec.parseIndices, describe: "Heads to steer, counted from 0; site head_out only" },
});

export type ExperimentArguments = Values<ReturnType<typeof experimentOptions>> & OutputOptions;

export const siteOption = (site: HookSite) => options({
  site: { choices: HOOK_SITES, default: site, describe: "Hook site: the place in a block where activations are read" },
});

/** The indices of a draw: as given, or those of the vector file whose draw is to be repeated. */
export async function supportIndices(text: string | undefined): Promise<number[] | undefined> {
  if (text === undefined) return undefined;
  if (!text.endsWith(".safetensors")) return list(index)(text, "support-indices");
  const { origin } = (await SteeringVector.load(text)).provenance;
  if (origin.kind === "icl") return origin.supportIndices;
  throw new SteeringError("E_BAD_ARGUMENT", `--support-indices ${text}: this vector has no draw to repeat; `
    + "expected a vector extracted with --method icl");
}

/** For `coerce`: values joined by commas. */
export function list<Value>(parse: (word: string, name: string) => Value): (text: string, name: string) => Value[] {
  return (text, name) => text.split(",").map((word) => parse(word.trim(), name));
}

export function number(word: string, name: string): number {
  const value = Number(word);
  if (word !== "" && Number.isFinite(value)) return value;
  throw new SteeringError("E_BAD_ARGUMENT", `--${name}: "${word}" is not a number; expected numbers, e.g. 0.5,1,1.5`);
}

function index(word: string, name: string): number {
  if (/^\d+$/.test(word)) return Number(word);
  throw new SteeringError("E_BAD_ARGUMENT", `--${name}: "${word}" is not an index; expected whole numbers from 0, e.g. 3,17`);
}

function templateVariable(text: string, name: string): [string, unknown] {
  const equals = text.indexOf("=");
  const wrong = `--${name} ${text}: expected NAME=JSON, e.g. enable_thinking=false or mood="calm" (in a shell: 'mood="calm"')`;
  if (equals < 1) throw new SteeringError("E_BAD_ARGUMENT", wrong);
  try {
    return [text.slice(0, equals), JSON.parse(text.slice(equals + 1))];
  } catch (cause) {
    throw new SteeringError("E_BAD_ARGUMENT", wrong, { cause });
  }
}

function strategy(word: string, name: string): Strategy {
  const found = Object.entries(STRATEGY_WORDS).find((names) => names.includes(word));
  if (found) return found[1];
  throw new SteeringError("E_BAD_ARGUMENT", `--${name}: "${word}" is not a strategy; expected ${Object.keys(STRATEGY_WORDS).join(", ")}`);
}
