import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { SteeringError } from "../errors.js";
import { throwIfAborted } from "../errors.js";
import { withLanguage } from "../evaluate/index.js";
import { assertWritable, writeFileAtomic, packageVersion } from "../formats/index.js";
import { readRun, runsBelow, runTitle, type RunFile, type RunResults } from "../results/index.js";
import { runData, samplePrompts, type RunData } from "./data.js";
import { assertCanDraw } from "./drawing.js";
import { runFigures } from "./figures/index.js";
import { runVectors } from "./norms.js";
import { checkShown, idOf, pageHtml, shownLength, type DrawnFigure, type RunSection } from "./page.js";
import { inlineSvg, renderPng, renderSvg, svgFile } from "./render.js";
import { samplesHtml } from "./samples.js";
import { defaultReference } from "./strategy.js";
import { agreementTable, differencesTable, frontTable, interferenceTable } from "./comparison-tables.js";
import { overviewRow, overviewTable, settingsTable, toCsv, toMarkdown, type Table } from "./tables.js";
import { readVocabulary, type Vocabulary } from "./token-texts.js";

export { runData } from "./data.js";
export { groupFronts } from "./front.js";

/** Options of `writeReport`. */
export interface ReportOptions {
  /** Folder to write to; created if missing. */
  out: string;
  /** Title of the page. */
  title?: string;
  /** Label of the setting to compare the others with, in runs that have it; default: the first Dyn setting. */
  reference?: string;
  /** Number of prompts per run whose answers are shown; default 3. */
  samples?: number;
  signal?: AbortSignal;
  /** Reports the runs drawn so far and the total. */
  onProgress?: (done: number, total: number) => void;
}

/** The files of a report. */
export interface ReportResult {
  /** Path of the page. */
  page: string;
  /** Paths of all files written, the page last. */
  files: string[];
}

const DEFAULT_SAMPLES = 3;
/** Charts with more characters are embedded as images. */
const LARGEST_INLINE = 300_000;

/**
 * Write a report about runs: `index.html`, a self-contained page; `figures/*.svg` and `*.png`; `tables/*.csv` and `*.md`. The same runs
 * give the same bytes on machines with the same fonts and model files. Needs packages that npm does not install with llama-steer; the
 * error names them.
 *
 * @param runs folders of runs, or folders with runs below them
 * @throws SteeringError E_NOT_FOUND, E_BAD_RUN, E_BAD_ARGUMENT (a reference that no run has, more runs than a page can
 *   show), E_NOT_INSTALLED (packages that draw figures), E_WRITE, E_ABORTED
 */
