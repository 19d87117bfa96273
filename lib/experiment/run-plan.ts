import { dirname, isAbsolute, join, relative, resolve } from "node:path";
import { datasetsFolder, includedDatasets, loadDataset, unknownDataset } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import { assertContentDatasets, contentDatasets } from "../evaluate/index.js";
import type { RunResults } from "../results/index.js";
import { SteeringError, throwIfAborted } from "../errors.js";
import { runCompose } from "./compose.js";
import { assertEnough, runMethods } from "./methods/run-methods.js";
import { planRuns, type Plan, type PlannedRun } from "./plan.js";
import type { RunOptions } from "./run.js";
import { runSingle } from "./single.js";

/** Which runs of a plan lack data, and which can run. */
export interface PlanCheck {
  missing: Array<{ run: string; reason: string }>;
  left: PlannedRun[];
}

/** Options of `checkPlan`. */
export interface CheckPlanOptions {
  signal?: AbortSignal | undefined;
}

/**
 * Read all datasets of a plan before computing anything. A composition is missing if a run that it depends on is.
 *
 * @throws SteeringError E_BAD_ARGUMENT, E_BAD_DATASET, E_ABORTED
 */
export async function checkPlan(plan: Plan, datasets?: string, { signal }: CheckPlanOptions = {}): Promise<PlanCheck> {
  const check: PlanCheck = { missing: [], left: [] };
  const missing = new Map<string, PlannedRun>();
  const read = new Map<string, Promise<number>>();
  /** The number of rows. */
  const readOnce = (name: string, folder: string): Promise<number> => {
    const key = JSON.stringify([name, folder]);
    if (!read.has(key)) read.set(key, loadDataset(name, folder, { signal }).then(({ rows }) => rows.length)); // do not keep the rows
    return read.get(key)!;
  };
  const compared = new Map<string, Promise<void>>();
  const compareOnce = (folder: string): Promise<void> => {
    if (!compared.has(folder)) compared.set(folder, assertContentDatasets(folder, signal));
    return compared.get(folder)!;
  };
  for (const run of planRuns(plan)) {
    throwIfAborted(signal);
    const { config } = run;
    const names = datasetsOf(run);
    const lacks = "vectors" in config ? config.vectors.flatMap((file) => missing.get(dirname(file)) ?? []) : [];
    try {
      if (lacks.length > 0) throw new SteeringError("E_NOT_FOUND", `it needs the vector of ${lacks.map(({ name }) => name).join(", ")}`);
      const folder = folderOf(plan, run.model, datasets);
      for (const name of names) {
        if (name === undefined) continue;
        const unknown = unknownDataset(name, folder);
        if (unknown !== undefined) throw new SteeringError("E_NOT_FOUND", unknown);
        await readOnce(name, folder);
      }
      if (run.kind === "methods") {
        assertEnough(run.config, await readOnce(run.config.questions, folder));
        if (folder !== includedDatasets(run.model) && contentDatasets(folder, run.model) === folder) await compareOnce(folder);
      }
      check.left.push(run);
    } catch (error) {
      if (!(error instanceof SteeringError) || error.code !== "E_NOT_FOUND") throw error;
      missing.set(run.out, run);
      check.missing.push({ run: run.out, reason: error.message });
    }
  }
  return check;
}

function datasetsOf({ kind, config }: PlannedRun): Array<string | undefined> {
  if (kind === "single") return [config.positive, config.negative, config.evalDataset];
  if (kind === "compose") return [config.source, config.composed, config.language];
  const judging = config.properties.flatMap(({ judge }) => (judge !== "probe" && "probe" in judge ? judge.probe.flat() : []));
  return [config.questions, ...config.properties.flatMap(({ positive, negative }) => [positive, negative]), ...judging];
}

function folderOf(plan: Plan, model: string, given: string | undefined): string {
  return given ?? (plan.datasets === undefined ? datasetsFolder(model) : resolve(plan.folder, plan.datasets));
}

/** Options of `runPlan`. */
export interface PlanOptions extends Omit<RunOptions, "modelName" | "onProgress" | "onExtraction"> {
  /** The runs to carry out; default: all. */
  runs?: readonly PlannedRun[];
  /** Loads a model of the plan. */
  load: (name: string) => Promise<Engine>;
  /** Called when a run starts. Returns callbacks for the run's progress. */
  onRun?: (run: PlannedRun, index: number, total: number) => Pick<RunOptions, "onProgress" | "onExtraction">;
  /** Called when a run is complete. Results that it does not keep are freed before the next run. */
  onResults?: (run: PlannedRun, results: RunResults) => void | Promise<void>;
}

/**
 * Carry out all runs of a plan below `out`, one after the other, loading each model once. Resumes an interrupted plan: complete runs are
 * skipped.
 *
 * @returns the runs; their results are in their folders
 * @throws SteeringError E_BAD_ARGUMENT (a run's folder is not below `out`) and whatever `runSingle`, `runCompose` and `runMethods` throw
 */
export async function runPlan(plan: Plan, options: PlanOptions): Promise<PlannedRun[]> {
  const { load, onRun, onResults, runs = planRuns(plan), ...shared } = options;
  for (const run of runs) assertBelow(options.out, run.out);
  const done: PlannedRun[] = [];
  await using judges = new Judges(load);
  for (const name of new Set(runs.map(({ model }) => model))) {
    await using model = await load(name);
    const datasets = folderOf(plan, name, options.datasets);
    for (const run of runs.filter((each) => each.model === name)) {
      const progress = onRun?.(run, runs.indexOf(run), runs.length);
      const place = { ...shared, ...progress, datasets, modelName: name, out: join(options.out, run.out) };
      const results = run.kind === "single" ? (await runSingle(model, run.config, place))!
        : run.kind === "methods" ? await runMethods(model, run.config, {
          ...place, load: (judge) => judges.open(judge), release: (judge) => judges.release(judge),
        })
        : await runCompose(model, { ...run.config, vectors: run.config.vectors.map((file) => join(options.out, file)) }, place);
      done.push(run);
      await onResults?.(run, results);
    }
  }
  return done;
}

/** The models that judge, each loaded once. */
class Judges implements AsyncDisposable {
  private readonly loaded = new Map<string, Engine>();

  constructor(private readonly load: PlanOptions["load"]) {}

  async open(name: string): Promise<Engine> {
    const model = this.loaded.get(name) ?? await this.load(name);
    this.loaded.set(name, model);
    return model;
  }

  async release(name: string): Promise<void> {
    const model = this.loaded.get(name);
    this.loaded.delete(name);
    await model?.[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const model of this.loaded.values()) await model[Symbol.asyncDispose]();
  }
}

/** Throws E_BAD_ARGUMENT unless `out` is a folder below `folder`. */
function assertBelow(folder: string, out: string): void {
  const way = relative(resolve(folder), resolve(folder, out));
  if (way === "" || /^\.\.($|[\\/])/.test(way) || isAbsolute(way)) {
    throw new SteeringError("E_BAD_ARGUMENT", `the run's folder ${out} is not below ${folder}, the folder of the plan's results`);
  }
}
