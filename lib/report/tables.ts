import { mean, type Estimate } from "../maths/index.js";
import { columnOf, judgesOf, outcomeMean, outcomesOf, type Outcome } from "../results/index.js";
import { JOINT, judgedNames, shareRows, type RunData, type ShareRow } from "./data.js";
import { brief, percent } from "./figures/chart.js";
import { groupOf } from "./strategy.js";

type Value = string | number | null;
export interface Column<T> {
  name: string;
  value: (row: T) => Value;
  /** Text for people. Columns without it appear only in the CSV. */
  show?: (row: T) => string;
}

/** A table, as values for programs and as text for people. */
export interface Table {
  /** Names its files, for example "settings". */
  id: string;
  title: string;
  caption: string;
  columns: string[];
  rows: Value[][];
  /** Text for people: fewer columns, intervals in brackets. */
  shownColumns: string[];
  shown: string[][];
}

/** Make a table of rows. */
export function table<T>(head: Pick<Table, "id" | "title" | "caption">, rows: readonly T[], columns: ReadonlyArray<Column<T>>): Table {
  const forPeople = columns.filter(({ show }) => show);
  return {
    ...head, columns: columns.map(({ name }) => name), rows: rows.map((row) => columns.map(({ value }) => value(row))),
    shown: rows.map((row) => forPeople.map(({ show }) => show!(row))), shownColumns: forPeople.map(({ name }) => name),
  };
}

/** One row per setting: shares, ΔPPL, lengths, and the means of the fluency evaluator's measures. */
export function settingsTable(data: RunData): Table {
  const shares = shareRows(data);
  const names = [...judgedNames(data).map(({ name }) => name), ...(shares.some(({ property }) => property === JOINT) ? [JOINT] : [])];
  const shareOf = (setting: string, property: string) => shares.find((row) => row.setting === setting && row.property === property);
  const recordsOf = (setting: string) => data.records.filter((record) => record.setting === setting);
  const lengthOf = (setting: string): number | null =>
    meanOf(recordsOf(setting).flatMap(({ tokens }) => (tokens.length > 0 ? [tokens.length] : [])));
  const columns: Array<Column<RunData["summary"][number]>> = [
    { name: "setting", value: ({ setting }) => setting, show: ({ setting }) => setting },
    { name: "answers", value: ({ answers }) => answers, show: ({ answers }) => String(answers) },
    { name: "failed", value: ({ failed }) => failed, show: ({ failed }) => (failed > 0 ? String(failed) : "") },
    ...names.flatMap((name): Array<Column<RunData["summary"][number]>> => [
      {
        name,
        value: ({ setting }) => shareOf(setting, name)?.share ?? null,
        show: ({ setting }) => withInterval(asEstimate(shareOf(setting, name)), percent),
      },
      { name: `${name} low`, value: ({ setting }) => shareOf(setting, name)?.low ?? null },
      { name: `${name} high`, value: ({ setting }) => shareOf(setting, name)?.high ?? null },
      {
        name: `${name}: not judged`,
        value: ({ setting }) => shareOf(setting, name)?.undetermined ?? null,
        show: ({ setting }) => String(shareOf(setting, name)?.undetermined || ""),
      },
    ]),
    {
      name: "median ΔPPL",
      value: ({ deltaPerplexity }) => deltaPerplexity?.median.value ?? null,
      show: ({ deltaPerplexity }) => withInterval(deltaPerplexity?.median, brief),
    },
    { name: "median ΔPPL low", value: ({ deltaPerplexity }) => deltaPerplexity?.median.low ?? null },
    { name: "median ΔPPL high", value: ({ deltaPerplexity }) => deltaPerplexity?.median.high ?? null },
    {
      name: "quartiles of ΔPPL",
      value: ({ deltaPerplexity }) => deltaPerplexity?.quartiles.join(" ") ?? null,
      show: ({ deltaPerplexity }) => (deltaPerplexity ? deltaPerplexity.quartiles.map(brief).join(" … ") : ""),
    },
    {
      name: "mean ΔPPL",
      value: ({ deltaPerplexity }) => deltaPerplexity?.mean.value ?? null,
      show: ({ deltaPerplexity }) => withInterval(deltaPerplexity?.mean, brief),
    },
    { name: "answers with ΔPPL", value: ({ deltaPerplexity }) => deltaPerplexity?.n ?? 0 },
    { name: "mean length (tokens)", value: ({ setting }) => lengthOf(setting), show: ({ setting }) => shownNumber(lengthOf(setting)) },
    ...outcomesOf(data).flatMap((outcome) => outcomeColumns(data, outcome)),
    ...measuredColumns(data).map(({ evaluator, column, title }): Column<RunData["summary"][number]> => {
      const valueOf = (setting: string): number | null =>
        meanOf(data.records.flatMap((record, index) => (record.setting === setting ? measuredAt(data, evaluator, column, index) : [])));
      return {
        name: `mean ${title}`,
        value: ({ setting }) => valueOf(setting),
        show: ({ setting }) => shownNumber(valueOf(setting)),
      };
    }),
  ];
  const hasSome = ({ value, name }: (typeof columns)[number]): boolean =>
    name === "setting"
    || data.summary.some((row) => value(row) !== null && !(value(row) === 0 && (name === "failed" || name.endsWith("not judged"))));
  return table({
    id: "settings", title: "All settings",
    caption: "Brackets contain 95 % intervals: Wilson's for shares, bootstrap over prompts for medians and means. "
      + "Answers that could not be judged count as not having the property.",
  }, data.summary, columns.filter(hasSome));
}

