import type { Reading } from "../../lib/index.js";

type Colour = readonly [red: number, green: number, blue: number];

/** One hue per property, in order: as light as GREY, so that they are readable on dark and on light backgrounds. */
const HUES: ReadonlyArray<{ colour: Colour; ansi: number }> = [
  { colour: [0, 155, 190], ansi: 36 },
  { colour: [205, 75, 175], ansi: 35 },
  { colour: [200, 115, 0], ansi: 33 },
  { colour: [50, 155, 50], ansi: 32 },
];
const GREY: Colour = [128, 128, 128];
/** The values of red, green and blue among the 256 colours. */
const CUBE = [0, 95, 135, 175, 215, 255];

/** Writes texts in a hue whose saturation is a share of 1, in as many colours as the terminal has. */
export class Shader {
  /** `depth`: bits per colour, as `getColorDepth` returns them: 1, 4, 8 or 24. */
  constructor(private readonly depth: number) {}

  /** The text of a token, in the hue of the property that is strongest in relation to its scale; unsteered text is plain. */
  token(text: string, readings: readonly Reading[], scales: readonly number[]): string {
    const shares = scales.map((scale, index) => Math.min(1, Math.abs(readings[index]?.alpha ?? 0) / scale));
    const most = Math.max(0, ...shares);
    return this.paint(text, shares.indexOf(most), most);
  }

  /** A property's name in its full hue. */
  name(text: string, index: number): string {
    return this.paint(text, index, 1);
  }

  private paint(text: string, index: number, share: number): string {
    if (this.depth <= 1 || !(share > 0) || text === "") return text;
    const { colour, ansi } = HUES[index % HUES.length]!;
    if (this.depth < 8) return share > 0.5 ? `\x1b[${ansi};4m${text}\x1b[24;39m` : `\x1b[${ansi}m${text}\x1b[39m`;
    const mixed = GREY.map((grey, i) => Math.round(grey + (colour[i]! - grey) * share)) as unknown as Colour;
    const code = this.depth < 24 ? `5;${nearestOf256(mixed)}` : `2;${mixed.join(";")}`;
    return `\x1b[38;${code}m${text}\x1b[39m`;
  }
}

/** The number of the most similar colour of the 6 × 6 × 6 cube. */
function nearestOf256(colour: Colour): number {
  const nearest = (value: number): number =>
    CUBE.reduce((best, level, i) => (Math.abs(level - value) < Math.abs(CUBE[best]! - value) ? i : best), 0);
  const places = colour.map(nearest);
  return 16 + 36 * places[0]! + 6 * places[1]! + places[2]!;
}

/** A text without characters that control a terminal, which a model or a file may contain. */
export function harmless(text: string): string {
  return text.replace(/\r\n?/g, "\n").replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "�");
}
