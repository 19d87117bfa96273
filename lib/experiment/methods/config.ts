import { z } from "zod";
import { isDatasetName, NAME_OR_FILE } from "../../dataset/index.js";
import { judgedProperty, parseLanguage } from "../../evaluate/index.js";
import { MAX_PROMPTS } from "../../results/index.js";

/** The ways of steering that a comparison of methods has, beside the unsteered model and a system message that asks. */
export const METHODS = ["fixed", "start", "diminishing", "dynamic", "budget", "answer-budget", "gated"] as const;
/** One of `METHODS`. */
export type Method = (typeof METHODS)[number];

const whole = (least: number) => z.number().int().min(least).max(MAX_PROMPTS);
const text = z.string().refine((value) => value.trim() !== "", "expected a text that is not empty");
const dataset = z.string().min(1).refine(isDatasetName, NAME_OR_FILE);
/** A part of a file's name. */
const name = z.string().regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, "expected small letters, digits and hyphens, for example italian");
const language = text.refine((code) => {
  try {
    return parseLanguage(code) !== "";
  } catch {
    return false;
  }
}, "expected a language, for example it");

const judgeSchema = z.union([
  /** The language detector. */
  z.strictObject({ language }),
  /** At most this number of words. */
  z.strictObject({ brevity: whole(1) }),
  /** A probe on another model, which is trained on the property's own datasets. */
  z.literal("probe"),
  /** The same, trained on pairs of datasets, [positive, negative] each: in several languages, if answers may be in any of them. */
  z.strictObject({ probe: z.array(z.tuple([dataset, dataset])).min(1).max(8) }),
]);

const propertySchema = z.strictObject({
  name,
  /** Datasets that show the property, and that do not; or descriptions in words. */
  positive: dataset.optional(), negative: dataset.optional(),
  towards: text.optional(), away: text.optional(),
  judge: judgeSchema,
}).superRefine(({ positive, negative, towards, away, judge }, context) => {
  const refuse = (message: string): void => context.addIssue({ code: "custom", message });
  if ((positive === undefined) !== (negative === undefined)) refuse("positive and negative belong together");
  if ((positive === undefined) === (towards === undefined)) refuse("expected either positive and negative, or towards");
  if (away !== undefined && towards === undefined) refuse("away needs towards");
  if (judge === "probe" && positive === undefined) refuse("a probe is trained on positive and negative; give them");
});
/** A property of a comparison of methods: where its vector comes from, and who judges it. */
export type MethodProperty = z.infer<typeof propertySchema>;

const distinct = (values: readonly unknown[]): boolean => new Set(values).size === values.length;

/** A comparison of methods, as a plan states it. */
export const methodsSchema = z.strictObject({
  /** Names the run's folder. */
  name,
  /** Several are steered towards at once. */
  properties: z.array(propertySchema).min(1).max(8)
    .refine((properties) => distinct(properties.map((each) => each.name)), "two properties have the same name")
    .superRefine((properties, context) => {
      const judged = properties.map(judgedProperty);
      const twice = judged.find((each, index) => judged.indexOf(each) !== index);
      if (twice !== undefined) {
        context.addIssue({ code: "custom", message: `two properties are judged by their ${twice}; expected a different judge for each` });
      }
    }),
  /** The questions: the first are held out for the comparison, those after them choose the strengths. */
  questions: dataset,
  /** The system message that asks for the properties; an opening line for base models. */
  message: text,
  methods: z.array(z.enum(METHODS)).min(1).refine(distinct, "a method is given twice").default([...METHODS]),
  evaluationSize: whole(1).default(50),
  /** Questions that choose the strengths; never among those that are held out. */
  validation: whole(1).default(10),
  maxNewTokens: whole(1).default(30),
  /** Demonstration prompts per side of an extraction from datasets. */
  support: whole(1).default(30),
  seed: whole(0).default(32),
  /** Models that judge: the first that is not the steered one. `itself` stands for the steered model. */
  judges: z.array(z.string().min(1)).min(1),
}).superRefine(({ properties, methods }, context) => {
  if (!methods.includes("gated")) return;
  if (properties.length === 1 && properties[0]!.positive !== undefined) return;
  context.addIssue({
    code: "custom", path: ["methods"],
    message: "gated needs a single property with datasets, which train its gate; name the other methods",
  });
});
/** A comparison of methods with all its settings. */
export type MethodsConfig = z.infer<typeof methodsSchema>;
