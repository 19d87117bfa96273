import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { SteeringError } from "../errors.js";
import { throwIfAborted } from "../errors.js";
import { withLanguage } from "../evaluate/index.js";
import { assertWritable, writeFileAtomic, packageVersion } from "../formats/index.js";
import { readRun, runsBelow, runTitle, type RunResults } from "../results/index.js";
import { runData, samplePrompts, type RunData } from "./data.js";
import { runFigures } from "./figures/index.js";
import { runVectors } from "./norms.js";
import { idOf, pageHtml, type DrawnFigure, type RunSection } from "./page.js";
import { inlineSvg, renderPng, renderSvg, svgFile } from "./render.js";
import { samplesHtml } from "./samples.js";
import { defaultReference } from "./strategy.js";
import { differencesTable, overviewTable, settingsTable, toCsv, toMarkdown, type Table } from "./tables.js";
import { readVocabulary, type Vocabulary } from "./token-texts.js";

/** Of what a report is made, and where it goes. */
export interface ReportOptions {
  /** Folder to write to; made where it is missing. */
  out: string;
  /** Title of the page. */
  title?: string;
  /** Label of the setting that the others are compared with, in runs that have it; by default the first Dyn. */
  reference?: string;
  /** Prompts whose answers are shown, per run; default 3. */
  samples?: number;
  signal?: AbortSignal;
  /** Runs that are drawn. */
  onProgress?: (done: number, total: number) => void;
}

/** What was written. */
export interface ReportResult {
  /** The page. */
  page: string;
  /** All files that were written, the page last. */
  files: string[];
}

const DEFAULT_SAMPLES = 3;
/** A chart of more characters stands in the page as an image. */
const LARGEST_INLINE = 300_000;

/**
 * Write figures, tables and one page of runs: `index.html`, which needs nothing else, `figures/*.svg` and `*.png`, and
 * `tables/*.csv` and `*.md`. The same runs give the same bytes, as long as the fonts of the machine and the model's file are the same.
 *
 * @param runs folders of runs, or folders with runs below them
 * @throws SteeringError E_NOT_FOUND, E_BAD_RUN, E_BAD_ARGUMENT (a reference that no run has), E_WRITE, E_ABORTED
 */
export async function writeReport(runs: readonly string[], options: ReportOptions): Promise<ReportResult> {
  const { out, reference, samples = DEFAULT_SAMPLES, signal, onProgress } = options;
  const folders = [...new Set(runs.flatMap(runsBelow).map((folder) => resolve(folder)))];
  if (folders.length === 0) throw new SteeringError("E_NOT_FOUND", "no run was given");
  for (const path of ["index.html", "figures/x.svg", "tables/x.csv"]) await assertWritable(join(out, path));
  const all: RunData[] = [];
  for (const folder of folders) all.push(runData(await withLanguage(await readRun(folder))));
  if (reference !== undefined && !all.some(({ run }) => run.settings.some(({ label }) => label === reference))) {
    throw new SteeringError("E_BAD_ARGUMENT", `no run has a setting "${reference}"; there are ${[...new Set(all.flatMap(({ run }) => run.settings.map(({ label }) => label)))].join(", ")}`);
  }
  const vocabularies = await vocabulariesOf(all, samples);
  const files = new FileWriter(out);
  const names = namesOf(folders);
  const sections: RunSection[] = [];
  for (const [index, data] of all.entries()) {
    throwIfAborted(signal);
    onProgress?.(index, all.length);
    const vectors = await runVectors(folders[index]!, data.run, folders);
    const vocabulary = vocabularies.get(data)!;
    const prompts = samplePrompts(data, samples);
    const { name, slug } = names[index]!;
    const figures = runFigures(data, { vectors, vocabulary, prompts, subtitle: `${runTitle(data.run)} · ${data.run.model.name}` });
    const tables = [settingsTable(data), differencesTable(data, referenceOf(data, reference))].filter((table) => table !== undefined);
    sections.push({
      name, slug, data, notes: notesOf(data, vocabulary),
      figures: await drawFigures(figures, slug, files),
      tables: await writeTables(tables, slug, files),
      samples: prompts.length > 0 ? samplesHtml(data, prompts, vocabulary.bytes) : "",
    });
  }
  onProgress?.(all.length, all.length);
  const overview = sections.length > 1 ? (await writeTables([overviewTable(sections)], "", files))[0] : undefined;
  const title = options.title ?? (sections.length === 1 ? `Steering report: ${sections[0]!.name}` : "Steering report");
  const page = await files.write("index.html", pageHtml({ title, version: packageVersion(), sections, overview }));
  return { page, files: files.written };
}