const OVERVIEW = ["run", "model", "prompts", "wanted", "ICL", "No ICL", "prompted", "best Dyn", "best Fixed"] as const;

/** A run's row of the overview: its best Dyn and Fixed settings (by share of hits, then by lowest ΔPPL) next to the unsteered ones. */
export function overviewRow(name: string, data: RunData): string[] {
  const { run, isComplete } = data;
  const names = judgedNames(data);
  const shares = shareRows(data);
  const judges = judgesOf(data).map(({ header }) => header.evaluator);
  const judged = names.filter(({ evaluator }) => judges.includes(evaluator));
  const property = judged.length > 1 ? JOINT : judged[0]?.name;
  const bestOf = (group: string): string => {
    const found = run.settings
      .filter((setting) => groupOf(run, setting) === group && setting.prompt !== "icl-language")
      .flatMap(({ label }) => {
        const share = shares.find((row) => row.setting === label && row.property === property);
        const delta = data.summary.find(({ setting }) => setting === label)?.deltaPerplexity?.median.value;
        return share || delta !== undefined ? [{ label, share: share?.share, delta }] : [];
      })
      .sort((a, b) => (b.share ?? 0) - (a.share ?? 0) || (a.delta ?? Infinity) - (b.delta ?? Infinity))[0];
    if (!found) return "";
    const { label, share, delta } = found;
    return [`${label}:`, share === undefined ? "" : percent(share), delta === undefined ? "" : `(ΔPPL ${brief(delta)})`]
      .filter(Boolean).join(" ");
  };
  const answered = new Set(data.records.map(({ prompt }) => prompt)).size;
  return [
    name, [run.model.name, String(run.model.fingerprint["quantisation"] ?? "")].filter(Boolean).join(" "),
    `${answered}${isComplete ? "" : ` of ${run.nPrompts}`}`, names.map((each) => each.name).join(" + ") || "not evaluated",
    ...["ICL", "No ICL", "Prompted", "Dyn", "Fixed"].map(bestOf),
  ];
}

/** The rows of all runs. */
export function overviewTable(rows: ReadonlyArray<readonly string[]>): Table {
  return table({
    id: "overview", title: "All runs",
    caption: "Share of answers with the wanted property (for compositions: all properties at once) and median ΔPPL. Dyn and Fixed are "
      + "represented by their setting with the highest share and, if equal, the lower ΔPPL. Where a run has several of them, this choice "
      + "is made on the same prompts, so they look slightly better than they would on new ones. A comparison of methods has one of each, "
      + "whose strength other questions chose.",
  }, rows, OVERVIEW.map((name, index) => ({ name, value: (row) => row[index]!, show: (row) => row[index]! })));
}

/** The mean of an outcome with its interval. */
function outcomeColumns(data: RunData, outcome: Outcome): Array<Column<RunData["summary"][number]>> {
  const found = new Map(data.run.settings.map(({ label }) => [label, outcomeMean(data, outcome, label)]));
  const name = `mean ${outcome.name}`;
  return [
    { name, value: ({ setting }) => found.get(setting)?.value ?? null, show: ({ setting }) => withInterval(found.get(setting), brief) },
    { name: `${name} low`, value: ({ setting }) => found.get(setting)?.low ?? null },
    { name: `${name} high`, value: ({ setting }) => found.get(setting)?.high ?? null },
  ];
}

