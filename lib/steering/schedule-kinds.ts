import { z } from "zod";

export const klReductionSchema = z.enum(["mean", "sum"]);
/** `mean` divides the KL by the size of the top-p set, as the published code does; `sum` is the paper's formula. */
export type KlReduction = z.infer<typeof klReductionSchema>;

/** Alphas are added as 32-bit floats. */
export const isAlpha = (value: number): boolean => Number.isFinite(Math.fround(value));
export const alphaSchema = z.number().refine(isAlpha, "must be a finite 32-bit float");
/** The largest alpha that a schedule may choose. */
const alphaMax = alphaSchema.min(0);
const P_RANGE = "must be above 0 and at most 1";
const alpha = alphaSchema.default(1);
/**
 * When Dyn does not measure: once `after` KLs in a row were below `below` nats, the next `for` steps take the alpha measured last; then
 * one is measured again, and decides whether as many follow.
 */
const skipSchema = z.strictObject({
  below: z.number().min(0).finite(),
  after: z.number().int().min(1).default(2),
  for: z.number().int().min(1).default(4),
});
const topP = z.number().gt(0, P_RANGE).max(1, P_RANGE);

/** What a budget is for: every token, or the whole answer. */
const perSchema = z.enum(["token", "answer"]);

/** What defines a kind of schedule, besides its settings. */
interface Facts<Settings> {
  /** Alpha at a token step; N = the vector's steps (docs/method.md §4). Absent if alpha depends on the distributions. */
  alphaAt?: (settings: Settings, step: number, nSteps: number) => number;
  /** Its short name on the command line and in plans. Absent if the command line does not offer it. */
  word?: string;
  /** The settings that `--steer` accepts, by short name; a point leads into an object. All are numbers, except those in `textSettings`. */
  settings?: Readonly<Record<string, string>>;
  textSettings?: readonly string[];
  /** The setting that a number without a name stands for; default: alpha. */
  bare?: string;
  /** Its name in the settings and reports of experiments. Absent if experiments do not compare it. */
  label?: string;
}

function kind<Schema extends z.ZodType, const Known extends Facts<z.output<Schema>>>(
  schema: Schema, known: Known,
): { schema: Schema } & Known {
  return { schema, ...known };
}

/**
 * Every kind of schedule allowed in files and on the command line, in the order of the reports. A new kind needs a row here and
 * a constructor in schedules.ts.
 */
export const KINDS = {
  dynamic: kind(z.strictObject({
    kind: z.literal("dynamic"),
    topP: topP.default(0.5),
    alphaMax: alphaMax.default(2),
    strongAlpha: alphaSchema.default(2),
    klReduction: klReductionSchema.default("mean"),
    skip: skipSchema.optional(),
  }), {
    word: "dyn", label: "Dyn",
    settings: {
      p: "topP", max: "alphaMax", strong: "strongAlpha", kl: "klReduction", skip: "skip.below", after: "skip.after", for: "skip.for",
    },
    textSettings: ["kl"],
  }),
  fixed: kind(z.strictObject({ kind: z.literal("fixed"), alpha }), {
    alphaAt: (settings) => settings.alpha,
    word: "fixed", label: "Fixed", settings: { alpha: "alpha" },
  }),
  start: kind(z.strictObject({ kind: z.literal("start"), alpha }), {
    alphaAt: (settings, step) => (step === 0 ? settings.alpha : 0),
    word: "start", label: "Start", settings: { alpha: "alpha" },
  }),
  diminishing: kind(z.strictObject({ kind: z.literal("diminishing"), alpha }), {
    alphaAt: (settings, step, nSteps) => settings.alpha * Math.max(0, 1 - step / nSteps),
    word: "dim", label: "Dim", settings: { alpha: "alpha" },
  }),
  window: kind(z.strictObject({
    kind: z.literal("window"),
    alpha,
    from: z.number().int().min(0).default(0),
    to: z.number().int().min(1),
  }).refine(({ from, to }) => from < to, "to must be above from"), {
    alphaAt: (settings, step) => (step >= settings.from && step < settings.to ? settings.alpha : 0),
    word: "window", settings: { alpha: "alpha", from: "from", to: "to" },
  }),
  /** The largest alpha that keeps the KL of a token's distribution from the unsteered one within `nats`. */
  budget: kind(z.strictObject({
    kind: z.literal("budget"),
    nats: z.number().min(0).finite().default(0.5),
    alphaMax: alphaMax.default(2),
    per: perSchema.default("token"),
  }), {
    word: "budget", bare: "nats",
    settings: { nats: "nats", max: "alphaMax", per: "per" }, textSettings: ["per"],
  }),
  /** The alphas of an earlier generation, per step; 0 after the last. */
  recorded: kind(z.strictObject({ kind: z.literal("recorded"), alphas: z.array(alphaSchema) }), {
    alphaAt: ({ alphas }, step) => alphas[step] ?? 0,
  }),
};

type Kinds = typeof KINDS;
/** The kinds of schedules, by name. */
export type Kind = keyof Kinds;
export type KindSchema = Kinds[Kind]["schema"];
type Compared = { [Name in Kind]: Kinds[Name] extends { label: string } ? Name : never }[Kind];
/** Names of the compared kinds in settings and reports. */
export type StrategyLabel = Kinds[Compared]["label"];

/** Name and properties of every kind. */
export const FACTS = Object.entries(KINDS) as Array<[Kind, Facts<never>]>;

const compared = FACTS.flatMap(([name, { label }]) => (label === undefined ? [] : [name as Compared]));
export const strategySchema = z.enum(compared);
/** One of `STRATEGIES`. */
export type Strategy = z.infer<typeof strategySchema>;
/** The kinds of schedules that experiments compare (docs/method.md §4), in the order of the reports. */
export const STRATEGIES: readonly Strategy[] = compared;
/** The compared kinds, by their short names on the command line and in plans. */
export const STRATEGY_WORDS = Object.fromEntries(STRATEGIES.map((name) => [KINDS[name].word, name])) as Readonly<Record<string, Strategy>>;