export async function writeReport(runs: readonly string[], options: ReportOptions): Promise<ReportResult> {
  const { out, reference, samples = DEFAULT_SAMPLES, signal, onProgress } = options;
  const folders = [...new Set(runs.flatMap(runsBelow).map((folder) => resolve(folder)))];
  if (folders.length === 0) throw new SteeringError("E_NOT_FOUND", "no run was given; expected at least one folder");
  assertCanDraw();
  for (const path of ["index.html", "figures/x.svg", "tables/x.csv"]) await assertWritable(join(out, path));
  const { labels, vocabularies, counts } = await firstReading(folders, samples, signal);
  if (reference !== undefined && !labels.has(reference)) {
    throw new SteeringError("E_BAD_ARGUMENT", `no run has a setting "${reference}"; expected one of ${[...labels].join(", ")}`);
  }
  const files = new FileWriter(out);
  const names = namesOf(folders);
  const sections: RunSection[] = [];
  const overviews: string[][] = [];
  let shown = 0;
  for (const [index, folder] of folders.entries()) {
    throwIfAborted(signal);
    onProgress?.(index, folders.length);
    const data = runData(await withLanguage(firstOf(await readRun(folder, { signal }), counts.get(folder)!)));
    const vectors = await runVectors(folder, data.run, folders);
    const hasTokens = data.records.some(({ tokens }) => tokens.length > 0);
    const vocabulary = hasTokens ? vocabularies.get(modelOf(data))! : { missing: "the run contains no tokens" };
    const prompts = samplePrompts(data, samples);
    const { name, slug } = names[index]!;
    const subtitle = `${runTitle(data.run)} · ${data.run.model.name}`;
    const figures = runFigures(data, { vectors, vocabulary, prompts, subtitle });
    const tables = [
      settingsTable(data), differencesTable(data, referenceOf(data, reference)), frontTable(data), interferenceTable(data),
      agreementTable(data),
    ].filter((table) => table !== undefined);
    overviews.push(overviewRow(name, data));
    const section: RunSection = {
      name, slug, run: data.run, isComplete: data.isComplete, answered: new Set(data.records.map(({ prompt }) => prompt)).size,
      headers: data.evaluations.map(({ header }) => header), notes: notesOf(data, vocabulary),
      figures: await drawFigures(figures, slug, files),
      tables: await writeTables(tables, slug, files),
      samples: prompts.length > 0 ? samplesHtml(data, prompts, vocabulary.bytes) : "",
    };
    sections.push(section);
    shown += shownLength(section);
    checkShown(shown, sections.length); // before the next run is drawn
  }
  onProgress?.(folders.length, folders.length);
  const overview = sections.length > 1 ? (await writeTables([overviewTable(overviews)], "", files))[0] : undefined;
  const title = options.title ?? (sections.length === 1 ? `Steering report: ${sections[0]!.name}` : "Steering report");
  const page = await files.write("index.html", pageHtml({ title, version: packageVersion(), sections, overview }));
  return { page, files: files.written };
}

function referenceOf({ run }: RunData, asked: string | undefined): string {
  return run.settings.find(({ label }) => label === asked)?.label ?? defaultReference(run) ?? run.settings[0]!.label;
}

/** Caveats for the reader of a run's section. */
function notesOf({ evaluations, records }: RunResults, vocabulary: Vocabulary): string[] {
  const partly = evaluations.filter(({ rows }) => rows.length < records.length);
  return [
    ...(evaluations.every(({ header }) => header.wanted === null) ? [NOT_JUDGED] : []),
    ...partly.map(({ header, rows }) =>
      `The evaluation "${header.evaluator}" covers ${rows.length} of ${records.length} answers; its shares refer to those.`),
    ...(vocabulary.missing !== undefined && records.length > 0
      ? [`The texts of single tokens are not shown: ${vocabulary.missing}.`]
      : []),
  ];
}

const NOT_JUDGED = "The answers of this run have not been judged, so no accuracies are shown. "
  + "To add them, run `llama-steer evaluate RUN` and write the report again.";

/** Names of the runs (their paths below the common folder), and distinct slugs for file names. */
function namesOf(folders: readonly string[]): Array<{ name: string; slug: string }> {
  const parents = folders.map((folder) => dirname(folder).split(sep));
  const shared = parents[0]!.findIndex((part, depth) => parents.some((parent) => parent[depth] !== part));
  const root = parents[0]!.slice(0, shared < 0 ? undefined : shared).join(sep) || sep;
  const taken = new Map<string, number>();
  return folders.map((folder) => {
    const name = (relative(root, folder) || basename(folder)).split(sep).join("/");
    const slug = idOf(name).replace(/^[^A-Za-z]/, "run-$&");
    const nth = (taken.get(slug.toLowerCase()) ?? 0) + 1;
    taken.set(slug.toLowerCase(), nth);
    return { name, slug: nth === 1 ? slug : `${slug}-${nth}` };
  });
}

/**
 * Read all runs once before anything is written: the labels of their settings, and by model the texts of the tokens in the samples of
 * all its runs, so that each model is opened once; by folder, the number of answers, which may grow. The answers of one run at a time are
 * in memory, here and later.
 */
