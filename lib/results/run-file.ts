import { join } from "node:path";
import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError, type ErrorCode } from "../errors.js";
import { listOf, parseJson, readUtf8 } from "../formats/index.js";
import { gateSchema, onlySchema, scheduleSchema } from "../steering/index.js";

const FORMAT = "llama-steer-run";
const FORMAT_VERSION = 1;

/** Three times the largest published dataset: what a run keeps in memory per prompt stays below 1 GB in total. */
export const MAX_PROMPTS = 1_000_000;
/** A larger grid is a mistake, and its table unreadable. */
export const MAX_SETTINGS = 10_000;
/** Properties in a composition, each with its own alphas. The published compositions have three. */
export const MAX_VECTORS = 100;
/** ggml's limit. */
export const MAX_THREADS = 512;
/** Room for `MAX_SETTINGS` settings of a few vectors and a draw of 100,000 rows. A run that needs more is refused. */
const MAX_BYTES = 2 ** 23;

const settingSchema = z.object({
  /** For example "Fixed 1.5". */
  label: z.string(),
  /**
   * The prompt: the question after demonstrations, alone, after demonstrations of a composition's language only, or under the system
   * message `config.prompted`, which asks for the property.
   */
  prompt: z.enum(["icl", "no-icl", "icl-language", "prompted"]),
  /** What steers; `vector` indexes the run's `vectors`. A gate's probe is a file in the run's folder. */
  steer: listOf(z.object({
    vector: z.number().int().min(0), schedule: scheduleSchema, gate: gateSchema.optional(), only: onlySchema.optional(),
    /** Only where these differ from the run's. */
    layers: z.array(z.number().int().min(0)).min(1).optional(),
  }), MAX_VECTORS),
});
/** One way in which every prompt of a run is answered. */
export type RunSetting = z.infer<typeof settingSchema>;

/** Files in a run's folder that are not vectors. */
const OWN_FILE = /\.(json|jsonl|lock|takeover|partial)$/i;

/** A vector without a hash was extracted by the run. Its file must be a bare name, because it is read and written in the run's folder. */
const vectorSchema = z.object({ property: z.string(), file: z.string(), hash: z.string().nullable() })
  .refine(({ file, hash }) => hash !== null || (/^[^/\\\p{Cc}]+$/u.test(file) && !/^\.+$/.test(file) && !OWN_FILE.test(file)),
    { path: ["file"], message: "expected the name of a vector file in the run's folder" });

const referenceSchema = z.object({ name: z.string(), hash: z.string() });

export const runSchema = z.object({
  format: z.literal(FORMAT),
  formatVersion: z.literal(FORMAT_VERSION),
  kind: z.enum(["single", "compose"]),
  /** The experiment's full configuration, defaults included. */
  config: z.record(z.string(), z.unknown()),
  model: z.object({ name: z.string(), fingerprint: z.record(z.string(), z.union([z.string(), z.number()])) }),
  /** By role: positive, negative, evaluation, composed, … */
  datasets: z.record(z.string(), referenceSchema),
  /** The steering vectors: the property's short name, the file (a bare name if the run extracted it), and the hash if it was given. */
  vectors: listOf(vectorSchema, MAX_VECTORS, 1),
  settings: listOf(settingSchema, MAX_SETTINGS, 1),
  /** Prompts of the whole run, and how many are answered at once. */
  nPrompts: z.number().int().min(0).max(MAX_PROMPTS),
  parallel: z.number().int().min(1).max(MAX_PROMPTS),
  /** The part of the run that this folder holds; null means all of it. */
  shard: z.object({ index: z.number().int().min(0), count: z.number().int().min(1).max(MAX_PROMPTS) }).nullable()
    .refine((shard) => shard === null || shard.index < shard.count, "the index must be less than the count"),
  versions: z.object({ llamaSteer: z.string(), llamaCpp: z.string() }),
  /** The machine that started the run. Results from other machines agree up to rounding. */
  machine: z.object({
    platform: z.string(), cpu: z.string(),
    /** 0 means unknown (an imported run). */
    threads: z.number().int().min(0).max(MAX_THREADS),
    gpuLayers: z.union([z.number(), z.string()]), node: z.string(),
  }),
}).superRefine(({ settings, vectors }, context) => {
  const labels = new Set<string>();
  for (const [index, { label, steer }] of settings.entries()) {
    const lacksVector = steer.some(({ vector }) => vector >= vectors.length);
    const problem = labels.has(label) ? `two settings are called "${label}"`
      : lacksVector ? `"${label}" steers with a vector that the run does not have` : undefined;
    if (problem !== undefined) return context.addIssue({ code: "custom", message: problem, path: ["settings", index] });
    labels.add(label);
  }
});
/** The content of `run.json`: everything needed to read the results and to reproduce them. */
export type RunFile = z.infer<typeof runSchema>;
/** The part of the prompts that a run answers. */
export type Shard = NonNullable<RunFile["shard"]>;

export const RUN_FILE = "run.json";

/**
 * Complete a run description. Orders the fields as in the schema, so that the same run gives the same bytes. Throws `code` for a run
 * that could not be read back.
 */
