import type { ArgumentsCamelCase, Argv, CommandModule } from "yargs";
import { datasetParts, differingQueries, baseName, HUB_SOURCES } from "../../lib/dataset/index.js";
import { datasets as datasetsApi } from "../../lib/experiments.js";
import { loadDataset, prompts as promptsApi, SteeringError, type Dataset, type Row } from "../../lib/index.js";
import { fetchHubFile } from "../../lib/models/index.js";
import { interruptible, note, print, wholeNumber, type OutputOptions } from "../common.js";
import { megabytes, showProgress } from "../progress.js";
import { printColumns } from "../run-table.js";

interface FolderArguments extends OutputOptions {
  model: string | undefined;
  datasets: string | undefined;
}

interface ShowArguments extends FolderArguments {
  name: string;
  rows: number;
}

interface CheckArguments extends FolderArguments {
  names: string[];
}

interface ImportArguments extends OutputOptions {
  kind: "alpaca" | "beavertails" | "pairs" | "columns";
  source: string | undefined;
  name: string | undefined;
  out: string;
  instruction: string;
  limit: number | undefined;
  maxLength: number;
  unsafe: boolean;
  force: boolean;
  inputs: string | undefined;
  outputs: string | undefined;
  inputColumn: string;
  outputColumn: string;
}

const folderOptions = <T>(yargs: Argv<T>): Argv<T & FolderArguments> => yargs
  .option("model", { type: "string", nargs: 1, describe: "Those that belong to a model, e.g. tiny" })
  .option("datasets", { type: "string", nargs: 1, describe: "Folder of datasets; default: LLAMA_STEER_DATASETS, or ours" }) as unknown as Argv<T & FolderArguments>;
const folderOf = ({ model, datasets }: FolderArguments): string => datasets ?? datasetsApi.folder(model);

const listCommand: CommandModule<OutputOptions, FolderArguments> = {
  command: "list",
  describe: "Show the datasets that can be used by name",
  builder: (yargs) => folderOptions(yargs) as unknown as Argv<FolderArguments>,
  handler: list,
};

const showCommand: CommandModule<OutputOptions, ShowArguments> = {
  command: "show <name>",
  describe: "Print a dataset's instruction and first rows",
  builder: (yargs) => folderOptions(yargs.positional("name", { type: "string", demandOption: true, describe: "A name such as ITA or ITA_test, or a file" })
    .option("rows", { type: "number", default: 5, coerce: wholeNumber("rows", 1), describe: "How many rows" })) as unknown as Argv<ShowArguments>,
  handler: show,
};

const checkCommand: CommandModule<OutputOptions, CheckArguments> = {
  command: "check <names..>",
  describe: "Read datasets as an experiment would, and say what would trouble it",
  builder: (yargs) => folderOptions(yargs.positional("names", { type: "string", array: true, demandOption: true, describe: "Names or files; of two, whether they ask the same" }))
    .example("$0 datasets check polite.jsonl rude.jsonl", "") as unknown as Argv<CheckArguments>,
  handler: check,
};

const importCommand: CommandModule<OutputOptions, ImportArguments> = {
  command: "import <kind> [source]",
  describe: "Make a dataset of other data: the sources of the published ones, or any table",
  builder: (yargs) => yargs.positional("kind", { choices: ["alpaca", "beavertails", "pairs", "columns"] as const, demandOption: true, describe: "What the source is" })
    .positional("source", { type: "string", describe: "File, or hf:datasets/OWNER/REPO/FILE; of alpaca and beavertails the hub's by default" })
    .option("name", { type: "string", nargs: 1, describe: "Name of the dataset; ENG, ENsafe or ENunsafe by default" })
    .option("out", { type: "string", nargs: 1, default: "datasets", describe: "Folder of datasets to write to" })
    .option("instruction", { type: "string", nargs: 1, default: "", describe: "Text before the demonstrations" })
    .option("force", { type: "boolean", default: false, describe: "Replace a dataset of this name" })
    .option("limit", { type: "number", coerce: wholeNumber("limit", 1), describe: "Most rows; 500 by default for alpaca and beavertails" })
    .option("max-length", { type: "number", default: 150, coerce: wholeNumber("max-length", 1), describe: "alpaca: query and answer are shorter than this many characters" })
    .option("unsafe", { type: "boolean", default: false, describe: "beavertails: the answers that are not safe" })
    .option("inputs", { type: "string", nargs: 1, describe: "pairs: text file of queries, one per line" })
    .option("outputs", { type: "string", nargs: 1, describe: "pairs: text file of the same lines, said otherwise" })
    .option("input-column", { type: "string", nargs: 1, default: "input", describe: "columns: which one holds the query" })
    .option("output-column", { type: "string", nargs: 1, default: "output", describe: "columns: which one holds the answer" })
    .example("$0 datasets import alpaca --name ENG", "")
    .example("$0 datasets import beavertails --unsafe", "")
    .example("$0 datasets import pairs --inputs informal --outputs formal --name ENi2f", "files as GYAFC has them")
    .example("$0 datasets import columns faq.csv --input-column question --output-column reply --name FAQ", "") as unknown as Argv<ImportArguments>,
  handler: (options) => interruptible((signal) => importDataset(options, signal)),
};

/** `llama-steer datasets list|show|check|import` */
export const datasetsCommand: CommandModule<object, OutputOptions> = {
  command: "datasets",
  describe: "List, show, check and import datasets",
  builder: (yargs) => (yargs as Argv<OutputOptions>).command(listCommand).command(showCommand).command(checkCommand).command(importCommand)
    .demandCommand(1, "expected one of: list, show, check, import"),
  handler: () => {},
};

