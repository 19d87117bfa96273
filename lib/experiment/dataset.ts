import { createHash } from "node:crypto";
import { existsSync, readdirSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { SteeringError } from "../errors.js";
import { packageRoot } from "../io/paths.js";
import { ownDatasets } from "../io/registry.js";
import type { DatasetReference } from "../steering/index.js";

export interface Row {
  /** The query. */
  input: string;
  /** The gold answer, with the property. */
  output: string;
}

export interface Dataset {
  name: string;
  rows: Row[];
  /** Text before the demonstrations; empty when there is none. */
  instruction: string;
}

const rowSchema = z.object({ input: z.string().min(1), output: z.string().min(1) });

/**
 * Load a dataset: a name of ours (`ITA`, `ITA_train`, `ITA_test`) or of a folder laid out like the published data
 * (`<folder>/<NAME>/<NAME>_train.json` and `<NAME>_instr.txt`), or the path of a JSON file of `{input, output}` rows.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_DATASET naming the row
 */
export async function loadDataset(nameOrPath: string, folder = datasetsFolder()): Promise<Dataset> {
  if (nameOrPath.endsWith(".json")) return readDataset(basename(nameOrPath, ".json"), nameOrPath, instructionBeside(nameOrPath));
  const base = nameOrPath.replace(/_(train|test)$/, "");
  const file = nameOrPath === base ? `${base}_train.json` : `${nameOrPath}.json`;
  const path = join(folder, base, file);
  if (!existsSync(path)) {
    throw new SteeringError("E_NOT_FOUND", `no dataset is called "${nameOrPath}"; there are ${datasetNames(folder).join(", ") || "none"} in ${folder}, or give the path of a JSON file`);
  }
  return readDataset(nameOrPath, path, join(folder, base, `${base}_instr.txt`));
}

/** Names of the datasets in a folder. */
export function datasetNames(folder = datasetsFolder()): string[] {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return [];
  return readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name).sort();
}

/** How many of the rows that both datasets have ask different queries: a contrast is cleanest when none does. */
export function differingQueries(a: Dataset, b: Dataset): { differing: number; compared: number } {
  const compared = Math.min(a.rows.length, b.rows.length);
  const differing = a.rows.slice(0, compared).filter((row, index) => row.input !== b.rows[index]!.input).length;
  return { differing, compared };
}

/** Identity of a dataset's content. */
export function datasetReference(dataset: Dataset): DatasetReference {
  const hash = createHash("sha256").update(JSON.stringify([dataset.instruction, dataset.rows])).digest("hex");
  return { name: dataset.name, hash: `sha256:${hash}` };
}

/** Where datasets are looked up by name: `LLAMA_STEER_DATASETS`, else those that a model of the package was made with, else ours for all models. */
export function datasetsFolder(model?: string): string {
  return process.env["LLAMA_STEER_DATASETS"] || (model && ownDatasets(model)) || join(packageRoot(), "models", "datasets");
}

function instructionBeside(path: string): string {
  return join(dirname(path), `${basename(path, ".json").replace(/_(train|test)$/, "")}_instr.txt`);
}

async function readDataset(name: string, path: string, instructionPath: string): Promise<Dataset> {
  const text = await readText(path);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new SteeringError("E_BAD_DATASET", `${path} is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (!Array.isArray(json) || json.length === 0) throw new SteeringError("E_BAD_DATASET", `${path}: a list of {"input", "output"} rows was expected`);
  const rows = json.map((row, index) => {
    const parsed = rowSchema.safeParse(row);
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0]!;
    throw new SteeringError("E_BAD_DATASET", `${path}: row ${index}${issue.path.length ? `, ${issue.path.join(".")}` : ""}: ${issue.message}`);
  });
  const instruction = existsSync(instructionPath) ? (await readText(instructionPath)).trim() : "";
  return { name, rows, instruction };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new SteeringError("E_NOT_FOUND", `dataset file ${path} cannot be read (${(cause as NodeJS.ErrnoException).code})`, { cause });
  }
}
