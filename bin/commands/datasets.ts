import { datasetParts, baseName, differingQueries, HUB_SOURCES } from "../../lib/dataset/index.js";
import { datasets as datasetsApi } from "../../lib/experiments.js";
import { loadDataset, prompts as promptsApi, SteeringError, type Dataset, type Row } from "../../lib/index.js";
import { fetchHubFile } from "../../lib/models/index.js";
import { command, group, options, titled, type OutputOptions, type Values } from "../command.js";
import { defined, interruptible, note, print } from "../common.js";
import { count, file } from "../options.js";
import { showProgress } from "../progress.js";
import { printColumns } from "../run-table.js";

const FOLDER = options({
  model: { type: "string", describe: "Use the datasets that belong to this model, e.g. tiny" },
  datasets: { type: "string", describe: "Folder of datasets", defaultDescription: "$LLAMA_STEER_DATASETS, or the included ones" },
});

const SHOW = options({
  ...FOLDER,
  name: { ...file, describe: "Dataset: a name such as ITA or ITA_test, or a file" },
  rows: { ...count(), default: 5, describe: "Number of rows" },
});

const CHECK = options({
  ...FOLDER,
  names: { ...file, array: true, describe: "Datasets (names or files); the queries of several are compared" },
});

const IMPORT = options({
  kind: { choices: ["alpaca", "beavertails", "pairs", "columns"], demandOption: true, describe: "Kind of the source" },
  source: {
    type: "string", describe: "File, or hf:datasets/OWNER/REPO/FILE",
    defaultDescription: "Hugging Face, for alpaca and beavertails",
  },
  name: { type: "string", describe: "Name of the new dataset", defaultDescription: "ENG, ENsafe or ENunsafe" },
  out: { type: "string", default: "datasets", describe: "Folder to write the dataset to" },
  instruction: { type: "string", default: "", describe: "Text to put before the demonstrations" },
  force: { type: "boolean", describe: "Replace an existing dataset of this name" },
  limit: { ...count(), describe: "Largest number of rows", defaultDescription: "500 for alpaca and beavertails" },
  ...titled("Options of alpaca", {
    "max-length": { ...count(), default: 150, describe: "Skip rows whose query or answer has this many characters" },
  }),
  ...titled("Options of beavertails", { unsafe: { type: "boolean", describe: "Take the unsafe answers instead of the safe ones" } }),
  ...titled("Options of pairs", {
    inputs: { type: "string", describe: "Text file of queries, one per line" },
    outputs: { type: "string", describe: "Text file of the same lines in other words" },
  }),
  ...titled("Options of columns", {
    "input-column": { type: "string", default: "input", describe: "Name of the column of queries" },
    "output-column": { type: "string", default: "output", describe: "Name of the column of answers" },
  }),
});

type FolderArguments = Values<typeof FOLDER> & OutputOptions;
type ShowArguments = Values<typeof SHOW> & OutputOptions;
type CheckArguments = Values<typeof CHECK> & OutputOptions;
type ImportArguments = Values<typeof IMPORT> & OutputOptions;

export default group("datasets", "List, show, check and import datasets", [
  command({ usage: "list", describe: "List the datasets that can be used by name", options: FOLDER, run: list }),
  command({ usage: "show <name>", describe: "Print the instruction and the first rows of a dataset", options: SHOW, run: show }),
  command({
    usage: "check <names..>", describe: "Look for problems that would disturb an experiment", options: CHECK,
    examples: [["datasets check polite.jsonl rude.jsonl"]],
    run: check,
  }),
  command({
    usage: "import <kind> [source]",
    describe: "Make a dataset from a public source or from any table",
    options: IMPORT,
    examples: [
      ["datasets import alpaca --name ENG"],
      ["datasets import beavertails --unsafe"],
      ["datasets import pairs --inputs informal --outputs formal --name ENi2f", "as in GYAFC"],
      ["datasets import columns faq.csv --output-column reply --name FAQ"],
    ],
    run: (given) => interruptible((signal) => importDataset(given, signal)),
  }),
]);

const folderOf = ({ model, datasets }: FolderArguments): string => datasets ?? datasetsApi.folder(model);

async function list(options: FolderArguments): Promise<void> {
  const folder = folderOf(options);
  const datasets: Listed[] = [];
  for (const name of datasetsApi.names(folder)) datasets.push(await listed(name, folder));
  if (options.json) return print(JSON.stringify(datasets, null, 2));
  const rowsOf = (part: { name: string; rows: number }): string => `${part.rows} ${part.name.split("_")[1] ?? ""}`.trim();
  printColumns([["name", "rows", "instruction"], ...datasets.map(({ name, parts, instruction, error }) =>
    [name, error ? "unreadable" : parts.map(rowsOf).join(", "), error ?? instruction.split("\n")[0]!])]);
}

interface Listed {
  name: string;
  parts: Array<{ name: string; rows: number }>;
  instruction: string;
  /** Why the dataset cannot be read. */
  error?: string;
}