async function list(options: ArgumentsCamelCase<FolderArguments>): Promise<void> {
  const folder = folderOf(options);
  const datasets = await Promise.all(datasetsApi.names(folder).map(async (name) => {
    try {
      const parts = await Promise.all(datasetParts(name, folder).map((part) => loadDataset(part, folder)));
      return { name, parts: parts.map((part) => ({ name: part.name, rows: part.rows.length })), instruction: parts[0]?.instruction ?? "" };
    } catch (error) {
      if (!(error instanceof SteeringError)) throw error;
      return { name, parts: [], instruction: "", error: error.message };
    }
  }));
  if (options.json) return print(JSON.stringify(datasets, null, 2));
  printColumns([["name", "rows", "instruction"], ...datasets.map(({ name, parts, instruction, error }) =>
    [name, error ? "unreadable" : parts.map((part) => `${part.rows} ${part.name.split("_")[1] ?? ""}`.trim()).join(", "), error ?? instruction.split("\n")[0]!])]);
}

async function show(options: ArgumentsCamelCase<ShowArguments>): Promise<void> {
  const dataset = await loadDataset(options.name, folderOf(options));
  const rows = dataset.rows.slice(0, options.rows);
  if (options.json) return print(JSON.stringify({ ...dataset, rows }, null, 2));
  print(dataset.instruction || "(no instruction)");
  for (const { input, output } of rows) print(`\nQ: ${input}\nA: ${output}`);
  note(`\n${rows.length} of ${dataset.rows.length} rows`, options.quiet);
}

async function check(options: ArgumentsCamelCase<CheckArguments>): Promise<void> {
  const folder = folderOf(options);
  const datasets: Dataset[] = [];
  for (const name of options.names) datasets.push(await loadDataset(name, folder));
  const found = datasets.map((dataset, index) => {
    const { rows, name } = dataset;
    const [first] = datasets;
    const apart = index > 0 ? differingQueries(first!, dataset) : undefined;
    const queries = new Set(rows.map(({ input }) => input));
    const troubles = [
      ...(dataset.instruction ? [] : [`no instruction (${baseName(name)}_instr.txt beside it)`]),
      ...(queries.size < rows.length ? [`${rows.length - queries.size} queries are asked twice`] : []),
      ...(rows.some(({ output }) => /Q:/.test(output)) ? ["an answer contains Q:, which ends an answer"] : []),
      ...(apart && apart.differing > 0 ? [`asks other queries than ${first!.name} in ${apart.differing} of ${apart.compared} rows: a contrast carries that too`] : []),
    ];
    return { name, rows: rows.length, prompts: rows.length > 4 ? promptsApi.groups(dataset, 4).length : 0, troubles };
  });
  if (options.json) return print(JSON.stringify(found, null, 2));
  for (const { name, rows, prompts, troubles } of found) {
    print(`${name}: ${rows} rows, ${prompts} prompts with 4 demonstrations`);
    for (const trouble of troubles) print(`  ${trouble}`);
  }
}

async function importDataset(options: ArgumentsCamelCase<ImportArguments>, signal: AbortSignal): Promise<void> {
  const { kind, instruction, out, quiet, json } = options;
  const name = options.name ?? { alpaca: "ENG", beavertails: options.unsafe ? "ENunsafe" : "ENsafe", pairs: undefined, columns: undefined }[kind];
  if (!name || !/^[\w-]+$/.test(name)) throw new SteeringError("E_BAD_ARGUMENT", `--name: letters, digits, "_" and "-" were expected, e.g. ENi2f`);
  if (datasetsApi.names(out).includes(name) && !options.force) throw new SteeringError("E_BAD_ARGUMENT", `${out} has a dataset ${name} already; --force replaces it`);
  const rows = await importRows(options, signal);
  const path = await datasetsApi.save(out, { name, rows, instruction });
  if (json) return print(JSON.stringify({ name, path, rows: rows.length }, null, 2));
  print(path);
  note(`${rows.length} rows. Use it by name with --datasets ${out}, or LLAMA_STEER_DATASETS=${out}`, quiet);
}

async function importRows(options: ImportArguments, signal: AbortSignal): Promise<Row[]> {
  const { kind, inputs, outputs, inputColumn, outputColumn, maxLength } = options;
  const limit = { signal, ...(options.limit !== undefined && { limit: options.limit }) };
  if (kind === "pairs") {
    if (!inputs || !outputs) throw new SteeringError("E_BAD_ARGUMENT", "pairs need --inputs FILE and --outputs FILE");
    return datasetsApi.importPairs(inputs, outputs, limit);
  }
  const source = options.source ?? (kind === "columns" ? undefined : HUB_SOURCES[kind]);
  if (source === undefined) throw new SteeringError("E_BAD_ARGUMENT", "columns need a file");
  const path = await fetched(source, options.quiet, signal);
  if (kind === "alpaca") return datasetsApi.importAlpaca(path, { ...limit, maxLength });
  if (kind === "beavertails") return datasetsApi.importBeaverTails(path, { ...limit, safe: !options.unsafe });
  return datasetsApi.importColumns(path, { input: inputColumn, output: outputColumn }, limit);
}

/** A file as it is; what lies on the hub is downloaded first. */
async function fetched(source: string, quiet: boolean, signal: AbortSignal): Promise<string> {
  const { onProgress, stop } = showProgress(source, quiet, megabytes);
  try {
    return await fetchHubFile(source, { onProgress, signal });
  } finally {
    stop();
  }
}
