import colours from "picocolors";
import type { GeneratedToken } from "../lib/index.js";

const BLOCKS = " ▁▂▃▄▅▆▇█";
const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u;

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
  for (const token of tokens) {
    const piece = (used === 0 ? token.text.trimStart() : token.text).replace(/\s*\n+\s*/g, " ↵ ");
    const columns = [...piece].reduce((sum, character) => sum + (WIDE.test(character) ? 2 : 1), 0);
    if (used + columns > width) flush();
    text += piece;
    used += columns;
    strips = strips.map((strip, index) => strip + alphaBlock(token.readings[index]?.alpha ?? 0, alphaMax[index]!).repeat(columns));
  }
  flush();
  return lines;
}
