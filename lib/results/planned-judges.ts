import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError } from "../errors.js";
import type { EvaluationHeader } from "./evaluations.js";
import type { RunFile } from "./run-file.js";

const sides = z.tuple([z.string(), z.string()]);
const planSchema = z.object({
  properties: z.array(z.object({
    name: z.string(), positive: z.string().optional(), negative: z.string().optional(),
    judge: z.union([
      z.object({ language: z.string() }), z.object({ brevity: z.number() }), z.literal("probe"), z.object({ probe: z.array(sides) }),
    ]),
  })),
});
/** A property of a comparison of methods, with its judge, as the run keeps them. */
export type PlannedProperty = z.infer<typeof planSchema>["properties"][number];

/** The datasets that show a property, and that do not. */
export type Sides = readonly [positive: string, negative: string];

/** The properties that a comparison of methods was planned with; undefined for other runs. Throws E_BAD_RUN. */
export function plannedProperties({ config }: Pick<RunFile, "config">): PlannedProperty[] | undefined {
  if (config["properties"] === undefined) return undefined;
  return parsedBy(planSchema, config, (problem) => new SteeringError("E_BAD_RUN", `the run's config.${problem}`)).properties;
}

/** The datasets that train a property's probe; undefined if a probe does not judge it. */
export function probePairs({ judge, positive, negative }: Omit<PlannedProperty, "name">): readonly Sides[] | undefined {
  if (judge === "probe") return positive === undefined || negative === undefined ? [] : [[positive, negative]];
  return "probe" in judge ? judge.probe : undefined;
}

/** Name of the evaluator that judges a property. */
export function plannedEvaluator({ name, judge }: PlannedProperty): string {
  if (judge !== "probe" && "language" in judge) return "language";
  return judge !== "probe" && "brevity" in judge ? "brevity" : `probe-${name}`;
}

/** Whether an evaluation is that of a property's judge. */
export function isPlanned({ evaluator, property }: Pick<EvaluationHeader, "evaluator" | "property">, planned: PlannedProperty): boolean {
  if (evaluator === plannedEvaluator(planned)) return true;
  return property === planned.name && evaluator.startsWith("probe-"); // an earlier version named probes after their datasets
}

/** Names of the properties that a comparison of methods was planned with, and that have not been judged; none in other runs. */
export function unjudged(
  { run, evaluations }: { run: Pick<RunFile, "config">; evaluations: ReadonlyArray<{ header: EvaluationHeader }> },
): string[] {
  const planned = plannedProperties(run) ?? [];
  return planned.filter((property) => !evaluations.some(({ header }) => isPlanned(header, property))).map(({ name }) => name);
}
