import { KINDS, STRATEGIES } from "../steering/index.js";
import type { RunFile, RunSetting } from "../results/index.js";

/** Groups of settings, in the order of the figures. */
export const GROUPS = [
  "ICL", "No ICL", "Prompted", "One alone", ...STRATEGIES.map((kind) => KINDS[kind].label), "Budget", "Answer budget", "Gated", "Other",
] as const;
export type Group = (typeof GROUPS)[number];

/** The group of a setting. */
export function groupOf({ vectors }: Pick<RunFile, "vectors">, { prompt, steer }: RunSetting): Group {
  if (prompt === "prompted") return "Prompted";
  if (prompt !== "no-icl") return "ICL";
  if (steer.length === 0) return "No ICL";
  if (steer.length < vectors.length) return "One alone";
  if (steer.some(({ gate }) => gate !== undefined)) return "Gated";
  const budgets = steer.flatMap(({ schedule }) => (schedule.kind === "budget" ? [schedule.per] : []));
  if (budgets.length === steer.length) return budgets.every((per) => per === "answer") ? "Answer budget" : "Budget";
  const kinds = new Set(steer.map(({ schedule }) => schedule.kind));
  const strategy = STRATEGIES.find((kind) => kinds.size === 1 && kinds.has(kind));
  return strategy ? KINDS[strategy].label : "Other";
}

/** The settings' labels by group: groups in the order of `GROUPS`, settings in that of the run. */
export function groupedSettings(run: Pick<RunFile, "vectors" | "settings">): Array<{ group: Group; labels: string[] }> {
  return GROUPS.map((group) => ({
    group,
    labels: run.settings.filter((setting) => groupOf(run, setting) === group).map(({ label }) => label),
  })).filter(({ labels }) => labels.length > 0);
}

/** The default setting to compare others with: the first Dyn, otherwise the first that steers with all vectors. */
export function defaultReference(run: Pick<RunFile, "vectors" | "settings">): string | undefined {
  const steered = run.settings.filter(({ steer }) => steer.length === run.vectors.length);
  return (steered.find((setting) => groupOf(run, setting) === "Dyn") ?? steered[0])?.label;
}

/** Names of a run's vectors: their properties, numbered if several share one. */
export function vectorNames({ vectors }: Pick<RunFile, "vectors">): string[] {
  const properties = vectors.map(({ property }) => property);
  return properties.map((property, index) =>
    properties.indexOf(property) === properties.lastIndexOf(property) ? property : `${property} (${index + 1})`,
  );
}
