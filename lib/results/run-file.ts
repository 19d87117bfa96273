import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { SteeringError } from "../errors.js";
import { scheduleSchema } from "../steering/index.js";

const FORMAT = "llama-steer-run";
const FORMAT_VERSION = 1;

const settingSchema = z.object({
  /** e.g. "Fixed 1.5". */
  label: z.string(),
  /** Which prompt it answers: behind demonstrations, the question alone, or behind those of a composition's language. */
  prompt: z.enum(["icl", "no-icl", "icl-language"]),
  /** What steers, by index of `vectors`. */
  steer: z.array(z.object({ vector: z.number().int().min(0), schedule: scheduleSchema })),
});
/** One way in which every prompt of a run is answered. */
export type RunSetting = z.infer<typeof settingSchema>;

/** Files of a run's folder that are no vectors. */
const OWN_FILE = /\.(json|jsonl|lock|takeover|partial)$/i;

/** A vector without a hash was extracted by the run: its file is a bare name, for it is read and written in runs' folders. */
const vectorSchema = z.object({ property: z.string(), file: z.string(), hash: z.string().nullable() })
  .refine(({ file, hash }) => hash !== null || (/^[^/\\\p{Cc}]+$/u.test(file) && !/^\.+$/.test(file) && !OWN_FILE.test(file)),
    { path: ["file"], message: "the name of a vector file in the run's folder was expected" });

const referenceSchema = z.object({ name: z.string(), hash: z.string() });

const runSchema = z.object({
  format: z.literal(FORMAT),
  formatVersion: z.literal(FORMAT_VERSION),
  kind: z.enum(["single", "compose"]),
  /** Everything that was asked for, defaults included. */
  config: z.record(z.string(), z.unknown()),
  model: z.object({ name: z.string(), fingerprint: z.record(z.string(), z.union([z.string(), z.number()])) }),
  /** By role: positive, negative, evaluation, composed… */
  datasets: z.record(z.string(), referenceSchema),
  /** What is added: the property's short name, the file (a name in the folder where the run made it), and its hash where it was given. */
  vectors: z.array(vectorSchema),
  settings: z.array(settingSchema),
  /** Prompts of the whole run, and how many of them are answered at once. */
  nPrompts: z.number().int(),
  parallel: z.number().int().min(1),
  /** Which part of the run this folder holds; null = all of it. */
  shard: z.object({ index: z.number().int().min(0), count: z.number().int().min(1) }).nullable(),
  versions: z.object({ llamaSteer: z.string(), llamaCpp: z.string() }),
  /** Where it was begun; results of other machines agree up to rounding. */
  machine: z.object({ platform: z.string(), cpu: z.string(), threads: z.number(), gpuLayers: z.union([z.number(), z.string()]), node: z.string() }),
});
/** The content of `run.json`: all that it takes to read the results, and to repeat them. */
export type RunFile = z.infer<typeof runSchema>;
/** Which part of the prompts a run answers. */
export type Shard = NonNullable<RunFile["shard"]>;

export const RUN_FILE = "run.json";

/**
 * Fill in what is the same for every run; the fields in the order of the schema, so that the same run is the same bytes.
 * Throws E_BAD_ARGUMENT.
 */
export function runFile(fields: Omit<RunFile, "format" | "formatVersion">): RunFile {
  const parsed = runSchema.safeParse({ format: FORMAT, formatVersion: FORMAT_VERSION, ...fields });
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new SteeringError("E_BAD_ARGUMENT", `a run cannot be described so: ${path.join(".")}: ${message}`);
}

/**
 * What must agree between two parts of one run, or between a run and its continuation, by dotted name: all but shard,
 * machine, what the model is called, and where a given vector lies. The settings follow from the rest.
 */
function identifying({ kind, config, model, datasets, vectors, nPrompts, parallel, versions }: RunFile): Record<string, unknown> {
  const { vectors: _paths, ...asked } = config;
  return flat({
    kind, config: asked, model: model.fingerprint, datasets, nPrompts, parallel, versions,
    vectors: Object.fromEntries(vectors.map(({ property, file, hash }) => [property, hash ?? file])),
  });
}

/** Nested objects as one, by dotted name. */
function flat(value: object, prefix = ""): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).flatMap(([name, inner]: [string, unknown]) =>
    (typeof inner === "object" && inner !== null && !Array.isArray(inner) ? Object.entries(flat(inner, `${prefix}${name}.`)) : [[`${prefix}${name}`, inner]])));
}

/** What differs between two runs, for a message, e.g. `config.alphas [1] there, [1,2] here`; empty where they are the same. */
export function runDifferences(there: RunFile, here: RunFile): string[] {
  return differences(identifying(there), identifying(here));
}

/** What differs between two objects, by dotted name. */
export function differences(there: object, here: object): string[] {
  const [a, b] = [flat(there), flat(here)];
  return [...new Set([...Object.keys(a), ...Object.keys(b)])]
    .filter((name) => canonical(a[name]) !== canonical(b[name]))
    .map((name) => `${name} ${brief(a[name])} there, ${brief(b[name])} here`);
}

/** The same text for two parts of one run, and for no two runs; shards differ. */
export function runIdentity(run: RunFile): string {
  return canonical({ ...identifying(run), shard: run.shard, settings: run.settings });
}

/** What a run is about, e.g. "ITA − ENG on ITA_test, seed 32" or "ENi2f + ITA on ENi2f_test". */
export function runTitle({ kind, datasets, vectors, config }: Pick<RunFile, "kind" | "datasets" | "vectors" | "config">): string {
  const properties = vectors.map(({ property }) => property).join(" + ");
  const seed = config["seed"] === undefined || config["supportIndices"] !== undefined ? "" : `, seed ${String(config["seed"])}`;
  const against = kind === "single" && datasets["negative"] ? ` − ${datasets["negative"].name}` : "";
  const on = datasets["evaluation"] ?? datasets["source"];
  return `${properties}${against}${on ? ` on ${on.name}` : ""}${seed}`;
}

/** Read `run.json` of a folder. Throws E_NOT_FOUND, E_BAD_RUN (malformed, or of a newer version). */
export async function readRunFile(folder: string): Promise<RunFile> {
  const path = join(folder, RUN_FILE);
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code) throw new SteeringError("E_NOT_FOUND", `${folder} is no run: ${path} cannot be read (${(cause as NodeJS.ErrnoException).code})`, { cause });
    throw new SteeringError("E_BAD_RUN", `${path} is not JSON: ${(cause as Error).message}`, { cause });
  }
  const version = (json as { formatVersion?: unknown } | null)?.formatVersion;
  if (typeof version === "number" && version > FORMAT_VERSION) throw new SteeringError("E_BAD_RUN", `${path} was written by a newer llama-steer (format ${version}, this one reads ${FORMAT_VERSION}); update llama-steer`);
  const parsed = runSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new SteeringError("E_BAD_RUN", `${path}: ${issue.path.join(".")}: ${issue.message}`);
}

/** JSON with sorted keys: the same for the same values. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    (typeof inner === "object" && inner !== null && !Array.isArray(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner)) ?? "undefined";
}

function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
