import { join, relative } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { results as resultsApi, type Merge, type RunResults } from "../../lib/experiments.js";
import { writeLinesAtomic } from "../../lib/formats/index.js";
import { readRunFile, runTitle, unpublished, withColumns } from "../../lib/results/index.js";
import { command, group, options, type OutputOptions, type Values } from "../command.js";
import { interruptible, note, print } from "../common.js";
import { file } from "../options.js";
import { printRunTable, runSummary } from "../run-table.js";

const SHOW = options({ runs: { ...file, array: true, describe: "Folders of runs, or folders that contain runs" } });

const EXPORT = options({
  run: { ...file, describe: "Folder of the run" },
  format: {
    choices: ["published", "jsonl"], default: "published",
    describe: "published: JSON for the notebooks of the paper; jsonl: everything",
  },
  out: { type: "string", describe: "File to write", defaultDescription: "standard output" },
});

const IMPORT = options({
  file: { ...file, describe: "JSON file written by the paper's code" },
  out: { ...file, describe: "Folder to write the run to" },
});

const MERGE = options({
  out: { ...file, describe: "Folder to write the joined runs to" },
  shards: { ...file, array: true, describe: "Folders that runs with --shard were written to" },
});

type ShowArguments = Values<typeof SHOW> & OutputOptions;
type ExportArguments = Values<typeof EXPORT> & OutputOptions;
type ImportArguments = Values<typeof IMPORT> & OutputOptions;
type MergeArguments = Values<typeof MERGE> & OutputOptions;

export default group("results", "Show, export, import and merge the results of runs", [
  command({
    usage: "show <runs..>", describe: "Print the tables of runs", options: SHOW,
    examples: [["results show runs/tiny"]],
    run: show,
  }),
  command({
    usage: "export <run>", describe: "Write the results of a run for other programs", options: EXPORT,
    examples: [["results export runs/gemma3-270m/ITA-ENG --out results_icl4_tok30_ITA-ENG.json"]],
    run: exportRun,
  }),
  command({
    usage: "import <file>", describe: "Turn a results file of the paper's code into a run", options: IMPORT,
    examples: [["results import results_icl4_tok30_ITA-ENG.json --out runs/theirs"]],
    run: importRun,
  }),
  command({
    usage: "merge <out> <shards..>", describe: "Join the shards of a run, or of all runs of a plan", options: MERGE,
    examples: [["results merge runs/all runs/part-0 runs/part-1", "then: llama-steer results show runs/all"]],
    run: merge,
  }),
]);

async function show({ runs, json, quiet }: ShowArguments): Promise<void> {
  const folders = runs.flatMap(resultsApi.below);
  for (const folder of folders) await readRunFile(folder); // before anything is printed
  for (const folder of folders) {
    const results = await resultsApi.read(folder);
    if (json) print(JSON.stringify({ run: folder, summary: await runSummary(results) }));
    else {
      await printRunTable(results);
      note(folder, quiet);
    }
  }
}

async function exportRun({ run: folder, format, out, quiet }: ExportArguments): Promise<void> {
  const results = await resultsApi.read(folder);
  const { run, records, isComplete } = results;
  if (!isComplete) note(`note: the run in ${folder} is not complete; only its finished answers are exported`, quiet);
  const lines = format === "jsonl"
    ? jsonLines(results)
    : [`${JSON.stringify(resultsApi.toPublished(run, records), null, 4)}\n`];
  const without = format === "published" ? unpublished(run) : [];
  if (without.length > 0) note(`note: the published format leaves out ${without.join(", ")}; --format jsonl exports everything`, quiet);
  if (out === undefined) return pipeline(Readable.from(lines), process.stdout, { end: false });
  await writeLinesAtomic(out, lines);
  note(`Written: ${out}`, quiet);
}

/** A run's answers with the columns of its evaluations, each made only when it is written: they would take as much memory again. */
function* jsonLines({ records, evaluations }: RunResults): Generator<string> {
  for (const [index, record] of records.entries()) {
    const own = evaluations.map(({ header, rows }) => ({ header, rows: rows.slice(index, index + 1) }));
    for (const each of withColumns([record], own)) yield `${JSON.stringify(each)}\n`;
  }
}

async function importRun({ file, out, json, quiet }: ImportArguments): Promise<void> {
  const { run, records } = await interruptible((signal) => resultsApi.readPublished(file, { signal }));
  await resultsApi.write(out, run, records);
  const results = await resultsApi.read(out);
  if (json) return print(JSON.stringify({ run: out, summary: await runSummary(results) }));
  await printRunTable(results);
  note(`Written: ${out}`, quiet);
}

async function merge({ out, shards, json, quiet }: MergeArguments): Promise<void> {
  const names = new Set(shards.flatMap((shard) => resultsApi.below(shard).map((folder) => relative(shard, folder))));
  const merges: Array<{ name: string; merge: Merge }> = [];
  await interruptible(async (signal) => {
    for (const name of names) {
      merges.push({ name, merge: await resultsApi.planMerge(join(out, name), shards.map((shard) => join(shard, name)), { signal }) });
    }
  });
  for (const { name, merge: checked } of merges) {
    const { run, records } = await checked.write();
    // No table: to detect the languages of all answers for it takes many times as long as to merge them.
    if (json) print(JSON.stringify({ run: join(out, name), answers: records.length }));
    else print(`${runTitle(run)}, ${run.model.name}: ${records.length} answers from ${shards.length} parts`);
  }
  note(`Written: ${out}. For the tables, run: llama-steer results show ${out}`, quiet);
}
