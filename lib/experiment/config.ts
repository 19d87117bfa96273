import { z } from "zod";
import { parsedBy, problemOf } from "../checks.js";
import { shown, SteeringError } from "../errors.js";
import { isDatasetName, NAME_OR_FILE, type Dataset } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import { promptedMessage } from "../evaluate/index.js";
import { FORMAT_CHOICES, resolveDemonstrationFormat, type FormatOptions } from "../prompt/index.js";
import { begunRun, MAX_PROMPTS, MAX_VECTORS } from "../results/index.js";
import { STRATEGIES, STRATEGY_WORDS, alphaSchema, klReductionSchema, strategySchema, type Strategy } from "../steering/index.js";
import { FORMATS, HOOK_SITES, type Format } from "../vector/index.js";

export { STRATEGIES, STRATEGY_WORDS, type Strategy };

const strategy = z.preprocess((word) => STRATEGY_WORDS[String(word)] ?? word, strategySchema);

const whole = (least: number) => z.number().int().min(least);
const sortedIndices = z.array(whole(0)).min(1).transform((values) => [...new Set(values)].sort((a, b) => a - b));
const indices = z.union([z.literal("all"), sortedIndices]);
const distinct = (values: readonly unknown[]): boolean => new Set(values).size === values.length;
const TWICE = "a value is given twice";

const common = {
  /** ICL demonstrations per prompt. */
  iclExamples: whole(0),
  /** Token steps. */
  maxNewTokens: whole(1),
  /** Number of prompts to answer, starting with the first. */
  evaluationSize: whole(1),
  /** `groups`: split the evaluation data into groups, as published. `rows`: ask every row, with the preceding rows as demonstrations. */
  evaluateOn: z.enum(["groups", "rows"]),
  /** How questions and demonstrations are put to the model; default `qa`, as published. */
  format: z.enum(FORMAT_CHOICES).optional(),
  /** A system message, or an opening paragraph. */
  system: z.string().optional(),
  templateVariables: z.record(z.string(), z.unknown()).optional(),
  /**
   * The system message of the baseline `prompted`, which asks for the property (in the format `qa`, an opening paragraph); null: no such
   * baseline. Default: the instruction of the dataset that shows the property, unless the other dataset has the same; otherwise what its
   * name stands for.
   */
  prompted: z.string().refine((message) => message.trim() !== "", "expected a message, or null for no prompted baseline")
    .nullable().optional(),
  /** Variant of the format `qa`. */
  promptFormat: z.enum(["clean", "published"]),
  klReduction: klReductionSchema,
  strategies: z.array(strategy).refine(distinct, TWICE),
  /** Alphas of Fixed, Start and Dim; a composition tries every combination. */
  alphas: z.array(alphaSchema).refine(distinct, TWICE),
  /** p_top of Dyn. */
  topP: z.array(z.number().gt(0).max(1)).refine(distinct, TWICE),
  /** Budgets in nats per token, each up to alpha 2, as Dyn; the paper has none. */
  budgets: z.array(z.number().min(0)).min(1).refine(distinct, TWICE).optional(),
  layers: indices,
  /** Only at `head_out`. */
  heads: indices,
};

/** A dataset's name, or a path to a table file. */
const dataset = z.string().min(1).refine(isDatasetName, NAME_OR_FILE);

/** A single experiment: extract a property's vector, answer every prompt in every setting. */
export const singleSchema = z.strictObject({
  positive: dataset,
  negative: dataset,
  /** Prompts per side of the extraction, drawn with replacement. */
  support: whole(1).max(MAX_PROMPTS),
  seed: whole(0),
  /** Prompt indices, instead of a draw by `support` and `seed`. */
  supportIndices: z.array(whole(0)).min(1).optional(),
  /** Default: the positive dataset, as published. */
  evalDataset: dataset.optional(),
  site: z.enum(HOOK_SITES),
  ...common,
});
const formatSchema = singleSchema.pick({ system: true, templateVariables: true }).extend({ format: z.enum(FORMATS).optional() }).strip();
/** A single experiment with all its settings. */
export type SingleConfig = z.infer<typeof singleSchema>;

/** A composition: several properties at once, each with an existing vector. */
export const composeSchema = z.strictObject({
  /** Vector files. */
  vectors: z.array(z.string().min(1)).min(2, "expected at least two vectors, one for each property").max(MAX_VECTORS),
  /** The dataset whose questions are asked. */
  source: dataset,
  /** Demonstrations of all properties at once; answers after them are the reference for ΔPPL. */
  composed: dataset,
  /** Demonstrations of the language alone, for an additional baseline. */
  language: dataset.optional(),
  ...common,
});
/** A composition with all its settings. */
export type ComposeConfig = z.infer<typeof composeSchema>;

