import type { ResultRecord } from "../results/index.js";
import { visible } from "./figures/tokens.js";
import { escapeHtml } from "./html.js";
import type { RunData } from "./data.js";
import { vectorNames } from "./strategy.js";
import { tokenPieces, type TokenBytes, type TokenPiece } from "./token-texts.js";

/** The page has this many colours for bars. */
const MOST_STRIPS = 4;

/** Largest α of a run, shown as a full bar; undefined if no answer was steered. */
export function largestAlpha({ records }: Pick<RunData, "records">): number | undefined {
  const largest = records.reduce(
    (most, { alphas }) => alphas.reduce((inner, ofVector) => ofVector.reduce((a, b) => Math.max(a, Math.abs(b)), inner), most),
    0,
  );
  return largest > 0 ? largest : undefined;
}

/** The answers to some prompts in every setting, with α as bars under the tokens. */
export function samplesHtml(data: RunData, prompts: readonly number[], bytes: TokenBytes | undefined): string {
  const most = largestAlpha(data);
  const properties = vectorNames(data.run).slice(0, MOST_STRIPS);
  const keys = properties.map((property, i) => `<span class="key k${i + 1}"></span>${escapeHtml(property)}`).join(", ");
  const order = properties.length > 1 ? " (in this order, from top to bottom)" : "";
  const hint = bytes
    ? "Point at a token to see its α. Struck-through tokens were generated but cut off with a stop string."
    : "The texts of the tokens are not available, so there is one bar per generation step, under the text.";
  const key = most === undefined ? ""
    : `<p class="muted">Bars under the tokens: α of${keys}${order}; full height = ${most}, negative α is not drawn. ${hint}</p>`;
  const parts = prompts.map((prompt) => {
    const records = data.records.filter((record) => record.prompt === prompt);
    const rows = records.map((record) =>
      `<tr><th scope="row">${escapeHtml(record.setting)}</th><td>${answerHtml(record, data, { most, bytes })}</td></tr>`);
    return `<div class="prompt"><h4>Prompt ${prompt}: ${escapeHtml(records[0]!.question)}</h4>\n`
      + `<p class="muted">The dataset's answer: ${escapeHtml(records[0]!.gold)}</p>\n`
      + `<div class="wide"><table class="texts"><tbody>\n${rows.join("\n")}\n</tbody></table></div></div>`;
  });
  return `${key}\n${parts.join("\n")}`;
}

function answerHtml(
  record: ResultRecord,
  { run }: RunData,
  { most, bytes }: { most: number | undefined; bytes: TokenBytes | undefined },
): string {
  if (record.finishReason === "failed") return `<em>no answer: ${escapeHtml(record.error ?? "it failed")}</em>`;
  if (record.text === "" && record.tokens.length === 0) return "<em>empty</em>";
  const terms = run.settings.find(({ label }) => label === record.setting)?.steer ?? [];
  const vectors = terms.map(({ vector }) => vector);
  if (most === undefined || record.alphas.every((ofVector) => ofVector.length === 0)) return escapeHtml(oneLine(record.text));
  const pieces = tokenPieces(record, bytes);
  if (pieces) return strip(pieces, vectors, most, run.vectors.length);
  const steps = Array.from({ length: Math.max(...record.alphas.map(({ length }) => length)) }, (_, step): TokenPiece => ({
    text: "",
    alphas: record.alphas.map((ofVector) => ofVector[step] ?? 0),
    isKept: true,
  }));
  return `${escapeHtml(oneLine(record.text))}<br>${strip(steps, vectors, most, run.vectors.length, true)}`;
}

/** Tokens with one bar per vector. Vectors that the setting does not use leave a gap. */
function strip(pieces: readonly TokenPiece[], vectors: readonly number[], most: number, nVectors: number, isSteps = false): string {
  const n = Math.min(MOST_STRIPS, nVectors);
  const items = pieces.map(({ text, alphas, isKept }) => {
    const height = (alpha: number): number => Math.max(1, Math.round((8 * alpha) / most));
    const bars = vectors.flatMap((vector, term) =>
      (vector < n && alphas[term]! > 0 ? [`--h${vector + 1}:${height(alphas[term]!)}px`] : []));
    const classes = [...(isSteps ? ["step"] : []), ...(isKept ? [] : ["cut"])].join(" ");
    const title = ` title="α ${alphas.map((alpha) => alpha.toFixed(2)).join(" · ")}"`;
    const style = bars.length > 0 ? ` style="${bars.join(";")}"` : "";
    const shown = isSteps ? "" : escapeHtml(visible(text).replaceAll("\u00a0", " "));
    return `<i${classes && ` class="${classes}"`}${title}${style}>${shown}</i>`;
  });
  return `<span class="strip" style="--n:${n}">${items.join("")}</span>`;
}

function oneLine(text: string): string {
  return text.trimEnd().replace(/\n+/g, " ↵ ");
}
