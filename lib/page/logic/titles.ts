import type { Kind } from "./setting.js";

const TITLES: Readonly<Record<Kind, string>> = {
  none: "Unsteered", prompted: "Prompted", fixed: "Fixed", dynamic: "Dyn", budget: "Budget", start: "Start",
  diminishing: "Diminishing", window: "Window",
};
const EXPLAINED: Readonly<Record<Kind, string>> = {
  none: "the model as it is",
  prompted: "a system message asks for it",
  fixed: "the same alpha at every token",
  dynamic: "alpha follows what each token needs",
  budget: "the largest alpha that changes little enough",
  start: "alpha at the first token only",
  diminishing: "alpha falls from token to token",
  window: "alpha at the first few tokens",
};

export const kindTitle = (kind: Kind): string => TITLES[kind];
export const explained = (kind: Kind): string => EXPLAINED[kind];

/** The name of what a column does, by the kinds of its entries. */
export function columnTitle(kinds: readonly Kind[]): string {
  return [...new Set(kinds.length === 0 ? ["none" as const] : kinds)].map(kindTitle).join(" + ");
}
