/** One thing that was compared. */
export interface Section {
  title: string;
  outcome: "same" | "changed" | "failed" | "skipped";
  /** In a few words. */
  summary: string;
  /** What changed, or why it failed. */
  lines?: readonly string[];
}

/** Of a section's lines, unless all are asked for. */
const MOST_LINES = 25;

/** The report: what was compared with what, a line per section, and the details of those that are not as they were. */
export function page(heading: string, sections: readonly Section[], isFull: boolean): string {
  const table = sections.map(({ title, outcome, summary }) => `${title.padEnd(9)} ${outcome.padEnd(8)} ${summary}`);
  const details = sections.filter(({ lines }) => lines && lines.length > 0).map(({ title, lines }) => {
    const shown = isFull ? lines! : lines!.slice(0, MOST_LINES);
    const rest = lines!.length - shown.length;
    const more = rest > 0 ? [`  … and ${rest} more lines; --full shows them`] : [];
    return ["", `${title}:`, ...shown.map((line) => `  ${line}`), ...more].join("\n");
  });
  return [heading, "", ...table, ...details, ""].join("\n");
}

/** 0: nothing changed; 1: something did; 2: something could not be compared. */
export function exitStatus(sections: readonly Section[]): number {
  if (sections.some(({ outcome }) => outcome === "failed")) return 2;
  return sections.some(({ outcome }) => outcome === "changed") ? 1 : 0;
}