function referenceOf({ run }: RunData, asked: string | undefined): string {
  return run.settings.find(({ label }) => label === asked)?.label ?? defaultReference(run) ?? run.settings[0]!.label;
}

/** What a reader of the run's section must know. */
function notesOf({ evaluations, records }: RunResults, vocabulary: Vocabulary): string[] {
  const partly = evaluations.filter(({ rows }) => rows.length < records.length);
  return [
    ...(evaluations.every(({ header }) => header.wanted === null) ? ["No answer of this run was judged, so there are no accuracies. To judge them: llama-steer evaluate RUN, then this report again."] : []),
    ...partly.map(({ header, rows }) => `Of the evaluation "${header.evaluator}" ${rows.length} of ${records.length} answers are done; shares are of those.`),
    ...(vocabulary.missing !== undefined && records.length > 0 ? [`Texts of single tokens are not shown: ${vocabulary.missing}.`] : []),
  ];
}

/** Names by the folders below what all have in common, and as parts of files' names, no two alike. */
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

/** Each model is opened once, for the tokens of all sample answers of its runs. */
async function vocabulariesOf(all: readonly RunData[], samples: number): Promise<Map<RunData, Vocabulary>> {
  const keyOf = ({ run }: RunData): string => JSON.stringify([run.model.name, run.model.fingerprint["tokenizerHash"] ?? null]);
  const found = new Map<RunData, Vocabulary>();
  for (const key of new Set(all.map(keyOf))) {
    const own = all.filter((data) => keyOf(data) === key);
    const tokens = new Set(own.flatMap((data) => {
      const prompts = new Set(samplePrompts(data, samples));
      return data.records.flatMap((record) => (prompts.has(record.prompt) ? record.tokens : []));
    }));
    const vocabulary = await readVocabulary(own[0]!.run, tokens);
    for (const data of own) found.set(data, data.records.every((record) => record.tokens.length === 0) ? { missing: "the run holds no tokens" } : vocabulary);
  }
  return found;
}

async function drawFigures(figures: ReturnType<typeof runFigures>, slug: string, files: FileWriter): Promise<DrawnFigure[]> {
  const drawn: DrawnFigure[] = [];
  for (const { number, figure } of figures) {
    if (!figure.chart) {
      drawn.push({ number, figure, files: [] });
      continue;
    }
    const name = `${slug}-${idOf(figure.id)}`;
    const svg = await renderSvg(figure.chart, name, `${figure.title}. ${figure.alt}`);
    const png = await renderPng(svg);
    await files.write(`figures/${name}.svg`, svgFile(svg));
    await files.write(`figures/${name}.png`, png);
    const columns = Object.keys(figure.data[0] ?? {});
    await files.write(`tables/${name}.csv`, toCsv(columns, figure.data.map((row) => columns.map((column) => row[column]!))));
    const html = svg.length <= LARGEST_INLINE ? inlineSvg(svg) : imageHtml(svg, png);
    drawn.push({ number, figure, html, files: [`figures/${name}.svg`, `figures/${name}.png`, `tables/${name}.csv`] });
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

/** Writes files below a folder, and remembers them. */
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
