// The functions that `readBounded` calls, for large or complex files in a child process: each takes one structured-cloneable argument.
import { shown, SteeringError } from "../errors.js";
import { readUtf8 } from "../formats/index.js";
import { seededRandom } from "../maths/index.js";
import { bad, kindOf } from "./refusal.js";
import type { Columns, Row } from "./dataset.js";
import { readTable } from "./table.js";

/** Read rows from two columns of a table file, query and answer. */
export async function columns({ path, columns, limit }: { path: string; columns: Columns; limit: number }): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { values, place } of await readTable(path)) {
    const text = (column: string): string => {
      const value = values[column];
      if (typeof value === "string" && value.trim() !== "") return value;
      throw bad(path, place(), `"${column}" must be a text that is not empty; found ${kindOf(value)}${whichColumns(values)}`);
    };
    rows.push({ input: text(columns.input), output: text(columns.output) });
  }
  if (rows.length === 0) {
    throw bad(path, undefined, `it contains no rows; expected rows with "${columns.input}" and "${columns.output}"`);
  }
  return rows.slice(0, limit);
}

/** See `importAlpaca`. */
export async function alpaca({ path, limit, maxLength }: { path: string; limit: number; maxLength: number }): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { values, place } of await readTable(path)) {
    const { instruction, input = "", output } = values;
    if (typeof instruction !== "string" || typeof output !== "string") {
      throw bad(path, place(), `"instruction" and "output" must be texts; found ${kindOf(instruction)} and ${kindOf(output)}`
        + whichColumns(values));
    }
    if (input || instruction.length >= maxLength || output.length >= maxLength || output.trim() === "") continue;
    if (rows.push({ input: instruction, output }) === limit) break;
  }
  return notEmpty(rows, path);
}

/** See `importBeaverTails`. */
export async function beaverTails(
  { path, safe, limit, seed }: { path: string; safe: boolean; limit: number; seed: number },
): Promise<Row[]> {
  const random = seededRandom(seed);
  const order = Array.from(await readTable(path), (row) => ({ row, at: random() })).sort((a, b) => a.at - b.at);
  const rows: Row[] = [];
  for (const { row: { values, place } } of order) {
    const { prompt, response, is_safe: isSafe } = values;
    if (typeof prompt !== "string" || typeof response !== "string" || typeof isSafe !== "boolean") {
      const found = `${kindOf(prompt)}, ${kindOf(response)} and ${kindOf(isSafe)}`;
      throw bad(path, place(), `"prompt" and "response" must be texts and "is_safe" true or false; found ${found}`
        + whichColumns(values));
    }
    if (isSafe !== safe || response.trim() === "" || prompt.trim() === "") continue;
    if (rows.push({ input: prompt, output: response }) === limit) break;
  }
  return notEmpty(rows, path);
}

/** See `importPairs`. */
export async function pairs({ inputs, outputs, limit }: { inputs: string; outputs: string; limit: number }): Promise<Row[]> {
  const [left, right] = [await linesOf(inputs), await linesOf(outputs)];
  if (left.length !== right.length) {
    throw bad(outputs, undefined, `it has ${right.length} lines, but ${inputs} has ${left.length}; expected one line for each line`);
  }
  const rows = left.slice(0, limit).map((input, index): Row => {
    const output = right[index]!;
    for (const [path, text] of [[inputs, input], [outputs, output]] as const) {
      if (text === "") throw bad(path, `line ${index + 1}`, "it is empty");
    }
    return { input, output };
  });
  return notEmpty(rows, inputs);
}

async function linesOf(path: string): Promise<string[]> {
  const lines = (await readUtf8(path, "E_BAD_DATASET")).split(/\r?\n/).map((line) => line.trim());
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

function notEmpty(rows: Row[], path: string): Row[] {
  if (rows.length === 0) throw new SteeringError("E_BAD_DATASET", `${path} contains no matching row`);
  return rows;
}

/** Most columns that a message lists. */
const MOST_COLUMNS = 12;

/** The columns of a row, for the message about one that is missing. */
function whichColumns(values: Record<string, unknown>): string {
  const names = Object.keys(values);
  const more = names.length > MOST_COLUMNS ? `, and ${names.length - MOST_COLUMNS} more` : "";
  return `; the row has ${names.length === 0 ? "no columns" : `the columns ${names.slice(0, MOST_COLUMNS).map(shown).join(", ")}${more}`}`;
}
