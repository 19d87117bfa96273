import { runTitle, type RunFile } from "../results/index.js";
import type { RunData } from "./data.js";
import type { Figure } from "./figures/chart.js";
import { escapeHtml, htmlTable } from "./html.js";
import { PAGE_STYLE } from "./page-style.js";
import type { Table } from "./tables.js";

/** A figure as the page holds it. */
export interface DrawnFigure {
  number: number;
  figure: Figure;
  /** What stands in the page: an SVG, or an image. Undefined where the figure is missing. */
  html?: string;
  /** Paths of its files relative to the page. */
  files: string[];
}

/** What the page says of a run. */
export interface RunSection {
  /** Of its folder. */
  name: string;
  /** Begins the ids of its parts. */
  slug: string;
  data: RunData;
  figures: DrawnFigure[];
  tables: Array<{ table: Table; files: string[] }>;
  /** HTML of the answers to some prompts. */
  samples: string;
  notes: string[];
}

/** Runs whose figures are listed by their titles in the contents. */
const MOST_LISTED = 3;

const WORDS: ReadonlyArray<readonly [string, string]> = [
  ["Δ, the vector", "what is added to the model's activations: the mean difference between those of prompts with a property and those without, per layer and generated token"],
  ["α", "how strongly it is added: 0 is the unsteered model, 1 the difference as it was measured"],
  ["ICL", "in-context learning: the question is asked behind demonstrations of the property, without steering"],
  ["Fixed, Start, Dim", "the same α at every token; at the first only; falling to 0 at the last"],
  ["X alone", "of a composition, one vector alone at α 1; \"icl X\": behind demonstrations of that property, unsteered"],
  ["Dyn, p", "dynamic activation composition: α is found anew for every token from the KL between the unsteered and the strongly steered model, over the most likely tokens that make up the share p"],
  ["KL", "Kullback–Leibler divergence, in nats: how different two distributions of the next token are"],
  ["PPL, ΔPPL", "perplexity of the answer behind demonstrations under a setting, minus that under its own prompt: what steering costs in fluency; lower is better"],
  ["95 % interval", "Wilson's for shares, bootstrap over prompts (2,000 draws, always the same) for medians and means"],
];

/** The whole page: one file, which needs nothing else. */
export function pageHtml({ title, version, sections, overview }: { title: string; version: string; sections: readonly RunSection[]; overview: { table: Table; files: string[] } | undefined }): string {
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
${overview ? "<li><a href=\"#overview\">All runs</a></li>\n" : ""}<li><a href="#words">Words and abbreviations</a></li>
${sections.map((section) => contents(section, sections.length > MOST_LISTED)).join("\n")}
</ul></nav>
<main>
${overview ? `<h2 id="overview">All runs</h2>\n<div class="overview">${tableHtml(overview.table, overview.files, false)}</div>\n` : ""}<h2 id="words">Words and abbreviations</h2>
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
  const drawn = figures.filter(({ html }) => html !== undefined).map(({ number, figure }) => `<li><a href="#${slug}-${idOf(figure.id)}">Figure ${number}${isShort ? "" : `: ${escapeHtml(figure.title)}`}</a></li>`);
  const rest = [tables.length > 0 ? ["tables", "Tables"] : undefined, samples ? ["samples", "Sample answers"] : undefined, ["reproduce", "Configuration and versions"]].flatMap((each) => (each ? [`<li><a href="#${slug}-${each[0]}">${each[1]}</a></li>`] : []));
  return `<li><a href="#${slug}">${escapeHtml(name)}</a><ul${isShort ? " class=\"short\"" : ""}>${[...drawn, ...rest].join("")}</ul></li>`;
}

