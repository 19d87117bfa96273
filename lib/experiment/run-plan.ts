import { join, resolve } from "node:path";
import { datasetsFolder } from "../dataset/index.js";
import type { RunResults } from "../results/index.js";
import type { Model } from "../runtime/index.js";
import { runCompose } from "./compose.js";
import { planRuns, type Plan, type PlannedRun } from "./plan.js";
import type { RunOptions } from "./run.js";
import { runSingle } from "./single.js";

export interface PlanOptions extends Omit<RunOptions, "modelName" | "onProgress" | "onExtraction"> {
  /** Load a model of the plan. */
  load: (name: string) => Promise<Model>;
  /** Called when a run begins; what it returns follows it. */
  onRun?: (run: PlannedRun, index: number, total: number) => Pick<RunOptions, "onProgress" | "onExtraction">;
  /** Called when a run is complete. */
  onResults?: (run: PlannedRun, results: RunResults) => void;
}

/**
 * Carry out all runs of a plan below `out`, one after the other, each model loaded once. What is complete is passed
 * over: an interrupted plan goes on where it was.
 *
 * @throws SteeringError what `runSingle` and `runCompose` throw
 */
export async function runPlan(plan: Plan, options: PlanOptions): Promise<Array<{ run: PlannedRun; results: RunResults }>> {
  const { load, onRun, onResults, ...shared } = options;
  const runs = planRuns(plan);
  const done: Array<{ run: PlannedRun; results: RunResults }> = [];
  for (const name of plan.models) {
    await using model = await load(name);
    const datasets = options.datasets ?? (plan.datasets === undefined ? datasetsFolder(name) : resolve(plan.folder, plan.datasets));
    for (const run of runs.filter((each) => each.model === name)) {
      const place = { ...shared, ...onRun?.(run, runs.indexOf(run), runs.length), datasets, modelName: name, out: join(options.out, run.out) };
      const results = run.kind === "single" ? (await runSingle(model, run.config, place))!
        : await runCompose(model, { ...run.config, vectors: run.config.vectors.map((file) => join(options.out, file)) }, place);
      done.push({ run, results });
      onResults?.(run, results);
    }
  }
  return done;
}
