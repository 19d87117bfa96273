import { SteeringError } from "../errors.js";
import { readUtf8 } from "../io/text-file.js";
import { seededRandom } from "../maths/random.js";
import { readRows, type Columns, type Row } from "./dataset.js";
import { bad, kindOf, readTable } from "./table.js";

/** Sources of the published datasets, as the hub lays them out. */
export const HUB_SOURCES = {
  alpaca: "hf:datasets/yahma/alpaca-cleaned/alpaca_data_cleaned.json",
  beavertails: "hf:datasets/PKU-Alignment/BeaverTails/default/330k_train/0000.parquet@refs/convert/parquet",
} as const;

/** How many rows are kept. */
export interface ImportLimits {
  /** Most rows; as published 500. */
  limit?: number;
}

/**
 * Language data (docs/method.md §1): of Alpaca-cleaned, the first rows without an input whose instruction and answer are
 * both shorter than `maxLength` characters.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_DATASET
 */
export async function importAlpaca(path: string, { limit = 500, maxLength = 150 }: ImportLimits & { maxLength?: number } = {}): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { values, place } of await readTable(path)) {
    const { instruction, input = "", output } = values;
    if (typeof instruction !== "string" || typeof output !== "string") throw bad(path, place(), `"instruction" and "output" must be texts; ${kindOf(instruction)} and ${kindOf(output)} found`);
    if (input || instruction.length >= maxLength || output.length >= maxLength || output.trim() === "") continue;
    if (rows.push({ input: instruction, output }) === limit) break;
  }
  return notEmpty(rows, path);
}

/**
 * Safety data (docs/method.md §1): of BeaverTails in a seeded random order, the first answers that are safe, or are not. The
 * published draw is of another generator and cannot be repeated by a seed.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_DATASET
 */
export async function importBeaverTails(path: string, { safe, limit = 500, seed = 42 }: ImportLimits & { safe: boolean; seed?: number }): Promise<Row[]> {
  const table = await readTable(path);
  const random = seededRandom(seed);
  const order = table.map((row) => ({ row, at: random() })).sort((a, b) => a.at - b.at);
  const rows: Row[] = [];
  for (const { row: { values, place } } of order) {
    const { prompt, response, is_safe: isSafe } = values;
    if (typeof prompt !== "string" || typeof response !== "string" || typeof isSafe !== "boolean") {
      throw bad(path, place(), `"prompt" and "response" must be texts and "is_safe" true or false; ${kindOf(prompt)}, ${kindOf(response)} and ${kindOf(isSafe)} found`);
    }
    if (isSafe !== safe || response.trim() === "" || prompt.trim() === "") continue;
    if (rows.push({ input: prompt, output: response }) === limit) break;
  }
  return notEmpty(rows, path);
}

/**
 * Formality data (docs/method.md §1): two text files as GYAFC has them, line by line the same said in two ways.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_DATASET naming the line
 */
export async function importPairs(inputs: string, outputs: string, { limit = Infinity }: ImportLimits = {}): Promise<Row[]> {
  const [left, right] = [await linesOf(inputs), await linesOf(outputs)];
  if (left.length !== right.length) throw bad(outputs, undefined, `${right.length} lines, but ${inputs} has ${left.length}: the two must say the same line by line`);
  const rows = left.slice(0, limit).map((input, index): Row => {
    const output = right[index]!;
    for (const [path, text] of [[inputs, input], [outputs, output]] as const) if (text === "") throw bad(path, `line ${index + 1}`, "it is empty");
    return { input, output };
  });
  return notEmpty(rows, inputs);
}

/** Rows of any table file, whose columns are named. Throws E_NOT_FOUND, E_BAD_DATASET naming file and line. */
export async function importColumns(path: string, columns: Columns, { limit = Infinity }: ImportLimits = {}): Promise<Row[]> {
  return (await readRows(path, columns)).slice(0, limit);
}

async function linesOf(path: string): Promise<string[]> {
  const lines = (await readUtf8(path, "E_BAD_DATASET")).split(/\r?\n/).map((line) => line.trim());
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

function notEmpty(rows: Row[], path: string): Row[] {
  if (rows.length === 0) throw new SteeringError("E_BAD_DATASET", `${path} holds no row that fits`);
  return rows;
}