function sectionHtml({ name, slug, data, figures, tables, samples, notes }: RunSection): string {
  const { run, isComplete, records } = data;
  const answered = new Set(records.map(({ prompt }) => prompt)).size;
  const missing = figures.filter(({ html }) => html === undefined);
  const whole = !isComplete ? [`This run is not complete: ${answered} of ${run.nPrompts} prompts are answered; everything here is about those. Its command goes on where it was.`] : [];
  return `<section aria-labelledby="${slug}">
<h2 id="${slug}">${escapeHtml(name)}</h2>
<p>${escapeHtml(`${runTitle(run)}. Model ${run.model.name}${run.model.fingerprint["quantisation"] ? ` (${run.model.fingerprint["quantisation"]})` : ""}, ${answered} prompts, ${run.settings.length} settings${run.shard ? `, shard ${run.shard.index}/${run.shard.count}` : ""}.`)}</p>
${[...whole, ...notes].map((note) => `<p class="note">${escapeHtml(note)}</p>`).join("\n")}
${figures.map((figure) => figureHtml(slug, figure)).filter(Boolean).join("\n")}
${missing.length > 0 ? `<p class="muted">Not shown: ${missing.map(({ number, figure }) => escapeHtml(`figure ${number} (${figure.title}), since ${figure.missing}`)).join("; ")}.</p>` : ""}
${tables.length > 0 ? `<h3 id="${slug}-tables">Tables</h3>\n${tables.map(({ table, files }) => tableHtml(table, files)).join("\n")}` : ""}
${samples ? `<h3 id="${slug}-samples">Sample answers</h3>\n${samples}` : ""}
<h3 id="${slug}-reproduce">Configuration and versions</h3>
${reproduceHtml(run, data)}
</section>`;
}

function figureHtml(slug: string, { number, figure, html, files }: DrawnFigure): string {
  if (html === undefined) return "";
  return `<figure id="${slug}-${idOf(figure.id)}"><div class="chart">${html}</div>
<figcaption><strong>Figure ${number}. ${escapeHtml(figure.title)}.</strong> ${escapeHtml(figure.caption)} ${links(files)}</figcaption></figure>`;
}

function tableHtml(table: Table, files: readonly string[], hasTitle = true): string {
  return `${hasTitle ? `<h4>${escapeHtml(table.title)}</h4>\n` : ""}${htmlTable(table.shownColumns, table.shown)}\n<p class="muted">${escapeHtml(table.caption)} ${links(files)}</p>`;
}

function links(files: readonly string[]): string {
  return `<span class="links">${files.map((file) => `<a href="${encodeURI(file)}">${file.split(".").at(-1)!.toUpperCase().replace("MD", "Markdown")}</a>`).join(" · ")}</span>`;
}

/** What it takes to repeat the run. */
function reproduceHtml(run: RunFile, { evaluations }: RunData): string {
  const rows: string[][] = [
    ["llama-steer", run.versions.llamaSteer], ["llama.cpp", run.versions.llamaCpp],
    ["model", `${run.model.name} ${Object.entries(run.model.fingerprint).map(([key, value]) => `${key} ${value}`).join(", ")}`],
    ...Object.entries(run.datasets).map(([role, { name, hash }]) => [`dataset, ${role}`, `${name} ${hash}`]),
    ...run.vectors.map(({ property, file, hash }) => [`vector, ${property}`, `${file}${hash ? ` ${hash}` : ""}`]),
    ...evaluations.map(({ header }) => [`evaluated: ${header.evaluator}`, `wanted ${header.wanted ?? "nothing"}; ${JSON.stringify(header.config)}; ${JSON.stringify(header.versions)}`]),
    ["machine", `${run.machine.platform}, ${run.machine.cpu}, ${run.machine.threads} threads, GPU layers ${run.machine.gpuLayers}, Node ${run.machine.node}`],
  ];
  return `<div class="overview">${htmlTable(["", ""], rows).replaceAll("<td>", "<td style=\"white-space:normal;overflow-wrap:anywhere\">")}</div>
<details><summary>run.json: everything that was asked for</summary><pre>${escapeHtml(JSON.stringify(run, null, 2))}</pre></details>`;
}

/** An id of HTML and a part of a file's name. */
export function idOf(text: string): string {
  return text.replace(/[^A-Za-z0-9_.-]+/g, "-");
}