async function listed(name: string, folder: string | undefined): Promise<Listed> {
  try {
    const parts = await Promise.all(datasetParts(name, folder).map((part) => loadDataset(part, folder)));
    return { name, parts: parts.map((part) => ({ name: part.name, rows: part.rows.length })), instruction: parts[0]?.instruction ?? "" };
  } catch (error) {
    if (!(error instanceof SteeringError)) throw error;
    return { name, parts: [], instruction: "", error: error.message };
  }
}

async function show(options: ShowArguments): Promise<void> {
  const dataset = await loadDataset(options.name, folderOf(options));
  const rows = dataset.rows.slice(0, options.rows);
  if (options.json) return print(JSON.stringify({ ...dataset, rows }, null, 2));
  print(dataset.instruction || "(no instruction)");
  for (const { input, output } of rows) print(`\nQ: ${input}\nA: ${output}`);
  note(`\n${rows.length} of ${dataset.rows.length} rows`, options.quiet);
}

async function check(options: CheckArguments): Promise<void> {
  const folder = folderOf(options);
  const datasets: Dataset[] = [];
  for (const name of options.names) datasets.push(await loadDataset(name, folder));
  const found = datasets.map((dataset, index) => ({
    name: dataset.name,
    rows: dataset.rows.length,
    prompts: dataset.rows.length > 4 ? promptsApi.groups(dataset, 4).length : 0,
    troubles: troublesOf(dataset, index > 0 ? datasets[0] : undefined),
  }));
  if (options.json) return print(JSON.stringify(found, null, 2));
  for (const { name, rows, prompts, troubles } of found) {
    print(`${name}: ${rows} rows, ${prompts} prompts with 4 demonstrations`);
    for (const trouble of troubles) print(`  ${trouble}`);
  }
}

function troublesOf({ name, rows, instruction }: Dataset, first: Dataset | undefined): string[] {
  const nRepeated = rows.length - new Set(rows.map(({ input }) => input)).size;
  const troubles = [
    instruction === "" && `no instruction: ${baseName(name)}_instr.txt is missing or empty`,
    nRepeated > 0 && `${nRepeated} rows repeat the query of another row`,
    rows.some(({ output }) => /Q:/.test(output)) && "an answer contains Q:, which ends a generated answer",
    first && differenceText({ name, rows, instruction }, first),
  ];
  return troubles.filter((trouble) => typeof trouble === "string");
}

function differenceText(dataset: Dataset, first: Dataset): string | false {
  const { differing, compared } = differingQueries(first, dataset);
  return differing > 0 && `${differing} of ${compared} rows ask a different query than ${first.name}; `
    + "a vector of both also carries that difference";
}

async function importDataset(options: ImportArguments, signal: AbortSignal): Promise<void> {
  const { kind, instruction, out, quiet, json } = options;
  const defaults = { alpaca: "ENG", beavertails: options.unsafe ? "ENunsafe" : "ENsafe", pairs: undefined, columns: undefined };
  const name = options.name ?? defaults[kind];
  if (name === undefined) throw new SteeringError("E_BAD_ARGUMENT", `import ${kind} needs a name for the dataset; give it with --name`);
  if (!/^[\w-]+$/.test(name)) {
    throw new SteeringError("E_BAD_ARGUMENT", `--name "${name}" is not valid; expected letters, digits, "_" and "-", e.g. ENi2f`);
  }
  if (datasetsApi.names(out).includes(name) && !options.force) {
    throw new SteeringError("E_BAD_ARGUMENT", `${out} already has a dataset ${name}; choose another --name, or replace it with --force`);
  }
  const rows = await importRows(options, signal);
  const path = await datasetsApi.save(out, { name, rows, instruction });
  if (json) return print(JSON.stringify({ name, path, rows: rows.length }, null, 2));
  print(path);
  note(`${rows.length} rows. Use the dataset by name with --datasets ${out}, or set LLAMA_STEER_DATASETS=${out}`, quiet);
}

async function importRows(options: ImportArguments, signal: AbortSignal): Promise<Row[]> {
  const { kind, inputs, outputs, inputColumn, outputColumn, maxLength } = options;
  const limit = { signal, ...defined({ limit: options.limit }) };
  if (kind === "pairs") {
    if (!inputs || !outputs) {
      throw new SteeringError("E_BAD_ARGUMENT", "import pairs needs two text files; give them with --inputs FILE and --outputs FILE");
    }
    return datasetsApi.importPairs(inputs, outputs, limit);
  }
  const source = options.source ?? (kind === "columns" ? undefined : HUB_SOURCES[kind]);
  if (source === undefined) throw new SteeringError("E_BAD_ARGUMENT", "import columns needs a file; give it after \"columns\"");
  const path = await fetched(source, options.quiet, signal);
  if (kind === "alpaca") return datasetsApi.importAlpaca(path, { ...limit, maxLength });
  if (kind === "beavertails") return datasetsApi.importBeaverTails(path, { ...limit, safe: !options.unsafe });
  return datasetsApi.importColumns(path, { input: inputColumn, output: outputColumn }, limit);
}

/** The path of the source; a source on Hugging Face is downloaded first. */
async function fetched(source: string, quiet: boolean, signal: AbortSignal): Promise<string> {
  const { onProgress, stop } = showProgress(source, quiet, "MB");
  try {
    return await fetchHubFile(source, { onProgress, signal });
  } finally {
    stop();
  }
}
