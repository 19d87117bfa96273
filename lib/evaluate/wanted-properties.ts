import { isDeepStrictEqual } from "node:util";
import { baseName } from "../dataset/index.js";
import { languageOfDataset, parseLanguage } from "./language-code.js";
import type { Probe } from "../probe/index.js";
import { plannedEvaluator, plannedProperties, probePairs, type PlannedProperty, type RunFile, type Sides } from "../results/index.js";

/** The properties that steering aims for, according to a plan or to the names of the datasets. */
export interface WantedProperties {
  /** ISO 639-3. */
  language?: string | undefined;
  safety?: "safe" | "unsafe" | undefined;
  formality?: "formal" | "informal" | undefined;
}

/**
 * The properties that a run steers towards: in a comparison of methods those that its plan has judged, otherwise those that the names of
 * the datasets tell and that the dataset's own answers lack. Throws E_BAD_RUN.
 */
export function wantedOf({ kind, config, datasets, vectors }: Pick<RunFile, "kind" | "config" | "datasets" | "vectors">): WantedProperties {
  const planned = plannedProperties({ config });
  if (planned) return Object.assign({}, ...planned.map(wantedByPlan)) as WantedProperties;
  const aim = propertiesOf(kind === "single"
    ? datasets["positive"]?.name ?? vectors[0]!.property
    : datasets["composed"]?.name ?? vectors.map(({ property }) => property).join(" "));
  const usual = datasets["negative"]?.name;
  if (usual === undefined) return aim.language === "eng" ? { ...aim, language: undefined } : aim;
  return lackedBy(usual, aim);
}

function wantedByPlan(property: PlannedProperty): WantedProperties {
  const { judge } = property;
  if (judge !== "probe" && "language" in judge) return { language: parseLanguage(judge.language) };
  return shownByPairs(probePairs(property) ?? []);
}

/** What a property's judge judges: language, brevity; for a probe what its datasets' names tell, otherwise the property's own name. */
export function judgedProperty(planned: PlannedProperty): string {
  if (probePairs(planned) === undefined) return plannedEvaluator(planned);
  return Object.keys(wantedByPlan(planned))[0] ?? planned.name;
}

/** The one property by which the first dataset of every pair differs from the second, according to their names; empty if none does. */
function shownByPairs(pairs: readonly Sides[]): WantedProperties {
  const [first = {}, ...others] = pairs.map(([shows, lacks]) => lackedBy(baseName(lacks), propertiesOf(baseName(shows))));
  return Object.keys(first).length === 1 && others.every((each) => isDeepStrictEqual(each, first)) ? first : {};
}

/** Those of the properties that a dataset does not show, according to its name. */
export function lackedBy(name: string, properties: WantedProperties): WantedProperties {
  const there = propertiesOf(name);
  return Object.fromEntries(Object.entries(properties).filter(([key, value]) => there[key as keyof WantedProperties] !== value));
}

/** The property that a probe judges and the side that has it, according to the names of its datasets; empty if the names do not tell. */
export function wantedSide(
  { provenance: { positive, negative } }: Pick<Probe, "provenance">,
  wanted: WantedProperties,
): { property?: keyof WantedProperties; wanted?: "positive" | "negative" } {
  const sides = { positive: propertiesOf(positive.name), negative: propertiesOf(negative.name) };
  const told = (["language", "safety", "formality"] as const)
    .find((name) => wanted[name] !== undefined && sides.positive[name] !== sides.negative[name]);
  const side = told && (["positive", "negative"] as const).find((each) => sides[each][told] === wanted[told]);
  return side ? { property: told, wanted: side } : {};
}

/** The properties that a dataset shows, according to its name. */
export function propertiesOf(name: string): WantedProperties {
  const language = languageOfDataset(name);
  const safety = /unsafe/.exec(name) ? "unsafe" : /safe/.exec(name) ? "safe" : undefined;
  const formality = /i2f/.exec(name) ? "formal" : /f2i/.exec(name) ? "informal" : undefined;
  return { ...(language && { language }), ...(safety && { safety }), ...(formality && { formality }) };
}
