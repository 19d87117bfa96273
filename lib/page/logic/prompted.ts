import type { VectorEntry } from "../../server/schemas/index.js";
import type { Setting } from "./setting.js";
import { titleOf } from "./steering.js";

/** What a prompted column asks for unless the user writes something else: one sentence per vector in use. */
export function proposedSystem(uses: Setting["uses"], entries: ReadonlyMap<string, VectorEntry>): string {
  return uses.flatMap(({ id }) => {
    const entry = entries.get(id);
    return entry === undefined ? [] : [`You are someone who ${wish(entry)}.`];
  }).join(" ");
}

/** A vector from words was made from the end of this very sentence; ready-made ones say what they do: "Answers in Italian, from …". */
function wish(entry: Pick<VectorEntry, "id" | "origin" | "property" | "description" | "source">): string {
  const [towards] = entry.property.split(" vs ");
  if (entry.origin === "words" && towards) return towards;
  const does = entry.description?.split(/[,.;]/)[0]?.trim();
  return does ? `${does.charAt(0).toLowerCase()}${does.slice(1)}` : `is ${titleOf(entry, entry.id).toLowerCase()}`;
}

/** The system message of a column: that of the page and, if the column is prompted, its own. */
export function systemOf(
  { system, columns, uses }: Pick<Setting, "system" | "columns" | "uses">, index: number, entries: ReadonlyMap<string, VectorEntry>,
): string {
  return [system, askedBy({ columns, uses }, index, entries)].filter((text) => text !== "").join("\n\n");
}

/** What a prompted column asks for; empty for the others. */
export function askedBy(
  { columns, uses }: Pick<Setting, "columns" | "uses">, index: number, entries: ReadonlyMap<string, VectorEntry>,
): string {
  const { kind, system } = columns[index]!;
  return kind === "prompted" ? system ?? proposedSystem(uses, entries) : "";
}
