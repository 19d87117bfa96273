import { stripVTControlCharacters } from "node:util";
import { columnsOf } from "./alpha-strip.js";

/** Fewer columns beside a label are too narrow for a text. */
const LEAST_BESIDE = 20;
const INDENT = 2;

/** A text in lines of at most `width` terminal columns, broken at spaces; a longer word stays whole. Its own lines are kept. */
export function wrapped(text: string, width: number): string[] {
  return text.split("\n").flatMap((paragraph) => {
    const lines = [""];
    for (const [, spaces = "", word = ""] of paragraph.matchAll(/(\s*)(\S+)/g)) {
      const line = lines.at(-1)!;
      if (line !== "" && shown(line + spaces + word) > width) lines.push(word);
      else lines[lines.length - 1] = line + spaces + word;
    }
    return lines;
  });
}

/**
 * A text beside its label, whose column is `margin` wide, or below it if there is too little room; broken into lines of less than `width`
 * columns, if that is given.
 */
export function labelled(label: string, text: string, margin: number, width: number | undefined): string {
  const beside = label + " ".repeat(margin - shown(label));
  if (width === undefined) return beside + text.replaceAll("\n", `\n${" ".repeat(margin)}`);
  const isBeside = width - margin > LEAST_BESIDE;
  const indent = " ".repeat(isBeside ? margin : INDENT);
  const lines = wrapped(text, width - indent.length - 1).join(`\n${indent}`);
  return isBeside ? beside + lines : `${label}\n${indent}${lines}`;
}

/** The width of a terminal; undefined for a pipe or a file, whose lines end where the text's do. */
export function widthOf(stream: { isTTY?: boolean; columns?: number }): number | undefined {
  return stream.isTTY ? stream.columns || 80 : undefined;
}

/** Columns of a text, which may have colours. */
function shown(text: string): number {
  return columnsOf(stripVTControlCharacters(text));
}
