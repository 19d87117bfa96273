import { createHash } from "node:crypto";
import { existsSync, readdirSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { SteeringError } from "../errors.js";
import { writeFileAtomic, nearestName, packageRoot, readUtf8 } from "../formats/index.js";
import { ownDatasets } from "../models/index.js";
import type { DatasetReference } from "../vector/index.js";
import { readBounded } from "./read-bounded.js";
import { isTableFile } from "./table.js";

/** An instruction precedes every prompt; a longer one fits into no context. */
const MAX_INSTRUCTION_BYTES = 2 ** 22;

/** What `isDatasetName` accepts, for messages. */
export const NAME_OR_FILE = "expected a name without / and \\, or a JSON, JSONL, CSV, TSV or Parquet file";

/** A query and an answer that shows the property. */
export interface Row {
  /** The query. */
  input: string;
  /** The gold answer, which has the property. */
  output: string;
}

/** A property, given by examples. */
export interface Dataset {
  name: string;
  rows: Row[];
  /** Text before the demonstrations; may be empty. */
  instruction: string;
}

/** Names of the columns that contain query and answer. */
export interface Columns {
  input: string;
  output: string;
}

/** Options for loading a dataset. */
export interface LoadDatasetOptions {
  signal?: AbortSignal | undefined;
}

/**
 * Load a dataset by name or path. A name (`ITA`, `ITA_train`, `ITA_test`) is looked up in `folder`, which is laid out like the
 * published data (`<folder>/<NAME>/<NAME>_train.json` and `<NAME>_instr.txt`). A path names a JSON, JSONL, CSV, TSV or Parquet file
 * with the columns `input` and `output`, and `<NAME>_instr.txt` in the same folder may contain an instruction.
 *
 * @param folder where names are looked up; default: `LLAMA_STEER_DATASETS`, else the datasets of this package
 * @throws SteeringError E_BAD_ARGUMENT (not the path of a table file), E_NOT_FOUND, E_BAD_DATASET naming file and line, E_ABORTED
 */
export async function loadDataset(nameOrPath: string, folder = datasetsFolder(), { signal }: LoadDatasetOptions = {}): Promise<Dataset> {
  if (isTableFile(nameOrPath)) {
    return readDataset(basename(nameOrPath, extname(nameOrPath)), nameOrPath, instructionBeside(nameOrPath), signal);
  }
  if (!isDatasetName(nameOrPath)) throw wrongName(nameOrPath);
  const base = baseName(nameOrPath);
  const unknown = unknownDataset(nameOrPath, folder);
  if (unknown !== undefined) {
    throw new SteeringError("E_NOT_FOUND", `${unknown} There are ${datasetNames(folder).join(", ") || "none"} `
      + `in ${folder}; a JSON, JSONL, CSV, TSV or Parquet file works too`);
  }
  return readDataset(nameOrPath, fileOf(nameOrPath, folder), join(folder, base, `${base}_instr.txt`), signal);
}

function fileOf(name: string, folder: string): string {
  const base = baseName(name);
  return join(folder, base, name === base ? `${base}_train.json` : `${name}.json`);
}

/** A sentence that says that no dataset of this name is in a folder, with the nearest one; undefined for any other text. */
export function unknownDataset(name: string, folder: string): string | undefined {
  if (isTableFile(name) || !isName(name) || existsSync(fileOf(name, folder))) return undefined;
  const near = nearestName(baseName(name), datasetNames(folder));
  return `no dataset is called "${name}"${near ? `; did you mean ${near}?` : "."}`;
}

/**
 * Write `<folder>/<NAME>/<NAME>_train.json` and its instruction, overwriting existing ones; returns the path of the JSON file.
 * Throws E_WRITE, E_BAD_ARGUMENT.
 */
export async function saveDataset(folder: string, { name, rows, instruction }: Dataset): Promise<string> {
  if (!isName(name)) throw wrongName(name);
  const base = baseName(name);
  const path = join(folder, base, `${name === base ? `${base}_train` : name}.json`);
  const instructionPath = join(folder, base, `${base}_instr.txt`);
  if (instruction) await writeFileAtomic(instructionPath, `${instruction}\n`);
  else await rm(instructionPath, { force: true });
  await writeFileAtomic(path, `${JSON.stringify(rows, null, 1)}\n`);
  return path;
}

/** Names of the datasets in a folder; empty if it does not exist. Throws E_NOT_FOUND if it cannot be read. */
export function datasetNames(folder = datasetsFolder()): string[] {
  try {
    if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return [];
    return readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name).sort();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new SteeringError("E_NOT_FOUND", `the datasets in ${folder} cannot be listed (${code})`, { cause });
  }
}

