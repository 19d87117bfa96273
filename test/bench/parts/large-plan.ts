import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { datasets, experiment, results, type PlanFile, type PlannedRun, type RunFile } from "../../../lib/experiments.js";
import { loadDataset, loadModel } from "../../../lib/index.js";
import { encodeRecord, RESULTS_FILE, waves } from "../../../lib/results/index.js";

/** Prompts that are really answered; the others have their answers. */
const ANSWERED = 4;
const MODEL = "tiny";
const SETTINGS = { support: 2, iclExamples: 2, evaluateOn: "rows" } as const;
const SIDES = ["ITA", "ENG"] as const;

export interface LargePlan {
  /** Path of the plan, and folders of its shards. */
  plan: string;
  shards: string[];
  settings: number;
  bytes: number;
}

/**
 * Write a plan of many runs and the folders that its shards would leave. Only a few prompts of one run are answered; all runs have these
 * answers, in turns.
 */
export async function writeLargePlan(folder: string, nRuns: number, nPrompts: number, nShards: number): Promise<LargePlan> {
  const data = join(folder, "datasets");
  for (const name of SIDES) {
    const { rows, ...rest } = await loadDataset(name, datasets.folder(MODEL));
    const repeated = Array.from({ length: nPrompts + SETTINGS.iclExamples }, (_, index) => rows[index % rows.length]!);
    await datasets.save(data, { ...rest, name, rows: repeated });
  }
  const plan = join(folder, "plan.json");
  const [positive, negative] = SIDES;
  const file: PlanFile = {
    models: [MODEL], datasets: data, seeds: Array.from({ length: nRuns }, (_, seed) => seed),
    defaults: { ...SETTINGS, evaluationSize: nPrompts }, single: [{ positive, negative }], compose: [], methods: [],
  };
  await writeFile(plan, JSON.stringify(file));
  const runs = experiment.planRuns({ ...file, name: "plan", folder });

  await using model = await loadModel(MODEL, { threads: 1 });
  const real = join(folder, "real");
  const { run, records } = (await experiment.single(
    model, { positive, negative, ...SETTINGS, evaluationSize: ANSWERED, seed: 0 }, { out: real, datasets: data, modelName: MODEL },
  ))!;
  const { length: settings } = run.settings;
  const [vector] = run.vectors;
  const shards = Array.from({ length: nShards }, (_, index) => join(folder, "parts", String(index)));
  let bytes = 0;
  for (const [index, out] of shards.entries()) for (const planned of runs) {
    const part = { ...ofPlan(run, planned, nPrompts), shard: { index, count: nShards } };
    const lines = waves(part).flat().flatMap((prompt) => {
      const from = (prompt % (records.length / settings)) * settings;
      return records.slice(from, from + settings).map((record) => encodeRecord({ ...record, prompt }));
    });
    const place = join(out, planned.out);
    await results.write(place, part, []);
    await writeFile(join(place, RESULTS_FILE), lines);
    await copyFile(join(real, vector!.file), join(place, vector!.file));
    bytes += lines.reduce((sum, line) => sum + Buffer.byteLength(line), 0) + (await readFile(join(place, "run.json"))).length;
  }
  return { plan, shards, settings, bytes };
}

/** The same run with a planned run's seed and number of prompts. */
function ofPlan(run: RunFile, { config }: PlannedRun, nPrompts: number): RunFile {
  const { seed } = config as { seed: number };
  return { ...run, nPrompts, config: { ...run.config, seed, evaluationSize: nPrompts } };
}