/** A numeric column of an evaluation, whose mean the table shows. */
interface Measured {
  evaluator: string;
  column: string;
  title: string;
}

/** Measures of evaluators other than `fluency`, of which all are shown. */
const MEASURES: ReadonlyArray<[evaluator: string, suffix: string | undefined, title: string]> = [
  ["switching", undefined, "share of words in other languages"], ["quality", undefined, "quality (0 to 2)"],
  ["quality", "concept", "concept"], ["quality", "instruct", "instruct"], ["quality", "fluency", "fluency"],
];

function measuredColumns({ evaluations }: RunData): Measured[] {
  const rows = evaluations.find(({ header }) => header.evaluator === "fluency")?.rows ?? [];
  const prefix = `${columnOf("fluency")}_`;
  const isMeasure = ([name, value]: [string, unknown]): boolean => name.startsWith(prefix) && typeof value === "number";
  const names = new Set(rows.flatMap((row) => Object.entries(row).filter(isMeasure).map(([name]) => name)));
  const others = MEASURES.filter(([evaluator]) => evaluations.some(({ header }) => header.evaluator === evaluator));
  return [
    ...Array.from(names, (column) => ({ evaluator: "fluency", column, title: column.slice(prefix.length).replaceAll("_", " ") })),
    ...others.map(([evaluator, suffix, title]) => ({ evaluator, column: columnOf(evaluator, suffix), title })),
  ];
}

function measuredAt({ evaluations }: RunData, evaluator: string, column: string, index: number): number[] {
  const value = evaluations.find(({ header }) => header.evaluator === evaluator)?.rows[index]?.[column];
  return typeof value === "number" ? [value] : [];
}

function meanOf(values: readonly number[]): number | null {
  return values.length === 0 ? null : mean(values);
}

function shownNumber(value: number | null): string {
  return value === null ? "" : brief(value);
}

function asEstimate(row: ShareRow | undefined): Estimate | undefined {
  return row && { value: row.share, low: row.low, high: row.high };
}

export function withInterval(estimate: Estimate | null | undefined, format: (value: number) => string): string {
  return estimate ? `${format(estimate.value)} [${format(estimate.low)}, ${format(estimate.high)}]` : "";
}

export function signed(value: number, format: (value: number) => string): string {
  const text = format(Math.abs(value));
  return /^[0.]+$/.test(text) ? text : `${value < 0 ? "−" : "+"}${text}`;
}

/** Texts that a spreadsheet takes for a formula, including those after a line end or a tab and those with full-width signs. */
const FORMULA = /^[\t\r\n]|^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]/;
const NUMBERS = /^-?\d+(\.\d+)?(e[+-]?\d+)?( -?\d+(\.\d+)?(e[+-]?\d+)?)*$/;

/**
 * Write CSV as in RFC 4180: fields with separators, quotes or line ends are quoted, numbers are written in full. A text that a
 * spreadsheet would evaluate is prefixed with an apostrophe (OWASP, "CSV Injection").
 */
export function toCsv(columns: readonly string[], rows: ReadonlyArray<ReadonlyArray<Value>>): string {
  const field = (value: Value): string => {
    const text = value === null ? "" : String(value);
    const safe = typeof value === "string" && FORMULA.test(text) && !NUMBERS.test(text) ? `'${text}` : text;
    return /[",;\t\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return [columns, ...rows].map((row) => `${row.map(field).join(",")}\r\n`).join("");
}

/** Write a table in GitHub's Markdown. Cells are escaped, so that they are never markup. */
export function toMarkdown({ title, caption, shownColumns, shown }: Table): string {
  const plain = (text: string): string => text.replace(/[\\`*_{}[\]<>|#&~$]/g, (mark) => `\\${mark}`).replace(/\s+/g, " ");
  const line = (cells: readonly string[]): string => `| ${cells.map(plain).join(" | ")} |`;
  const rule = `|${shownColumns.map(() => "---|").join("")}`;
  return [`# ${plain(title)}`, "", line(shownColumns), rule, ...shown.map(line), "", plain(caption), ""].join("\n");
}
