import { bad, kindOf } from "./refusal.js";

/** An item of a JSON list, with the line on which it begins. */
export interface JsonItem {
  value: unknown;
  line: number;
}

/**
 * Parse the items of a JSON list one by one, so that a list of a million rows is not in memory twice and an error in a row is
 * reported with its line before the next is parsed. Throws E_BAD_DATASET, naming file and line.
 */
export function* jsonItems(content: string, path: string): Generator<JsonItem, void> {
  const text = content.trimEnd(); // an error at the end is on the last line, not after it
  const cursor: Cursor = { at: 0, line: 1 };
  passWhite(text, cursor);
  if (text[cursor.at] !== "[") {
    throw bad(path, undefined, `expected a list of rows, found ${kindOf(parse(text, 1, path))}`);
  }
  cursor.at++;
  for (let isFirst = true; ; isFirst = false) {
    passWhite(text, cursor);
    const { at, line } = cursor;
    passItem(text, cursor);
    const isLast = text[cursor.at] === "]";
    if (isLast && isFirst && cursor.at === at) break;
    yield { value: parse(text.slice(at, cursor.at), line, path), line };
    if (isLast) break;
    if (cursor.at === text.length) throw bad(path, `line ${cursor.line}`, "it is not JSON: it ends inside its list");
    cursor.at++; // the comma
  }
  cursor.at++;
  passWhite(text, cursor);
  if (cursor.at < text.length) throw bad(path, `line ${cursor.line}`, "it is not JSON: something follows its list");
}

/** A position in a text. */
interface Cursor {
  at: number;
  line: number;
}

const [TAB, LINE_END, RETURN, SPACE, QUOTE, BACKSLASH, COMMA] = [..."\t\n\r \"\\,"].map((character) => character.charCodeAt(0));
const [OPENING, CLOSING] = ["[{", "]}"].map((pair) => [...pair].map((character) => character.charCodeAt(0)));

function passWhite(text: string, cursor: Cursor): void {
  for (; cursor.at < text.length; cursor.at++) {
    const code = text.charCodeAt(cursor.at);
    if (code === LINE_END) cursor.line++;
    else if (code !== SPACE && code !== TAB && code !== RETURN) return;
  }
}

/** Move to the comma or bracket that ends an item of the list, or to the end of the text. */
function passItem(text: string, cursor: Cursor): void {
  let depth = 0;
  let isText = false;
  for (; cursor.at < text.length; cursor.at++) {
    const code = text.charCodeAt(cursor.at);
    if (code === LINE_END) {
      cursor.line++;
      isText = false; // JSON strings have no line breaks: an unclosed one must not hide the rest
    } else if (code === QUOTE) isText = !isText;
    else if (isText) {
      if (code === BACKSLASH && text.charCodeAt(cursor.at + 1) !== LINE_END) cursor.at++;
    } else if (OPENING!.includes(code)) depth++;
    else if (CLOSING!.includes(code)) {
      if (depth === 0 && code === CLOSING![0]) return;
      depth = Math.max(0, depth - 1);
    } else if (code === COMMA && depth === 0) return;
  }
}

function parse(text: string, firstLine: number, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const { message } = cause as Error;
    const reason = message.replace(/( in JSON)? at position \d+.*$/s, "");
    throw bad(path, `line ${firstLine + lineOfError(text, message) - 1}`, `it is not JSON: ${reason}`, cause);
  }
}

/** Line of a syntax error, from 1: by the message's position, else the first line after which no continuation makes the text valid. */
function lineOfError(text: string, message: string): number {
  const ends: number[] = [];
  for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", end + 1)) ends.push(end);
  const position = positionIn(message);
  if (position !== undefined) return ends.filter((end) => end < position).length + 1;
  if (isOpen(text)) return ends.length + 1;
  let [from, to] = [0, ends.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (isOpen(text.slice(0, ends[middle]! + 1))) from = middle + 1;
    else to = middle;
  }
  return from + 1;
}

function positionIn(message: string): number | undefined {
  const position = /position (\d+)/.exec(message)?.[1];
  return position === undefined ? undefined : Number(position);
}

/** Whether a text is a prefix of valid JSON. */
function isOpen(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch (error) {
    const { message } = error as Error;
    return message.includes("end of JSON") || (positionIn(message) ?? -1) >= text.length;
  }
}
