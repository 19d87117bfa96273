import type { TokenPiece } from "../token-texts.js";
import { PART } from "../token-texts.js";
import { GRID, INK, MONO, MUTED, PROPERTY_COLOURS, type Chart, type Figure } from "./chart.js";

/** A Dyn answer whose alphas are drawn. */
export interface TokenSample {
  question: string;
  /** Its tokens, or its steps if the texts of the tokens are not available. */
  pieces: TokenPiece[];
}

/** Columns per line, and the width of a character of DejaVu Sans Mono in pixels, at the font size used. */
const COLUMNS = 92;
const COLUMN = 7.83;
const FONT_SIZE = 13;
const BAR = 34;
const BETWEEN_BARS = 6;
const MARGIN = 64;
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}\p{Emoji_Presentation}]/u;

interface Placed extends TokenPiece {
  line: number;
  column: number;
  columns: number;
  shown: string;
}

const TEXTS = `↵ is a line end, ${PART} the start of a character that the next token completes. Grey tokens were generated but cut off, `
  + "with a stop string or at the end of the answer (∎).";
const BOXED = "In the PNG, Chinese, Japanese and Korean characters appear as boxes if the machine that drew it had no font for them; "
  + "the page and the SVG use the fonts of your machine.";
const EAST_ASIAN = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u;

interface TokensOptions {
  setting: string;
  properties: readonly string[];
  alphaMax: number;
  subtitle: string;
  missing?: string;
  hasTexts: boolean;
}

/** Figure 4: α of each token above the token, one row of bars per property. */
export function tokensFigure(samples: readonly TokenSample[], options: TokensOptions): Figure {
  const { setting, properties, alphaMax, subtitle, hasTexts } = options;
  const bar = properties.length > 1 ? `one row of bars per property (${properties.join(", ")})` : "a bar";
  const texts = hasTexts ? TEXTS : "The texts of the tokens are not available, so the numbers below the bars are generation steps.";
  const hasEastAsian = samples.some(({ pieces }) => pieces.some(({ text }) => EAST_ASIAN.test(text)));
  const described = (pieces: readonly TokenPiece[]): string =>
    pieces.map(({ text, alphas }) => `${text.trim() || "·"} ${alphas.map((alpha) => alpha.toFixed(1)).join("/")}`).join(" ");
  const base = {
    id: "tokens", title: `α per token, ${setting}`,
    caption: `Answers of ${setting} with the α at which each token was generated: ${bar} above the token, full height = ${alphaMax}. `
      + `${texts}${hasEastAsian ? ` ${BOXED}` : ""}`,
    alt: samples.map(({ question, pieces }) => `${question} – ${described(pieces)}`).join("; "),
    data: samples.flatMap(({ question, pieces }) => pieces.flatMap(({ text, alphas }, step) =>
      alphas.map((alpha, vector) => ({ question, step, token: text, property: properties[vector]!, alpha })))),
  };
  if (samples.length === 0) return { ...base, missing: options.missing ?? "no Dyn answer contains an α per token" };
  const nBars = properties.length;
  const lineHeight = nBars * (BAR + BETWEEN_BARS) + FONT_SIZE + 14;
  const bars: Chart[] = [];
  const words: Chart[] = [];
  const rules: Chart[] = [];
  const labels: Chart[] = [];
  let top = 0;
  for (const { question, pieces } of samples) {
    const placed = place(pieces);
    const nLines = Math.max(0, ...placed.map(({ line }) => line + 1));
    labels.push({ x: 0, y: top + 8, text: shortened(question), kind: "question" });
    top += 20;
    for (let line = 0; line < nLines; line++) {
      const own = placed.filter((piece) => piece.line === line);
      const width = Math.max(...own.map(({ column, columns }) => column + columns)) * COLUMN;
      for (let vector = 0; vector < nBars; vector++) {
        const foot = top + vector * (BAR + BETWEEN_BARS) + BAR;
        rules.push({ x: MARGIN, x2: MARGIN + width, y: foot }, { x: MARGIN, x2: MARGIN + width, y: foot - BAR });
        labels.push({ x: MARGIN - 6, y: foot - BAR / 2, text: `α ${properties[vector]!.slice(0, 7)}`, kind: "axis" });
        for (const { column, columns, alphas } of own) {
          const height = Math.max(0, Math.min(1, alphas[vector]! / alphaMax)) * BAR;
          bars.push({
            x: MARGIN + column * COLUMN + 0.8,
            x2: MARGIN + (column + columns) * COLUMN - 0.8,
            y: foot,
            y2: foot - height,
            property: properties[vector],
          });
        }
      }
      // vega trims spaces at the ends of a text, so shift the text by those at its start.
      const y = top + nBars * (BAR + BETWEEN_BARS) + FONT_SIZE / 2 + 1;
      words.push(...own.map(({ column, shown, isKept }) => {
        const x = MARGIN + (column + shown.length - shown.trimStart().length) * COLUMN;
        return { x, y, text: shown.trim(), isKept };
      }));
      top += lineHeight;
    }
    top += 16;
  }
  const size = { width: MARGIN + COLUMNS * COLUMN, height: top };
  return {
    ...base,
    chart: {
      title: { text: base.title, subtitle: `${subtitle} · full bar: α = ${alphaMax}` },
      ...size,
      layer: layers({ bars, texts: words, rules, labels }, properties, size),
    },
  };
}

