import { SteeringError } from "../errors.js";
import { runTitle, type EvaluationHeader, type RunFile } from "../results/index.js";
import type { Figure } from "./figures/chart.js";
import { escapeHtml, htmlTable } from "./html.js";
import { PAGE_STYLE } from "./page-style.js";
import type { Table } from "./tables.js";

/** A figure and its files. */
export interface DrawnFigure {
  /** From 1, among the figures of the run that the page shows; undefined if it is missing. */
  number?: number;
  figure: Omit<Figure, "chart" | "data">;
  /** The SVG or image for the page; undefined if the figure is missing. */
  html?: string;
  /** Paths of its files, relative to the page. */
  files: string[];
}

/** The page's section about one run. */
export interface RunSection {
  /** Name of the run, from its folder. */
  name: string;
  /** Prefix of the HTML ids in the section. */
  slug: string;
  run: RunFile;
  isComplete: boolean;
  /** Number of prompts that have answers. */
  answered: number;
  /** Headers of its evaluations. */
  headers: readonly EvaluationHeader[];
  figures: DrawnFigure[];
  tables: Array<{ table: Table; files: string[] }>;
  /** HTML of the sample answers. */
  samples: string;
  notes: string[];
}

/** Characters of a page. No browser shows a larger one well, and V8 has no text of twice as many. */
const MAX_PAGE = 2 ** 28;
/** With more runs, the contents list figures without their titles. */
const MOST_LISTED = 3;

const WORDS: ReadonlyArray<readonly [string, string]> = [
  ["Δ, the vector", "The steering vector, which is added to the model's activations: the mean difference between the activations of "
    + "prompts with and without a property, per layer and generated token."],
  ["α", "The intensity of steering: 0 is the unsteered model, 1 adds the difference as measured."],
  ["ICL", "In-context learning: the question comes after demonstrations of the property, without steering."],
  ["Fixed, Start, Dim", "Schedules of α: the same at every token; only at the first token; falling to 0 at the last token."],
  ["X alone", "In a composition, one vector alone at α 1. “icl X” is the unsteered model after demonstrations of that property."],
  ["Dyn, p", "Dynamic activation composition: at every token, α follows from the KL between the unsteered and the strongly steered "
    + "model, over the most likely tokens that together have the probability p."],
  ["KL", "Kullback–Leibler divergence, in nats: how much two distributions of the next token differ."],
  ["PPL, ΔPPL", "ΔPPL is the cost of steering in fluency: the perplexity (PPL) of the answer after demonstrations under a setting, "
    + "minus its perplexity under its own prompt. Lower is better."],
  ["95 % interval", "Wilson's interval for shares, bootstrap over prompts (2,000 draws with a fixed seed) for medians and means."],
];

interface PageContent {
  title: string;
  version: string;
  sections: readonly RunSection[];
  overview: { table: Table; files: string[] } | undefined;
}

/** Characters of what a section shows; the rest of the page is short. */
export function shownLength({ samples, figures, tables }: Pick<RunSection, "samples" | "figures" | "tables">): number {
  const lengths = [...figures.map(({ html = "" }) => html.length), ...tables.map(({ table, files }) => tableHtml(table, files).length)];
  return lengths.reduce((sum, length) => sum + length, samples.length);
}

/** Throws E_BAD_ARGUMENT for more characters than a page can show. */
export function checkShown(characters: number, nRuns: number): void {
  if (characters <= MAX_PAGE) return;
  throw new SteeringError("E_BAD_ARGUMENT", `the page of ${nRuns} runs would have ${Math.ceil(characters / 1e6)} MB; `
    + `expected at most ${Math.floor(MAX_PAGE / 1e6)}: report fewer runs at once`);
}

