import type { GeneratedToken } from "../lib/index.js";
import { onStdout } from "./colours.js";

const BLOCKS = " ▁▂▃▄▅▆▇█";
const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}\p{Emoji_Presentation}]/u;
/** What is drawn above, below or within the character before it. */
const NARROW = /[\p{Mn}\p{Me}\u200b-\u200d]/u;

/** A block as high as alpha, from 0 to `alphaMax`; any alpha above 0 is visible. */
export function alphaBlock(alpha: number, alphaMax: number): string {
  if (!(alpha > 0)) return BLOCKS[0]!;
  const height = Math.ceil((alpha / alphaMax) * (BLOCKS.length - 1));
  return BLOCKS[Math.min(height, BLOCKS.length - 1)]!;
}

const PARTS = " ▏▎▍▌▋▊▉█";

/** A horizontal bar of `width` columns, full at `most`; any value above 0 is visible. */
export function bar(value: number, most: number, width: number): string {
  const eighths = value > 0 ? Math.min(width * 8, Math.max(1, Math.round((value / most) * width * 8))) : 0;
  return ("█".repeat(eighths >> 3) + (eighths % 8 > 0 ? PARTS[eighths % 8]! : "")).padEnd(width);
}

/**
 * Writes a text as its tokens come, in lines of at most `width` columns. Under each line is one strip per property and one per
 * monitor: under every token a block as wide as the token, as high as its alpha or probability. Trailing white space is not drawn.
 */
export class AlphaStrip {
  private strips: string[];
  private used = 0;
  /** White space, drawn as soon as more text follows it. */
  private held: GeneratedToken[] = [];

  /** The value that fills each strip. */
  private readonly scales: readonly number[];

  constructor(
    private readonly alphaMax: readonly number[],
    private readonly width: number,
    private readonly write: (text: string) => void,
    nMonitors = 0,
  ) {
    this.scales = [...alphaMax, ...new Array<number>(nMonitors).fill(1)];
    this.strips = this.scales.map(() => "");
  }

  push(token: GeneratedToken): void {
    const text = token.text.trimEnd();
    if (text !== "") {
      for (const space of this.held) this.draw(space);
      this.held = [];
      this.draw({ ...token, text });
    }
    if (text !== token.text) this.held.push({ ...token, text: token.text.slice(text.length) });
  }

  /** Writes the strips of the last line. */
  finish(): void {
    if (this.used === 0) return;
    this.write(["", ...this.strips.map((strip) => onStdout.cyan(strip)), ""].join("\n"));
    this.strips = this.scales.map(() => "");
    this.used = 0;
  }

  private draw({ text, readings, monitors = [] }: GeneratedToken): void {
    if (this.used > 0 && this.used + columnsOf(onOneLine(text)) > this.width) this.finish();
    const piece = onOneLine(this.used === 0 ? text.trimStart() : text);
    const columns = columnsOf(piece);
    this.write(piece);
    this.used += columns;
    const heights = [...this.alphaMax.map((_, property) => readings[property]?.alpha ?? 0), ...monitors];
    this.strips = this.strips.map((strip, i) => strip + alphaBlock(heights[i] ?? 0, this.scales[i]!).repeat(columns));
  }
}

/** The lines that `AlphaStrip` writes for a whole text. */
export function alphaStrip(tokens: readonly GeneratedToken[], alphaMax: readonly number[], width: number): string[] {
  let written = "";
  const strip = new AlphaStrip(alphaMax, width, (text) => { written += text; });
  for (const token of tokens) strip.push(token);
  strip.finish();
  return written === "" ? [] : written.slice(0, -1).split("\n");
}

function onOneLine(text: string): string {
  return text.replace(/\s*\n+\s*/g, " ↵ ");
}

/** The number of terminal columns that the text takes. */
export function columnsOf(text: string): number {
  return [...text].reduce((sum, character) => sum + (WIDE.test(character) ? 2 : NARROW.test(character) ? 0 : 1), 0);
}