function layers(
  { bars, texts, rules, labels }: Record<"bars" | "texts" | "rules" | "labels", Chart[]>,
  properties: readonly string[],
  { width, height }: { width: number; height: number },
): Chart[] {
  const x = { field: "x", type: "quantitative", scale: { domain: [0, width], nice: false, zero: false }, axis: null };
  const y = { field: "y", type: "quantitative", scale: { domain: [height, 0], nice: false, zero: false }, axis: null };
  const text = (values: Chart[], mark: Chart): Chart => ({
    data: { values },
    mark: { type: "text", baseline: "middle", ...mark },
    encoding: { x, y, text: { field: "text" } },
  });
  return [
    { data: { values: rules }, mark: { type: "rule", color: GRID }, encoding: { x, x2: { field: "x2" }, y } },
    {
      data: { values: bars },
      mark: { type: "rect" },
      encoding: {
        x,
        x2: { field: "x2" },
        y,
        y2: { field: "y2" },
        color: { field: "property", type: "nominal", scale: { domain: properties, range: PROPERTY_COLOURS }, legend: null },
      },
    },
    text(
      texts.filter(({ isKept }) => isKept),
      { font: MONO, fontSize: FONT_SIZE, align: "left", color: INK },
    ),
    text(
      texts.filter(({ isKept }) => !isKept),
      { font: MONO, fontSize: FONT_SIZE, align: "left", color: MUTED, fontStyle: "italic" },
    ),
    text(
      labels.filter(({ kind }) => kind === "question"),
      { fontWeight: "bold", align: "left", color: INK },
    ),
    text(
      labels.filter(({ kind }) => kind === "axis"),
      { fontSize: 10, align: "right", color: MUTED },
    ),
  ];
}

/** Arrange tokens in lines of at most `COLUMNS` columns, each as wide as its text. */
function place(pieces: readonly TokenPiece[]): Placed[] {
  let line = 0;
  let column = 0;
  return pieces.map((piece): Placed => {
    const shown = visible(piece.text);
    const columns = Math.max(1, columnsOf(shown));
    if (column > 0 && column + columns > COLUMNS) {
      line++;
      column = 0;
    }
    const placed = { ...piece, line, column, columns, shown };
    column += columns;
    return placed;
  });
}

/** A token's text on one line, keeping the spaces at its ends. */
export function visible(text: string): string {
  if (text === "") return PART;
  return text.replace(/\r?\n/g, "↵").replace(/\s/g, "\u00a0").replace(/\p{Cc}/gu, "\ufffd");
}

/** Width of a text in columns of a monospaced font. */
export function columnsOf(text: string): number {
  return [...text].reduce((sum, character) => sum + (/\p{Mn}/u.test(character) ? 0 : WIDE.test(character) ? 2 : 1), 0);
}

function shortened(text: string): string {
  const one = text.replace(/\s+/g, " ");
  return one.length > 100 ? `${one.slice(0, 99)}…` : one;
}
