import { languageOfDataset } from "./language-code.js";
import type { Probe } from "../probe/index.js";
import type { RunFile } from "../results/index.js";

/** The properties that steering aims for, according to the names of the datasets. */
export interface WantedProperties {
  /** ISO 639-3. */
  language?: string | undefined;
  safety?: "safe" | "unsafe" | undefined;
  formality?: "formal" | "informal" | undefined;
}

/** The properties that a run steers towards and that the dataset's own answers lack. */
export function wantedOf({ kind, datasets, vectors }: Pick<RunFile, "kind" | "datasets" | "vectors">): WantedProperties {
  const aim = propertiesOf(kind === "single"
    ? datasets["positive"]?.name ?? vectors[0]!.property
    : datasets["composed"]?.name ?? vectors.map(({ property }) => property).join(" "));
  const usual = datasets["negative"]?.name;
  if (usual === undefined) return aim.language === "eng" ? { ...aim, language: undefined } : aim;
  const without = propertiesOf(usual);
  return Object.fromEntries(Object.entries(aim).filter(([name, value]) => without[name as keyof WantedProperties] !== value));
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