const COMMON_DEFAULTS = {
  iclExamples: 4, maxNewTokens: 30, evaluationSize: 50, evaluateOn: "groups", promptFormat: "clean", klReduction: "mean",
  strategies: [...STRATEGIES], layers: "all", heads: "all",
} as const;
/** The published settings (docs/method.md §3 to §5). */
export const SINGLE_DEFAULTS = {
  ...COMMON_DEFAULTS, support: 30, seed: 32, site: "head_out", alphas: [-1, 0.5, 1, 1.5, 2, 3, 4], topP: [0.5, 0.6, 0.7, 0.95],
} as const;
/** The published settings of compositions (docs/method.md §5). */
export const COMPOSE_DEFAULTS = { ...COMMON_DEFAULTS, alphas: [1, 1.5, 2], topP: [0.4, 0.5, 0.6, 0.7, 0.9] } as const;

/** `Config` with optional fields for everything in `Defaults`. */
export type WithDefaults<Config, Defaults> =
  Omit<Config, keyof Defaults> & { [K in keyof Defaults & keyof Config]?: Config[K] | undefined };
/** A single experiment; omitted fields default to the published settings. */
export type SingleOptions = WithDefaults<SingleConfig, typeof SINGLE_DEFAULTS>;
/** A composition; omitted fields default to the published settings. */
export type ComposeOptions = WithDefaults<ComposeConfig, typeof COMPOSE_DEFAULTS>;

/** Fill in defaults. Throws E_BAD_ARGUMENT naming the setting. */
export const parseSingle = (options: SingleOptions): SingleConfig => parse(singleSchema, SINGLE_DEFAULTS, options);
/** Fill in defaults. Throws E_BAD_ARGUMENT naming the setting. */
export const parseCompose = (options: ComposeOptions): ComposeConfig => parse(composeSchema, COMPOSE_DEFAULTS, options);

type FormatConfig = Pick<SingleConfig, "promptFormat" | keyof FormatOptions>;

/**
 * The same configuration with the format that `auto` stands for; none is `qa`, as in runs that older versions began. Throws
 * E_BAD_ARGUMENT.
 */
export function withFormat<Config extends FormatConfig>(
  model: Engine, { format = "qa", ...config }: Config,
): Omit<Config, "format"> & FormatConfig {
  const resolved = resolveDemonstrationFormat(model, [], { format, promptFormat: config.promptFormat, ...systemOf(config) });
  return { ...config, ...(resolved !== "qa" && { format: resolved }) };
}

/**
 * The same configuration with the message of the prompted baseline, by default that of the dataset that shows the properties and not
 * of the one that lacks them; without `prompted` if there is no such baseline. By default, a folder's run that was begun without one goes
 * on without one. Throws E_BAD_RUN.
 */
export async function withPrompted<Config extends Pick<SingleConfig, "prompted">>(
  { prompted: asked, ...config }: Config, { shows, lacks }: Record<"shows" | "lacks", Dataset>,
  { out, onNotice }: { out: string; onNotice?: (line: string) => void },
): Promise<Omit<Config, "prompted"> & { prompted?: string }> {
  const begun = asked === undefined ? await begunRun(out) : undefined;
  if (begun && typeof begun.config["prompted"] !== "string") {
    onNotice?.(`no prompted baseline: the run in ${out} was begun without one; choose another folder to have it`);
    return config;
  }
  const prompted = asked === undefined ? promptedMessage(shows, lacks) : asked;
  if (prompted === undefined) {
    onNotice?.(`no prompted baseline: ${shows.name} has no instruction of its own, and its name does not say what to ask for; `
      + "give a system message that asks for the property with --prompted");
  }
  return { ...config, ...(typeof prompted === "string" && { prompted }) };
}

/** How a run's questions are put to its model. */
export function formatOfConfig(config: object): FormatOptions & { format: Format } {
  const { format = "qa", templateVariables, ...rest } = parsedBy(formatSchema, config,
    (problem) => new SteeringError("E_BAD_RUN", `the run's config.${problem}`));
  return { format, ...systemOf(rest), ...(templateVariables && { templateVariables }) };
}

function systemOf({ system }: { system?: string | undefined }): { system?: string } {
  return system === undefined ? {} : { system };
}

function parse<Config>(schema: z.ZodType<Config>, defaults: object, options: object): Config {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const parsed = schema.safeParse({ ...defaults, ...given });
  if (parsed.success) return parsed.data;
  const { path, message } = problemOf(parsed.error.issues[0]!);
  const found: unknown = path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], given);
  const value = found === undefined ? "" : ` (${shown(found)})`;
  throw new SteeringError("E_BAD_ARGUMENT", `${path.join(".") || "the experiment"}${value}: ${message}`);
}
