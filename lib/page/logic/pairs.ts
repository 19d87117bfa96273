/** What two sides say, perhaps in answer to a question. */
export interface Pair {
  question?: string;
  positive: string;
  negative: string;
}

export const EXPECTED = "Expected one pair per line, with tabs or “|” between the columns: wanted | unwanted, or "
  + "question | wanted | unwanted; or JSON: [{\"question\", \"positive\", \"negative\"}].";

/** Reads pasted pairs: lines of a table with two or three columns, or JSON. Throws an Error that names the line. */
export function parsePairs(text: string): Pair[] {
  const trimmed = text.trim();
  if (trimmed === "") return [];
  if (trimmed.startsWith("[")) return fromJson(trimmed);
  return trimmed.split(/\r?\n/).map((line, index) => ({ line: line.trim(), index })).filter(({ line }) => line !== "").map(
    ({ line, index }) => (line.startsWith("{") ? pairOf(parse(line, index), index) : fromCells(cellsOf(line), index)),
  );
}

function fromJson(text: string): Pair[] {
  const rows = parse(text, 0) as unknown[];
  return rows.map(pairOf);
}

const cellsOf = (line: string): string[] => line.split(line.includes("\t") ? "\t" : "|");

function parse(text: string, index: number): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`Pair ${index + 1}: this is not JSON. ${EXPECTED}`);
  }
}

function fromCells(cells: readonly string[], index: number): Pair {
  const texts = cells.map((cell) => cell.trim());
  const [first, second, third] = texts;
  if (texts.some((cell) => cell === "") || texts.length < 2 || texts.length > 3) {
    throw new Error(`Line ${index + 1} has ${texts.filter((cell) => cell !== "").length} filled columns of ${texts.length}. ${EXPECTED}`);
  }
  return third === undefined ? { positive: first!, negative: second! } : { question: first!, positive: second!, negative: third };
}

function pairOf(row: unknown, index: number): Pair {
  const { question, positive, negative } = (typeof row === "object" && row !== null ? row : {}) as Record<string, unknown>;
  const isText = (value: unknown): value is string => typeof value === "string" && value !== "";
  if (!isText(positive) || !isText(negative) || (question !== undefined && typeof question !== "string")) {
    throw new Error(`Pair ${index + 1} has no texts “positive” and “negative”. ${EXPECTED}`);
  }
  return { ...(question !== undefined && question !== "" && { question }), positive, negative };
}
