import { z } from "zod";
import { SteeringError } from "../errors.js";
import { HOOK_SITES, klReductionSchema } from "../steering/index.js";

/** Ways in which alpha follows the steps (REFERENCE §4), as `--strategies` names them. */
export const STRATEGIES = ["dynamic", "fixed", "start", "diminishing"] as const;
export type Strategy = (typeof STRATEGIES)[number];

/** Published values (REFERENCE §4 and §5). */
const PUBLISHED = {
  single: { alphas: [-1, 0.5, 1, 1.5, 2, 3, 4], topP: [0.5, 0.6, 0.7, 0.95] },
  compose: { alphas: [1, 1.5, 2], topP: [0.4, 0.5, 0.6, 0.7, 0.9] },
} as const;

const whole = (least: number) => z.number().int().min(least);
const indices = z.union([z.literal("all"), z.array(whole(0)).min(1)]);
const distinct = (values: readonly unknown[]): boolean => new Set(values).size === values.length;
const TWICE = "a value is given twice";

const common = {
  /** ICL demonstrations per prompt. */
  iclExamples: whole(0).default(4),
  /** Token steps. */
  maxNewTokens: whole(1).default(30),
  /** Prompts to answer, from the first. */
  evaluationSize: whole(1).default(50),
  /** Cut the evaluation data into groups as published, or ask every row, behind the rows before it. */
  evaluateOn: z.enum(["groups", "rows"]).default("groups"),
  promptFormat: z.enum(["clean", "published"]).default("clean"),
  klReduction: klReductionSchema.default("mean"),
  strategies: z.array(z.enum(STRATEGIES)).refine(distinct, TWICE).default([...STRATEGIES]),
  layers: indices.default("all"),
  /** At `head_out` only. */
  heads: indices.default("all"),
};
const alphas = (values: readonly number[]) => z.array(z.number()).refine(distinct, TWICE).default([...values]);
const topP = (values: readonly number[]) => z.array(z.number().gt(0).max(1)).refine(distinct, TWICE).default([...values]);

/** One property: extract its vector, answer every prompt in every setting. */
export const singleSchema = z.strictObject({
  positive: z.string().min(1),
  negative: z.string().min(1),
  /** Prompts per side of the extraction, drawn with replacement. */
  support: whole(1).default(30),
  seed: whole(0).default(32),
  /** A given draw instead of support and seed. */
  supportIndices: z.array(whole(0)).min(1).optional(),
  /** Default: the positive dataset, as published. */
  evalDataset: z.string().min(1).optional(),
  site: z.enum(HOOK_SITES).default("head_out"),
  ...common,
  alphas: alphas(PUBLISHED.single.alphas),
  topP: topP(PUBLISHED.single.topP),
});
export type SingleConfig = z.infer<typeof singleSchema>;

/** Several properties at once, each with a vector that was extracted before. */
export const composeSchema = z.strictObject({
  /** Vector files. */
  vectors: z.array(z.string().min(1)).min(2),
  /** Whose questions are asked. */
  source: z.string().min(1),
  /** Shows all properties at once: its answers are the reference of ΔPPL. */
  composed: z.string().min(1),
  /** Shows the language alone: one more baseline. */
  language: z.string().min(1).optional(),
  ...common,
  alphas: alphas(PUBLISHED.compose.alphas),
  topP: topP(PUBLISHED.compose.topP),
});
export type ComposeConfig = z.infer<typeof composeSchema>;

export type SingleOptions = z.input<typeof singleSchema>;
export type ComposeOptions = z.input<typeof composeSchema>;

/** Fill in defaults. Throws E_BAD_ARGUMENT naming the setting. */
export function parseConfig<Config>(schema: z.ZodType<Config>, options: unknown): Config {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new SteeringError("E_BAD_ARGUMENT", `${path.join(".") || "the experiment"}: ${message}`);
}