async function firstReading(
  folders: readonly string[], samples: number, signal: AbortSignal | undefined,
): Promise<{ labels: Set<string>; vocabularies: Map<string, Vocabulary>; counts: Map<string, number> }> {
  const labels = new Set<string>();
  const counts = new Map<string, number>();
  const models = new Map<string, { run: RunFile; tokens: Set<number> }>();
  for (const folder of folders) {
    const results = await readRun(folder, { signal });
    counts.set(folder, results.records.length);
    for (const { label } of results.run.settings) labels.add(label);
    const { tokens } = models.get(modelOf(results)) ?? { tokens: new Set() };
    models.set(modelOf(results), { run: results.run, tokens });
    const prompts = new Set(samplePrompts(results, samples));
    for (const record of results.records) if (prompts.has(record.prompt)) for (const token of record.tokens) tokens.add(token);
  }
  const vocabularies = new Map<string, Vocabulary>();
  for (const [model, { run, tokens }] of models) vocabularies.set(model, await readVocabulary(run, tokens));
  return { labels, vocabularies, counts };
}

/** The first answers of a run, which may have got more since they were counted. */
function firstOf(results: RunResults, count: number): RunResults {
  if (results.records.length <= count) return results;
  const evaluations = results.evaluations.map(({ header, rows }) => ({ header, rows: rows.slice(0, count) }));
  return { ...results, isComplete: false, records: results.records.slice(0, count), evaluations };
}

/** Identifies a run's model and vocabulary. */
function modelOf({ run }: Pick<RunResults, "run">): string {
  return JSON.stringify([run.model.name, run.model.fingerprint["tokenizerHash"] ?? null]);
}

async function drawFigures(figures: ReturnType<typeof runFigures>, slug: string, files: FileWriter): Promise<DrawnFigure[]> {
  const drawn: DrawnFigure[] = [];
  let number = 0;
  for (const { chart, data, ...figure } of figures) {
    if (!chart) {
      drawn.push({ figure, files: [] });
      continue;
    }
    const name = `${slug}-${idOf(figure.id)}`;
    const svg = await renderSvg(chart, name, `${figure.title}. ${figure.alt}`);
    const png = await renderPng(svg);
    await files.write(`figures/${name}.svg`, svgFile(svg));
    await files.write(`figures/${name}.png`, png);
    const columns = Object.keys(data[0] ?? {});
    const rows = data.map((row) => columns.map((column) => row[column]!));
    await files.write(`tables/${name}.csv`, toCsv(columns, rows));
    const html = svg.length <= LARGEST_INLINE ? inlineSvg(svg) : imageHtml(svg, png);
    drawn.push({ number: ++number, figure, html, files: [`figures/${name}.svg`, `figures/${name}.png`, `tables/${name}.csv`] });
  }
  return drawn;
}

function imageHtml(svg: string, png: Uint8Array): string {
  const [, label = ""] = /^<svg [^>]*?aria-label="([^"]*)"/.exec(svg) ?? [];
  const [, width = ""] = /^<svg [^>]*? width="([\d.]+)"/.exec(svg) ?? [];
  return `<img src="data:image/png;base64,${Buffer.from(png).toString("base64")}" width="${width}" alt="${label}">`;
}

async function writeTables(tables: readonly Table[], slug: string, files: FileWriter): Promise<RunSection["tables"]> {
  const written: RunSection["tables"] = [];
  for (const table of tables) {
    const name = `tables/${[slug, table.id].filter(Boolean).join("-")}`;
    await files.write(`${name}.csv`, toCsv(table.columns, table.rows));
    await files.write(`${name}.md`, toMarkdown(table));
    written.push({ table, files: [`${name}.csv`, `${name}.md`] });
  }
  return written;
}

/** Writes files below a folder and keeps a list of them. */
class FileWriter {
  readonly written: string[] = [];

  constructor(private readonly out: string) {}

  async write(path: string, content: string | Uint8Array): Promise<string> {
    const target = join(this.out, path);
    await writeFileAtomic(target, content);
    this.written.push(target);
    return target;
  }
}
