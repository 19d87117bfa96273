import { join, relative } from "node:path";
import type { ArgumentsCamelCase, Argv, CommandModule } from "yargs";
import { results as resultsApi, type Merge } from "../../lib/experiments.js";
import { writeFileAtomic } from "../../lib/formats/index.js";
import { unpublished } from "../../lib/results/index.js";
import { interruptible, note, print, type OutputOptions } from "../common.js";
import { printRunTable, runSummary } from "../run-table.js";

interface ShowArguments extends OutputOptions {
  runs: string[];
}

interface ExportArguments extends OutputOptions {
  run: string;
  format: "published" | "jsonl";
  out: string | undefined;
}

interface ImportArguments extends OutputOptions {
  file: string;
  out: string;
}

interface MergeArguments extends OutputOptions {
  out: string;
  shards: string[];
}

const showCommand: CommandModule<OutputOptions, ShowArguments> = {
  command: "show <runs..>",
  describe: "Print the tables of runs, or of all runs below a folder",
  builder: (yargs) => yargs.positional("runs", { type: "string", array: true, demandOption: true, describe: "Folders" })
    .example("$0 results show runs/tiny", "") as unknown as Argv<ShowArguments>,
  handler: async ({ runs, json, quiet }) => {
    for (const folder of runs.flatMap(resultsApi.below)) {
      const results = await resultsApi.read(folder);
      if (json) print(JSON.stringify({ run: folder, summary: await runSummary(results) }));
      else {
        await printRunTable(results);
        note(folder, quiet);
      }
    }
  },
};

const exportCommand: CommandModule<OutputOptions, ExportArguments> = {
  command: "export <run>",
  describe: "Write a run's results for other programs",
  builder: (yargs) => yargs.positional("run", { type: "string", demandOption: true, describe: "Folder of the run" })
    .option("format", { choices: ["published", "jsonl"] as const, default: "published" as const, describe: "published: the JSON of the paper's code, which its notebooks read; jsonl: everything, evaluations too" })
    .option("out", { type: "string", nargs: 1, describe: "File; standard output by default" })
    .example("$0 results export runs/gemma3-270m/ITA-ENG --out results_icl4_tok30_ITA-ENG.json", "") as unknown as Argv<ExportArguments>,
  handler: exportRun,
};

const importCommand: CommandModule<OutputOptions, ImportArguments> = {
  command: "import <file>",
  describe: "Read a results file of the paper's code as a run",
  builder: (yargs) => yargs.positional("file", { type: "string", demandOption: true, describe: "JSON file" })
    .option("out", { type: "string", nargs: 1, demandOption: true, describe: "Folder of the run" })
    .example("$0 results import results_icl4_tok30_ITA-ENG.json --out runs/theirs", "") as unknown as Argv<ImportArguments>,
  handler: importRun,
};

const mergeCommand: CommandModule<OutputOptions, MergeArguments> = {
  command: "merge <out> <shards..>",
  describe: "Join the shards of a run, or of all runs of a plan",
  builder: (yargs) => yargs.positional("out", { type: "string", demandOption: true, describe: "Folder to make" })
    .positional("shards", { type: "string", array: true, demandOption: true, describe: "Folders that --shard runs were written to" })
    .example("$0 results merge runs/all runs/part-0 runs/part-1", "") as unknown as Argv<MergeArguments>,
  handler: merge,
};

/** `llama-steer results show|export|import|merge` */
export const resultsCommand: CommandModule<object, OutputOptions> = {
  command: "results",
  describe: "Tables of runs; exchange with the paper's code; joining shards",
  builder: (yargs) => (yargs as Argv<OutputOptions>).command(showCommand).command(exportCommand).command(importCommand).command(mergeCommand)
    .demandCommand(1, "expected one of: show, export, import, merge"),
  handler: () => {},
};

async function exportRun({ run: folder, format, out, quiet }: ArgumentsCamelCase<ExportArguments>): Promise<void> {
  const { run, records, evaluations, isComplete } = await resultsApi.read(folder);
  if (!isComplete) note(`note: ${folder} is not complete; what is there is exported`, quiet);
  const text = format === "jsonl" ? resultsApi.withColumns(records, evaluations).map((record) => `${JSON.stringify(record)}\n`).join("") : `${JSON.stringify(resultsApi.toPublished(run, records), null, 4)}\n`;
  const without = format === "published" ? unpublished(run) : [];
  if (without.length > 0) note(`note: the published schema has no keys for ${without.join(", ")}; --format jsonl has everything`, quiet);
  if (out === undefined) return void process.stdout.write(text);
  await writeFileAtomic(out, text);
  note(`Written: ${out}`, quiet);
}

async function importRun({ file, out, json, quiet }: ArgumentsCamelCase<ImportArguments>): Promise<void> {
  const { run, records } = await interruptible((signal) => resultsApi.readPublished(file, { signal }));
  await resultsApi.write(out, run, records);
  const results = await resultsApi.read(out);
  if (json) return print(JSON.stringify({ run: out, summary: await runSummary(results) }));
  await printRunTable(results);
  note(`Written: ${out}`, quiet);
}

async function merge({ out, shards, json, quiet }: ArgumentsCamelCase<MergeArguments>): Promise<void> {
  const names = new Set(shards.flatMap((shard) => resultsApi.below(shard).map((folder) => relative(shard, folder))));
  const merges: Array<{ name: string; merge: Merge }> = [];
  await interruptible(async (signal) => {
    for (const name of names) merges.push({ name, merge: await resultsApi.planMerge(join(out, name), shards.map((shard) => join(shard, name)), { signal }) });
  });
  for (const { name, merge: checked } of merges) {
    const results = await checked.write();
    if (json) print(JSON.stringify({ run: join(out, name), summary: await runSummary(results) }));
    else await printRunTable(results);
  }
  note(`Written: ${out}`, quiet);
}
