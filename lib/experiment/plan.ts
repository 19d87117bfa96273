import { existsSync } from "node:fs";
import { basename, dirname, extname, isAbsolute, join, resolve } from "node:path";
import { baseName, isTableFile } from "../dataset/index.js";
import { runBounded, packageRoot } from "../formats/index.js";
import { SteeringError } from "../errors.js";
import { composeSchema, parseCompose, parseSingle, type ComposeConfig, type SingleConfig } from "./config.js";
import type { MethodsConfig } from "./methods/config.js";
import { readPlanFile, type PlanFile } from "./plan-file.js";

/** A hundred times what reading a plan of `MAX_RUNS` runs takes on a laptop. */
const READING = { milliseconds: 10_000, bytes: 2 ** 29 };
/** At one minute each, these take a week. */
const MAX_RUNS = 10_000;

/** Settings that are never the name of a dataset. */
const TEXTS = new Set(["message", "prompted", "system", "templateVariables", "towards", "away"]);

/** Options of `loadPlan`. */
export interface LoadPlanOptions {
  signal?: AbortSignal | undefined;
}

export type { PlanFile };
/** A list of experiments read from a file and named after it. Its paths are relative to `folder`. */
export type Plan = Omit<PlanFile, "methods"> & Partial<Pick<PlanFile, "methods">> & { name: string; folder: string };

/** One run of a plan. `out` is relative to the plan's results folder. */
export type PlannedRun = { model: string; out: string; name: string } & (
  | { kind: "single"; config: SingleConfig }
  | { kind: "compose"; config: ComposeConfig }
  | { kind: "methods"; config: MethodsConfig });

/** The plans included in the package. */
export const READY_PLANS = ["tiny", "laptop", "published", "claims", "three", "claims-tiny"] as const;

/**
 * Read a plan: an included one by name (`READY_PLANS`), or a YAML or JSON file by path.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_ARGUMENT naming the line, E_ABORTED
 */
export async function loadPlan(nameOrPath: string, { signal }: LoadPlanOptions = {}): Promise<Plan> {
  const own = (READY_PLANS as readonly string[]).includes(nameOrPath) && !existsSync(nameOrPath);
  const path = own ? join(packageRoot(), "models", "plans", `${nameOrPath}.yaml`) : nameOrPath;
  const read = own ? readPlanFile(path) : runBounded<PlanFile>(new URL("./plan-file.js#readPlanFile", import.meta.url), path, {
    ...READING, signal, refuse: (reason, cause) => new SteeringError("E_BAD_ARGUMENT", `${path}: ${reason}`, { cause }),
  });
  const file = await read.catch((cause: SteeringError) => {
    if (cause.code !== "E_NOT_FOUND") throw cause;
    throw new SteeringError("E_NOT_FOUND", `the plan ${cause.message}; included plans: ${READY_PLANS.join(", ")}`, { cause });
  });
  return { ...file, name: basename(path, extname(path)), folder: dirname(resolve(path)) };
}

/** List all runs of a plan in order of execution: a composition comes after the runs whose vectors it uses. Throws E_BAD_ARGUMENT. */
export function planRuns(plan: Plan): PlannedRun[] {
  const { methods = [] } = plan;
  const count = plan.models.length * (plan.seeds.length * (plan.single.length + plan.compose.length) + methods.length);
  if (count > MAX_RUNS) {
    const what = `the plan ${plan.name} has ${count} runs (${plan.models.length} models, ${plan.seeds.length} seeds)`;
    throw new SteeringError("E_BAD_ARGUMENT", `${what}; expected at most ${MAX_RUNS}: split the plan`);
  }
  /** Resolves table files relative to the plan. */
  const place = (value: unknown): unknown => {
    if (typeof value === "string") return isTableFile(value) ? resolve(plan.folder, value) : value;
    if (Array.isArray(value)) return value.map(place);
    return typeof value === "object" && value !== null ? placed(value) : value;
  };
  const placed = <T extends object>(entry: T): T =>
    Object.fromEntries(Object.entries(entry).map(([key, value]: [string, unknown]) => [key, TEXTS.has(key) ? value : place(value)])) as T;
  const seeded = (model: string): PlannedRun[] => plan.seeds.flatMap((seed): PlannedRun[] => {
    const folder = join(modelFolder(model), ...(plan.seeds.length > 1 ? [`seed-${seed}`] : []));
    const singles = plan.single.map((entry): PlannedRun => {
      const name = `${baseName(entry.positive)}-${baseName(entry.negative)}`;
      const config = parseSingle({ ...plan.defaults, ...(entry.supportIndices ? {} : { seed }), ...placed(entry) });
      return { kind: "single", model, name, out: join(folder, name), config };
    });
    const byName = new Map(singles.map((run) => [run.name, run]));
    const composed = plan.compose.map((entry): PlannedRun => {
      const files = entry.vectors.map((name) => {
        const from = byName.get(name);
        if (!from) {
          const known = singles.slice(0, 20).map((run) => run.name).join(", ") || "none";
          throw new SteeringError("E_BAD_ARGUMENT", `the plan ${plan.name} composes ${name}; expected one of its single runs (${known})`);
        }
        return join(from.out, `${name}.safetensors`);
      });
      const name = `${entry.vectors.map((vector) => vector.split("-")[0]).join("+")}`;
      const defaults = Object.fromEntries(Object.entries(plan.defaults)
        .filter(([key]) => key in composeSchema.shape && key !== "alphas" && key !== "topP"));
      const config = parseCompose({ ...defaults, ...placed(entry), vectors: files });
      return { kind: "compose", model, name, out: join(folder, name), config };
    });
    return [...singles, ...composed];
  });
  const compared = (model: string): PlannedRun[] => methods.map((entry) =>
    ({ kind: "methods", model, name: entry.name, out: join(modelFolder(model), entry.name), config: placed(entry) }));
  const runs = plan.models.flatMap((model) => [...seeded(model), ...compared(model)]);
  const folders = new Set<string>();
  for (const { out } of runs) {
    if (folders.has(out)) throw new SteeringError("E_BAD_ARGUMENT", `the plan ${plan.name} has two runs with the same folder ${out}`);
    folders.add(out);
  }
  return runs;
}

/** Derive a folder's name from a model. Throws E_BAD_ARGUMENT if that is impossible, for example for "..". */
export function modelFolder(model: string): string {
  const called = model.startsWith("hf:") ? model.slice(3).replace(/@.*/, "")
    : isAbsolute(model) || /[\\/]/.test(model) ? basename(model) : model;
  const name = called.replace(/\.gguf$/i, "").replace(/[\\/:]/g, "--");
  if (!/^\.*$/.test(name)) return name;
  throw new SteeringError("E_BAD_ARGUMENT",
    `"${model}" does not name a model; expected a registry name, an hf: address, or a path to a GGUF`);
}
