import { columnsOf } from "./alpha-strip.js";

/** A text in lines of at most `width` terminal columns, broken at spaces; a longer word stays whole. Its own lines are kept. */
export function wrapped(text: string, width: number): string[] {
  return text.split("\n").flatMap((paragraph) => {
    const lines = [""];
    for (const [, spaces = "", word = ""] of paragraph.matchAll(/(\s*)(\S+)/g)) {
      const line = lines.at(-1)!;
      if (line !== "" && columnsOf(line + spaces + word) > width) lines.push(word);
      else lines[lines.length - 1] = line + spaces + word;
    }
    return lines;
  });
}

/** The width of a terminal; undefined for a pipe or a file, whose lines end where the text's do. */
export function widthOf(stream: { isTTY?: boolean; columns?: number }): number | undefined {
  return stream.isTTY ? stream.columns || 80 : undefined;
}
