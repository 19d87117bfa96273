import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, extname, isAbsolute, join, resolve } from "node:path";
import { LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import { baseName, isTableFile } from "../dataset/index.js";
import { SteeringError } from "../errors.js";
import { packageRoot } from "../io/paths.js";
import { composeSchema, parseCompose, parseSingle, singleSchema, type ComposeConfig, type SingleConfig } from "./config.js";

const single = singleSchema.partial().omit({ seed: true });
const shared = single.omit({ positive: true, negative: true, evalDataset: true, supportIndices: true });

const planSchema = z.strictObject({
  /** Names, hf: addresses or files. */
  models: z.array(z.string().min(1)).min(1),
  /** Folder of datasets, relative to the plan; default: those that belong to each model. */
  datasets: z.string().optional(),
  seeds: z.array(z.number().int().min(0)).min(1).default([32]),
  /** For every run that does not say otherwise; `alphas` and `topP` for single runs only. */
  defaults: shared.default({}),
  single: z.array(single.required({ positive: true, negative: true })).default([]),
  /** `vectors` are names of `single` runs of this plan, e.g. ENunsafe-ENsafe. */
  compose: z.array(composeSchema.partial().required({ vectors: true, source: true, composed: true })).default([]),
});
/** What a plan's file holds; `defaults` count for every run that does not say otherwise. */
export type PlanFile = z.infer<typeof planSchema>;
/** A list of experiments, read from a file; named by it. Its paths are relative to `folder`. */
export type Plan = PlanFile & { name: string; folder: string };

/** One run of a plan. `out` is relative to the plan's results. */
export type PlannedRun = { model: string; out: string; name: string } & (
  | { kind: "single"; config: SingleConfig }
  | { kind: "compose"; config: ComposeConfig });

/** The plans that come with the package. */
export const READY_PLANS = ["tiny", "laptop", "published"] as const;

/**
 * Read a plan: one of ours by name (`tiny`, `laptop`, `published`), or a YAML or JSON file.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_ARGUMENT naming the line
 */
export async function loadPlan(nameOrPath: string): Promise<Plan> {
  const own = (READY_PLANS as readonly string[]).includes(nameOrPath) && !existsSync(nameOrPath);
  const path = own ? join(packageRoot(), "models", "plans", `${nameOrPath}.yaml`) : nameOrPath;
  const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    throw new SteeringError("E_NOT_FOUND", `the plan ${nameOrPath} cannot be read (${cause.code}); ours are ${READY_PLANS.join(", ")}`, { cause });
  });
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter });
  const [syntax] = document.errors;
  if (syntax) throw new SteeringError("E_BAD_ARGUMENT", `${path}: line ${syntax.linePos?.[0].line ?? "?"}: ${syntax.message.split("\n")[0]}`);
  const parsed = planSchema.safeParse(document.toJS());
  if (parsed.success) return { ...parsed.data, name: basename(path, extname(path)), folder: dirname(resolve(path)) };
  const slips = parsed.error.issues.map((issue) => {
    const where = issue.code === "unrecognized_keys" ? [...issue.path, issue.keys[0]!] : issue.path;
    const found: unknown = issue.code === "unrecognized_keys" || where.length === 0 ? undefined : document.getIn(where);
    return `line ${lineOf(where)}: ${where.join(".")}${["string", "number", "boolean"].includes(typeof found) ? ` (${String(found)})` : ""}: ${issue.message}`;
  });
  throw new SteeringError("E_BAD_ARGUMENT", `${path}: ${slips.join(`\n${path}: `)}`);

  /** Line of the value, or of the nearest thing around it that is there. */
  function lineOf(keys: readonly PropertyKey[]): number {
    const node = document.getIn(keys, true) as { range?: [number, number, number] } | undefined;
    if (node?.range) return lineCounter.linePos(node.range[0]).line;
    return keys.length === 0 ? 1 : lineOf(keys.slice(0, -1));
  }
}

/** All runs of a plan in the order in which they are carried out: a composition behind the runs whose vectors it uses. Throws E_BAD_ARGUMENT. */
export function planRuns(plan: Plan): PlannedRun[] {
  /** Files are looked for beside the plan. */
  const placed = <T extends object>(entry: T): T => Object.fromEntries(Object.entries(entry).map(([key, value]: [string, unknown]) =>
    [key, typeof value === "string" && isTableFile(value) ? resolve(plan.folder, value) : value])) as T;
  const runs = plan.models.flatMap((model) => plan.seeds.flatMap((seed): PlannedRun[] => {
    const folder = join(modelFolder(model), ...(plan.seeds.length > 1 ? [`seed-${seed}`] : []));
    const singles = plan.single.map((entry): PlannedRun => {
      const name = `${baseName(entry.positive)}-${baseName(entry.negative)}`;
      return { kind: "single", model, name, out: join(folder, name), config: parseSingle({ ...plan.defaults, ...(entry.supportIndices ? {} : { seed }), ...placed(entry) }) };
    });
    const composed = plan.compose.map((entry): PlannedRun => {
      const files = entry.vectors.map((name) => {
        const from = singles.find((run) => run.name === name);
        if (!from) throw new SteeringError("E_BAD_ARGUMENT", `the plan ${plan.name} composes ${name}, which is none of its single runs (${singles.map((run) => run.name).join(", ") || "there are none"})`);
        return join(from.out, `${name}.safetensors`);
      });
      const name = `${entry.vectors.map((vector) => vector.split("-")[0]).join("+")}`;
      const defaults = Object.fromEntries(Object.entries(plan.defaults).filter(([key]) => key in composeSchema.shape && key !== "alphas" && key !== "topP"));
      return { kind: "compose", model, name, out: join(folder, name), config: parseCompose({ ...defaults, ...placed(entry), vectors: files }) };
    });
    return [...singles, ...composed];
  }));
  const twice = runs.find(({ out }, index) => runs.findIndex((run) => run.out === out) !== index);
  if (twice) throw new SteeringError("E_BAD_ARGUMENT", `the plan ${plan.name} has two runs that would go to ${twice.out}`);
  return runs;
}

/** A model as the name of a folder. */
export function modelFolder(model: string): string {
  return (model.startsWith("hf:") ? model.slice(3).replace(/@.*/, "") : isAbsolute(model) || /[\\/]/.test(model) ? basename(model) : model).replace(/\.gguf$/i, "").replace(/[\\/:]/g, "--");
}