/** The existing parts of a dataset: `ITA_test`, `ITA_train`, or both. */
export function datasetParts(name: string, folder = datasetsFolder()): string[] {
  return ["test", "train"].map((part) => `${name}_${part}`).filter((part) => existsSync(join(folder, name, `${part}.json`)));
}

/** The test part of a dataset given by name; undefined if it has none, or is itself a test part. Throws E_BAD_DATASET. */
export async function testPart(name: string, folder = datasetsFolder()): Promise<Dataset | undefined> {
  const part = `${baseName(name)}_test`;
  return isTableFile(name) || name === part || !datasetParts(baseName(name), folder).includes(part) ? undefined : loadDataset(part, folder);
}

/** Throws E_BAD_DATASET if a value is not a dataset, e.g. only its name. `what` names the value in the message. */
export function assertDataset(value: unknown, what: string): asserts value is Dataset {
  const { name, instruction, rows } = (value ?? {}) as Partial<Dataset>;
  const isRow = (row: unknown): boolean =>
    typeof (row as Partial<Row> | null)?.input === "string" && typeof (row as Partial<Row>).output === "string";
  if (typeof name === "string" && typeof instruction === "string" && Array.isArray(rows) && rows.every(isRow)) return;
  const hint = typeof value === "string"
    ? `; to load it, use loadDataset(${JSON.stringify(value)})`
    : ", { name, instruction, rows: [{ input, output }] }";
  throw new SteeringError("E_BAD_DATASET", `${what}: expected a dataset${hint}`);
}

/** A dataset's name in the names of runs and vectors: `ITA` for `ITA_train`, `polite` for `data/polite.jsonl`. */
export function baseName(nameOrPath: string): string {
  const name = isTableFile(nameOrPath) ? basename(nameOrPath, extname(nameOrPath)) : nameOrPath;
  return name.replace(/_(train|test)$/, "");
}

/** Whether a text may identify a dataset: as its name, or as the path of a table file. */
export function isDatasetName(nameOrPath: string): boolean {
  return isTableFile(nameOrPath) || isName(nameOrPath);
}

/** Whether a text may be a dataset's name: it becomes part of paths, which must not lead out of a folder. */
function isName(name: string): boolean {
  return !/[\\/]/.test(name) && !/^\.*(_train|_test)?$/.test(name);
}

function wrongName(name: string): SteeringError {
  return new SteeringError("E_BAD_ARGUMENT", `"${name}" cannot be the name of a dataset: ${NAME_OR_FILE}`);
}

/** Count the rows at the same index whose queries differ; a contrast is cleanest if none do. */
export function differingQueries(a: Dataset, b: Dataset): { differing: number; compared: number } {
  const compared = Math.min(a.rows.length, b.rows.length);
  const differing = a.rows.slice(0, compared).filter((row, index) => row.input !== b.rows[index]!.input).length;
  return { differing, compared };
}

/** Name of a dataset and hash of its content. */
export function datasetReference(dataset: Dataset): DatasetReference {
  const hash = createHash("sha256").update(JSON.stringify([dataset.instruction, dataset.rows])).digest("hex");
  return { name: dataset.name, hash: `sha256:${hash}` };
}

/** Throws E_BAD_DATASET if two datasets have the same rows and instruction. */
export function assertDifferent(positive: Dataset, negative: Dataset): void {
  if (datasetReference(positive).hash !== datasetReference(negative).hash) return;
  throw new SteeringError("E_BAD_DATASET",
    `${positive.name} and ${negative.name} have the same rows, so their difference is zero; name two different datasets`);
}

/**
 * Folder in which datasets are looked up by name: `LLAMA_STEER_DATASETS`, else that of the packaged model's own datasets, else that
 * of this package's datasets for all models.
 */
export function datasetsFolder(model?: string): string {
  return process.env["LLAMA_STEER_DATASETS"] || includedDatasets(model);
}

/** Folder of the packaged model's own datasets, else that of this package's datasets for all models. */
export function includedDatasets(model?: string): string {
  return (model && ownDatasets(model)) || join(packageRoot(), "models", "datasets");
}

function instructionBeside(path: string): string {
  return join(dirname(path), `${baseName(basename(path, extname(path)))}_instr.txt`);
}

async function readDataset(name: string, path: string, instructionPath: string, signal: AbortSignal | undefined): Promise<Dataset> {
  const rows = await readBounded("columns", { path, columns: { input: "input", output: "output" }, limit: Infinity }, [path], signal);
  const instruction = existsSync(instructionPath) ? await readUtf8(instructionPath, "E_BAD_DATASET", MAX_INSTRUCTION_BYTES) : "";
  return { name, rows, instruction: instruction.trim() };
}
