import { columnsOf } from "../alpha-strip.js";

type Paint = (text: string) => string;

/** Writes a text as it comes to a terminal, and moves a word that does not fit into its line to the next one. */
export class WordWrap {
  /** Columns used in the current line, the last word included. */
  private used = 0;
  private word: Array<{ character: string; paint: Paint }> = [];

  /** `width`: columns of the terminal. */
  constructor(private readonly width: number, private readonly write: (text: string) => void) {}

  push(text: string, paint: Paint): void {
    // The pieces are painted as wholes, so that a terminal joins the characters of one symbol.
    for (const piece of text.match(/\s|[^\s]+/gu) ?? []) this.add(piece, paint);
  }

  private add(piece: string, paint: Paint): void {
    const columns = piece === "\t" ? 8 - (this.used % 8) : columnsOf(piece);
    if (/\s/.test(piece)) {
      this.word = [];
      const isBreak = piece === "\n" || this.used + columns >= this.width;
      this.write(isBreak ? "\n" : piece);
      this.used = isBreak ? 0 : this.used + columns;
      return;
    }
    const before = columnsOf(this.word.map(({ character }) => character).join(""));
    this.word.push({ character: piece, paint });
    if (this.used + columns < this.width || this.used === before || before + columns >= this.width) {
      this.write(paint(piece));
      this.used = (this.used + columns) % this.width; // a word longer than a line: the terminal breaks it
      return;
    }
    const back = before > 0 ? `\x1b[${before}D\x1b[K` : "";
    this.write(`${back}\n${this.word.map((each) => each.paint(each.character)).join("")}`);
    this.used = before + columns;
  }
}