export function runFile(fields: Omit<RunFile, "format" | "formatVersion">, code: ErrorCode = "E_BAD_ARGUMENT"): RunFile {
  const complete = { format: FORMAT, formatVersion: FORMAT_VERSION, ...fields };
  const run = parsedBy(runSchema, complete, (problem) => new SteeringError(code, `the run's ${problem}`));
  encodeRun(run, code);
  return run;
}

/** Encode `run.json`. Throws `code` for a run that `readRunFile` would refuse. */
export function encodeRun(run: RunFile, code: ErrorCode = "E_BAD_ARGUMENT"): string {
  const text = `${JSON.stringify(run, null, 2)}\n`;
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_BYTES) {
    const what = `the run's ${run.settings.length} settings of ${run.vectors.length} vectors`;
    throw new SteeringError(code, `${what} take ${bytes} bytes in ${RUN_FILE}; the limit is ${MAX_BYTES}: give fewer alphas`);
  }
  parseRun(text, RUN_FILE, code);
  return text;
}

/**
 * The fields that must agree between two shards of a run, or between a run and its continuation, by dotted name: everything but the
 * shard, the machine, the model's name and the paths of given vectors. The settings follow from the rest.
 */
function identifying({ kind, config, model, datasets, vectors, nPrompts, parallel, versions }: RunFile): Record<string, unknown> {
  const { vectors: _paths, ...asked } = config;
  return flat({
    kind, config: asked, model: model.fingerprint, datasets, nPrompts, parallel, versions,
    vectors: Object.fromEntries(vectors.map(({ property, file, hash }) => [property, hash ?? file])),
  });
}

/** Flatten nested objects to dotted names. */
function flat(value: object, prefix = ""): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).flatMap(([name, inner]: [string, unknown]) => {
    const isNested = typeof inner === "object" && inner !== null && !Array.isArray(inner);
    return isNested ? Object.entries(flat(inner, `${prefix}${name}.`)) : [[`${prefix}${name}`, inner]];
  }));
}

/** List how two runs differ, for a message, for example `config.alphas [1] there, [1,2] here`. Empty if they are the same. */
export function runDifferences(there: RunFile, here: RunFile): string[] {
  return differences(identifying(there), identifying(here));
}

/** List how two objects differ, by dotted name. */
export function differences(there: object, here: object): string[] {
  const [a, b] = [flat(there), flat(here)];
  return [...new Set([...Object.keys(a), ...Object.keys(b)])]
    .filter((name) => canonical(a[name]) !== canonical(b[name]))
    .map((name) => `${name} ${brief(a[name])} there, ${brief(b[name])} here`);
}

/** A text that identifies a run, or one shard of it. */
export function runIdentity(run: RunFile): string {
  return canonical({ ...identifying(run), shard: run.shard, settings: run.settings });
}

/** A run's title, for example "ITA − ENG on ITA_test, seed 32" or "ENi2f + ITA on ENi2f_test". */
export function runTitle({ kind, datasets, vectors, config }: Pick<RunFile, "kind" | "datasets" | "vectors" | "config">): string {
  const properties = vectors.map(({ property }) => property).join(" + ");
  const seed = config["seed"] === undefined || config["supportIndices"] !== undefined ? "" : `, seed ${String(config["seed"])}`;
  const against = kind === "single" && datasets["negative"] ? ` − ${datasets["negative"].name}` : "";
  const on = datasets["evaluation"] ?? datasets["source"];
  return `${properties}${against}${on ? ` on ${on.name}` : ""}${seed}`;
}

/** Read a folder's `run.json`. Throws E_NOT_FOUND, E_BAD_RUN (malformed, or a newer format). */
export async function readRunFile(folder: string): Promise<RunFile> {
  const path = join(folder, RUN_FILE);
  const text = await readUtf8(path, "E_BAD_RUN", MAX_BYTES).catch((cause: SteeringError) => {
    throw cause.code === "E_NOT_FOUND" ? new SteeringError("E_NOT_FOUND", `${folder} is not a run: ${cause.message}`, { cause }) : cause;
  });
  return parseRun(text, path, "E_BAD_RUN");
}

function parseRun(text: string, path: string, code: ErrorCode): RunFile {
  const json = parseJson(text, path, code);
  assertNotNewer(json, FORMAT_VERSION, path);
  return parsedBy(runSchema, json, (problem) => new SteeringError(code, `${path}: ${problem}`));
}

/** Throws E_BAD_RUN for a file whose format is newer than `readable`. */
export function assertNotNewer(json: unknown, readable: number, path: string): void {
  const version = (json as { formatVersion?: unknown } | null)?.formatVersion;
  if (typeof version !== "number" || version <= readable) return;
  throw new SteeringError("E_BAD_RUN",
    `${path} was written by a newer llama-steer (format ${version}, this one reads ${readable}); update llama-steer`);
}

/** JSON with sorted keys, so that equal values give equal texts. */
function canonical(value: unknown): string {
  const sorted = (_: string, inner: unknown): unknown => {
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  };
  return JSON.stringify(value, sorted) ?? "undefined";
}

function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
