import { columnsOf } from "../alpha-strip.js";

/** Writes a part of a line, e.g. in a colour. */
type Paint = (text: string) => string;

interface Cell {
  character: string;
  paint: Paint;
}

/** Lines of a text that comes in pieces, each at most `width` terminal columns; broken at spaces where possible. */
class Column {
  readonly lines: string[] = [];
  isOver = false;
  private cells: Cell[] = [];

  constructor(private readonly width: number) {}

  push(text: string, paint: Paint): void {
    for (const character of text) {
      if (character === "\n") this.endLine();
      else this.add({ character: character === "\t" ? " " : character, paint });
    }
  }

  end(): void {
    if (this.cells.length > 0) this.endLine();
    this.isOver = true;
  }

  private add(cell: Cell): void {
    this.cells.push(cell);
    if (this.widthOf(this.cells) <= this.width) return;
    if (cell.character === " ") this.cells.pop();
    const space = this.cells.findLastIndex(({ character }) => character === " ");
    const next = cell.character === " " ? [] : this.cells.splice(space > 0 ? space + 1 : -1);
    this.endLine();
    this.cells = next;
  }

  private endLine(): void {
    while (this.cells.at(-1)?.character === " ") this.cells.pop();
    const padding = " ".repeat(this.width - this.widthOf(this.cells));
    this.lines.push(runsOf(this.cells).map(({ character, paint }) => paint(character)).join("") + padding);
    this.cells = [];
  }

  private widthOf(cells: readonly Cell[]): number {
    return columnsOf(cells.map(({ character }) => character).join(""));
  }
}

/** Joins neighbours that are painted by the same function. */
function runsOf(cells: readonly Cell[]): Cell[] {
  const runs: Cell[] = [];
  for (const { character, paint } of cells) {
    const last = runs.at(-1);
    if (last?.paint === paint) last.character += character;
    else runs.push({ character, paint });
  }
  return runs;
}

const BORDER = " │ ";
/** The narrowest column in which words are still readable. */
const LEAST_COLUMN = 28;

/** Whether a terminal is wide enough for this many texts side by side. */
export function fitsSideBySide(terminalWidth: number, nSides: number): boolean {
  return columnWidth(terminalWidth, nSides) >= LEAST_COLUMN;
}

function columnWidth(terminalWidth: number, nSides: number): number {
  return Math.floor((terminalWidth - 1 - (nSides - 1) * BORDER.length) / nSides);
}

/** Texts that come in pieces, side by side: each row is written as soon as every side has its line, or has ended. */
export class SideBySide {
  private readonly sides: readonly Column[];
  private nWritten = 0;

  constructor(private readonly terminalWidth: number, private readonly nSides: number, private readonly write: (text: string) => void) {
    this.sides = Array.from({ length: nSides }, () => new Column(columnWidth(terminalWidth, nSides)));
  }

  push(side: number, text: string, paint: Paint = (plain) => plain): void {
    this.sides[side]!.push(text, paint);
    this.writeRows();
  }

  end(side: number): void {
    this.sides[side]!.end();
    this.writeRows();
  }

  private writeRows(): void {
    const blank = " ".repeat(columnWidth(this.terminalWidth, this.nSides));
    const isWhole = (): boolean => this.sides.every(({ lines, isOver }) => isOver || lines.length > this.nWritten);
    while (isWhole() && this.sides.some(({ lines }) => lines.length > this.nWritten)) {
      this.write(`${this.sides.map(({ lines }) => lines[this.nWritten] ?? blank).join(BORDER).trimEnd()}\n`);
      this.nWritten++;
    }
  }
}
