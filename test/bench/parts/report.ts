import { machineLine } from "./machine.js";
import type { ModelResult, Results, RowResult } from "./results.js";
import type { Spread } from "./rounds.js";
import { allRows } from "./rows.js";

/** The results as Markdown: a table per model, in the order of the rows. */
export function tableOf({ machine, models }: Results): string {
  return [machineLine(machine), ...models.map((model) => modelTable(model))].join("\n\n");
}

function modelTable({ name, quantisation, bytes, vocabulary, threads, rows }: ModelResult): string {
  const order = allRows().map((row) => row.name);
  const sorted = rows.toSorted((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  const dates = rows.map(({ date }) => date.slice(0, 10)).sort();
  const period = dates[0] === dates.at(-1) ? dates[0] : `${dates[0]} to ${dates.at(-1)}`;
  const counts = [...new Set(rows.map(({ tokens }) => tokens))].sort((a, b) => a - b);
  return [
    `### ${name}, ${quantisation}`, "",
    `${(bytes / 1e6).toFixed(0)} MB, a vocabulary of ${vocabulary}; ${counts.join(" or ")} new tokens, ${threads} threads; ${period}`,
    "", "| row | measured | compared with | ratio | rounds |", "|---|---|---|---|---|", ...sorted.flatMap(rowLines),
  ].join("\n");
}

function rowLines(row: RowResult, index: number, rows: readonly RowResult[]): string[] {
  const isNew = rows[index - 1]?.group !== row.group;
  const cells = (first: string, value: string, other: string, ratio: string): string =>
    `| ${first} | ${value} | ${other} | ${ratio} | ${first === "" ? "" : row.rounds} |`;
  const label = isNew && row.group.endsWith("at once") ? `**${row.group}:** ${row.label}` : row.label;
  const value = `${number(row.value.median)} (${number(row.value.min)}–${number(row.value.max)}) ${row.unit}`;
  const compared = Object.entries(row.ratios).map(([name, ratio]): [string, string] => [labelOf(name), ratioText(ratio)]);
  if (row.dyn) {
    const { work, bound, ofBound } = row.dyn;
    if (work.guesses > 0) compared.push([
      `guesses: ${(work.hits / work.guesses).toFixed(2)} right, of ${(work.guesses / (work.tokens - 1)).toFixed(2)} per token`, "",
    ]);
    compared.push([`its bound, ${bound.median.toFixed(2)} of unsteered`, ratioText(ofBound)]);
  }
  const [first = ["", ""], ...rest] = compared;
  return [cells(label, value, ...first), ...rest.map((line) => cells("", "", ...line))];
}

const ratioText = ({ median, min, max, bar }: Spread & { bar?: number }): string =>
  `${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})${bar === undefined ? "" : `, bar ${bar}`}`;

const labelOf = (name: string): string => allRows().find((row) => row.name === name)?.label ?? name;

/** Three digits. */
function number(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
