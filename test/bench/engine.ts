// The honest table: what llama-steer does with a model on this machine, beside a plain llama_decode loop in C++ and beside itself without
// steering (docs/benchmarks.md):
//   npm run bench -- [OPTIONS]     --help lists them
import { basename, join } from "node:path";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { findPullable } from "../../lib/models/pull.js";
import { isNamedModel } from "../../lib/models/index.js";
import { modelPath } from "../../lib/models/registry.js";
import { describeMachine, machineLine } from "./parts/machine.js";
import { benchOptions, USAGE, type BenchOptions } from "./parts/options.js";
import { quantised } from "./parts/quantise.js";
import { tableOf } from "./parts/report.js";
import { addResults, readResults, resultsOf, type ModelResult, type RowResult } from "./parts/results.js";
import { measureRounds } from "./parts/rounds.js";
import { allRows, chosenRows, type Row } from "./parts/rows.js";
import { Subject } from "./parts/subject.js";

const args = process.argv.slice(2);
if (args.includes("--help")) console.log(USAGE);
else await main(benchOptions(args));

async function main(options: BenchOptions): Promise<void> {
  if (options.list) return console.log(allRows().filter(({ isHidden }) => !isHidden).map(({ name, label, group }) =>
    `${name.padEnd(20)} ${group}: ${label}`).join("\n"));
  if (options.table !== undefined) return console.log(tableOf(readResults(options.table)));
  const machine = describeMachine();
  console.log(machineLine(machine));
  const rows = chosenRows(options.only);
  const folder = mkdtempSync(join(tmpdir(), "llama-steer-bench-"));
  try {
    for (const name of options.models) {
      const file = isNamedModel(name) ? modelPath(findPullable(name)) : name;
      for (const path of [file, ...options.quantise.map((type) => quantised(file, type, folder))]) {
        const model = await measureModel(basename(name, ".gguf"), path, rows, options);
        if (options.json !== undefined) await addResults(options.json, machine, model);
        console.log(`\n${tableOf({ machine, models: [model] }).split("\n\n").slice(1).join("\n\n")}`);
        if (path !== file) rmSync(path); // one large file at a time
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measureModel(name: string, path: string, rows: readonly Row[], options: BenchOptions): Promise<ModelResult> {
  const { tokens, rounds, support, threads } = options;
  const sequences = Math.max(16, ...rows.map((row) => row.sequences));
  const cells = Math.max(4096, 256 * Math.ceil((sequences * (tokens + 1) + 64) / 256));
  const vectors = Math.max(0, ...rows.map((row) => row.vectors ?? 0));
  await using subject = await Subject.open(path, { tokens, support, threads, sequences, cells, vectors });
  const { quantisation, nVocab: vocabulary } = subject.model.info;
  const results: RowResult[] = [];
  for (const group of new Set(rows.map((row) => row.group))) {
    const own = rows.filter((row) => row.group === group);
    process.stderr.write(`${name}, ${group}: ${own.map((row) => row.name).join(" ")}\n`);
    const measured = await measureRounds(Object.fromEntries(own.map((row) => [row.name, (round) => row.measure(subject, round)])), rounds);
    results.push(...resultsOf(own, measured, tokens));
  }
  return { name, quantisation, bytes: statSync(path).size, vocabulary, threads: subject.model.threads, rows: results };
}