/** The self-contained HTML page. */
export function pageHtml({ title, version, sections, overview }: PageContent): string {
  const overviewHtml = overview
    ? `<h2 id="overview">All runs</h2>\n<div class="overview">${tableHtml(overview.table, overview.files, false)}</div>\n`
    : "";
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>
${PAGE_STYLE}
</style>
</head>
<body>
<header>
<h1>${escapeHtml(title)}</h1>
<p class="muted">${sections.length === 1 ? "One run" : `${sections.length} runs`}; written by llama-steer ${escapeHtml(version)}.</p>
</header>
<nav aria-label="Contents"><h3>Contents</h3><ul>
${overview ? "<li><a href=\"#overview\">All runs</a></li>\n" : ""}<li><a href="#words">Terms and abbreviations</a></li>
${sections.map((section) => contents(section, sections.length > MOST_LISTED)).join("\n")}
</ul></nav>
<main>
${overviewHtml}<h2 id="words">Terms and abbreviations</h2>
<dl>
${WORDS.map(([word, meaning]) => `<dt>${word}</dt><dd>${meaning}</dd>`).join("\n")}
</dl>
${sections.map(sectionHtml).join("\n")}
</main>
</body>
</html>
`;
}

function contents({ name, slug, figures, tables, samples }: RunSection, isShort: boolean): string {
  const item = (id: string, text: string): string => `<li><a href="#${slug}-${id}">${text}</a></li>`;
  const drawn = figures.filter(({ html }) => html !== undefined).map(({ number, figure }) =>
    item(idOf(figure.id), `Figure ${number}${isShort ? "" : `: ${escapeHtml(figure.title)}`}`));
  const rest = [
    ...(tables.length > 0 ? [item("tables", "Tables")] : []),
    ...(samples ? [item("samples", "Sample answers")] : []),
    item("reproduce", "Configuration and versions"),
  ];
  const list = `<ul${isShort ? " class=\"short\"" : ""}>${[...drawn, ...rest].join("")}</ul>`;
  return `<li><a href="#${slug}">${escapeHtml(name)}</a>${list}</li>`;
}

function sectionHtml({ name, slug, run, isComplete, answered, headers, figures, tables, samples, notes }: RunSection): string {
  const missing = figures.filter(({ html }) => html === undefined);
  const whole = !isComplete
    ? [`This run is not complete: ${answered} of ${run.nPrompts} prompts are answered, and the report covers only those. `
      + "Run its command again to resume it."]
    : [];
  const quantisation = run.model.fingerprint["quantisation"] ? ` (${run.model.fingerprint["quantisation"]})` : "";
  const shard = run.shard ? `, shard ${run.shard.index}/${run.shard.count}` : "";
  const summary = `${runTitle(run)}. Model ${run.model.name}${quantisation}, ${answered} prompts, ${run.settings.length} settings${shard}.`;
  const reasons = missing.map(({ figure }) => escapeHtml(`${figure.title}, because ${figure.missing}`));
  const tablesHtml = tables.map(({ table, files }) => tableHtml(table, files)).join("\n");
  return `<section aria-labelledby="${slug}">
<h2 id="${slug}">${escapeHtml(name)}</h2>
<p>${escapeHtml(summary)}</p>
${[...whole, ...notes].map((note) => `<p class="note">${escapeHtml(note)}</p>`).join("\n")}
<div class="figures">
${figures.map((figure) => figureHtml(slug, figure)).filter(Boolean).join("\n")}
</div>
${missing.length > 0 ? `<p class="muted">Not shown: ${reasons.join("; ")}.</p>` : ""}
${tables.length > 0 ? `<h3 id="${slug}-tables">Tables</h3>\n${tablesHtml}` : ""}
${samples ? `<h3 id="${slug}-samples">Sample answers</h3>\n${samples}` : ""}
<h3 id="${slug}-reproduce">Configuration and versions</h3>
${reproduceHtml(run, headers)}
</section>`;
}

function figureHtml(slug: string, { number, figure, html, files }: DrawnFigure): string {
  if (html === undefined) return "";
  const [title, caption] = [escapeHtml(figure.title), escapeHtml(figure.caption)];
  return `<figure id="${slug}-${idOf(figure.id)}"><div class="chart">${html}</div>
<figcaption><strong>Figure ${number}. ${title}.</strong> ${caption} ${links(files)}</figcaption></figure>`;
}

function tableHtml(table: Table, files: readonly string[], hasTitle = true): string {
  const title = hasTitle ? `<h4>${escapeHtml(table.title)}</h4>\n` : "";
  return `${title}${htmlTable(table.shownColumns, table.shown)}\n<p class="muted">${escapeHtml(table.caption)} ${links(files)}</p>`;
}

function links(files: readonly string[]): string {
  const format = (file: string): string => file.split(".").at(-1)!.toUpperCase().replace("MD", "Markdown");
  return `<span class="links">${files.map((file) => `<a href="${encodeURI(file)}">${format(file)}</a>`).join(" · ")}</span>`;
}

/** Everything needed to reproduce the run. */
function reproduceHtml(run: RunFile, headers: readonly EvaluationHeader[]): string {
  const { machine } = run;
  const rows: string[][] = [
    ["llama-steer", run.versions.llamaSteer], ["llama.cpp", run.versions.llamaCpp],
    ["model", `${run.model.name} ${Object.entries(run.model.fingerprint).map(([key, value]) => `${key} ${value}`).join(", ")}`],
    ...Object.entries(run.datasets).map(([role, { name, hash }]) => [`dataset, ${role}`, `${name} ${hash}`]),
    ...run.vectors.map(({ property, file, hash }) => [`vector, ${property}`, `${file}${hash ? ` ${hash}` : ""}`]),
    ...headers.map(({ evaluator, wanted, config, versions }) =>
      [`evaluated: ${evaluator}`, `wanted ${wanted ?? "nothing"}; ${JSON.stringify(config)}; ${JSON.stringify(versions)}`]),
    ["machine", `${machine.platform}, ${machine.cpu}, ${machine.threads} threads, GPU layers ${machine.gpuLayers}, Node ${machine.node}`],
  ];
  const table = htmlTable(["", ""], rows).replaceAll("<td>", "<td style=\"white-space:normal;overflow-wrap:anywhere\">");
  return `<div class="overview">${table}</div>
<details><summary>run.json: the full configuration</summary><pre>${escapeHtml(JSON.stringify(run, null, 2))}</pre></details>`;
}

/** Turn a text into an HTML id that is also safe in a file name. */
export function idOf(text: string): string {
  return text.replace(/[^A-Za-z0-9_.-]+/g, "-");
}
