import { existsSync } from "node:fs";
import { extname } from "node:path";
import { readUtf8 } from "../formats/index.js";
import { isDatasetName, loadDataset, type LoadDatasetOptions } from "./dataset.js";
import { importColumns } from "./import.js";
import { bad } from "./refusal.js";
import { isTableFile } from "./table.js";

/**
 * Load questions: those of a dataset given by name, the column `input` of a table file, or the lines of any other text file, without the
 * empty ones.
 *
 * @param folder where names are looked up
 * @throws SteeringError E_NOT_FOUND, E_BAD_DATASET, E_ABORTED
 */
export async function loadQuestions(nameOrPath: string, folder: string, options: LoadDatasetOptions = {}): Promise<string[]> {
  if (isTableFile(nameOrPath)) {
    const { signal } = options;
    const rows = await importColumns(nameOrPath, { input: "input", output: "input" }, signal ? { signal } : {});
    return rows.map(({ input }) => input);
  }
  const isName = isDatasetName(nameOrPath) && extname(nameOrPath) === "" && !existsSync(nameOrPath);
  if (isName) return (await loadDataset(nameOrPath, folder, options)).rows.map(({ input }) => input);
  const lines = (await readUtf8(nameOrPath, "E_BAD_DATASET")).split("\n").map((line) => line.trim()).filter((line) => line !== "");
  if (lines.length === 0) throw bad(nameOrPath, undefined, "it contains no questions; expected one per line");
  return lines;
}
