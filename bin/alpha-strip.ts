import colours from "picocolors";
import type { GeneratedToken } from "../lib/index.js";

const BLOCKS = " ▁▂▃▄▅▆▇█";
const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}\p{Emoji_Presentation}]/u;

/** A block whose height stands for alpha between 0 and `alphaMax`; anything above 0 can be seen. */
export function alphaBlock(alpha: number, alphaMax: number): string {
  if (!(alpha > 0)) return BLOCKS[0]!;
  const height = Math.ceil((alpha / alphaMax) * (BLOCKS.length - 1));
  return BLOCKS[Math.min(height, BLOCKS.length - 1)]!;
}

/**
 * The text in lines of at most `width` columns, and under each line one strip per property: as wide as each token,
 * as high as its alpha.
 */
export function alphaStrip(tokens: readonly GeneratedToken[], alphaMax: readonly number[], width: number): string[] {
  const lines: string[] = [];
  let text = "";
  let strips = alphaMax.map(() => "");
  let used = 0;
  const flush = (): void => {
    if (text.trim() !== "") lines.push(text, ...strips.map((strip) => colours.cyan(strip)));
    text = "";
    strips = alphaMax.map(() => "");
    used = 0;
  };
  // White space that ends the answer, e.g. the line break before a stop string, is not drawn.
  const last = tokens.findLastIndex((token) => token.text.trim() !== "");
  for (const [index, token] of tokens.slice(0, last + 1).entries()) {
    const shown = index === last ? token.text.trimEnd() : token.text;
    let piece = onOneLine(used === 0 ? shown.trimStart() : shown);
    if (used + columnsOf(piece) > width) {
      flush();
      piece = onOneLine(shown.trimStart());
    }
    const columns = columnsOf(piece);
    text += piece;
    used += columns;
    strips = strips.map((strip, property) => strip + alphaBlock(token.readings[property]?.alpha ?? 0, alphaMax[property]!).repeat(columns));
  }
  flush();
  return lines;
}

function onOneLine(text: string): string {
  return text.replace(/\s*\n+\s*/g, " ↵ ");
}

/** Columns of a terminal that the text takes. */
function columnsOf(text: string): number {
  return [...text].reduce((sum, character) => sum + (WIDE.test(character) ? 2 : 1), 0);
}
