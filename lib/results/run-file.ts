import { join } from "node:path";
import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError, type ErrorCode } from "../errors.js";
import { listOf, parseJson, readUtf8 } from "../formats/index.js";
import { scheduleSchema } from "../steering/index.js";

const FORMAT = "llama-steer-run";
const FORMAT_VERSION = 1;

/** Three times the rows of the largest dataset that is published with the method: what a run keeps per prompt stays below 1 GB. */
export const MAX_PROMPTS = 1_000_000;
/** A grid of more is a slip, and its table unreadable. */
export const MAX_SETTINGS = 10_000;
/** Properties that are composed: each has alphas of its own, and the published compositions have three. */
export const MAX_VECTORS = 100;
/** ggml takes no more. */
export const MAX_THREADS = 512;
/** Room for `MAX_SETTINGS` settings of a few vectors, and for a draw of a hundred thousand rows; a run that takes more is not begun. */
const MAX_BYTES = 2 ** 23;

const settingSchema = z.object({
  /** e.g. "Fixed 1.5". */
  label: z.string(),
  /** Which prompt it answers: behind demonstrations, the question alone, or behind those of a composition's language. */
  prompt: z.enum(["icl", "no-icl", "icl-language"]),
  /** What steers, by index of `vectors`. */
  steer: listOf(z.object({ vector: z.number().int().min(0), schedule: scheduleSchema }), MAX_VECTORS),
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

export const runSchema = z.object({
  format: z.literal(FORMAT),
  formatVersion: z.literal(FORMAT_VERSION),
  kind: z.enum(["single", "compose"]),
  /** Everything that was asked for, defaults included. */
  config: z.record(z.string(), z.unknown()),
  model: z.object({ name: z.string(), fingerprint: z.record(z.string(), z.union([z.string(), z.number()])) }),
  /** By role: positive, negative, evaluation, composed… */
  datasets: z.record(z.string(), referenceSchema),
  /** What is added: the property's short name, the file (a name in the folder where the run made it), and its hash where it was given. */
  vectors: listOf(vectorSchema, MAX_VECTORS, 1),
  settings: listOf(settingSchema, MAX_SETTINGS, 1),
  /** Prompts of the whole run, and how many of them are answered at once. */
  nPrompts: z.number().int().min(0).max(MAX_PROMPTS),
  parallel: z.number().int().min(1).max(MAX_PROMPTS),
  /** Which part of the run this folder holds; null = all of it. */
  shard: z.object({ index: z.number().int().min(0), count: z.number().int().min(1).max(MAX_PROMPTS) }).nullable()
    .refine((shard) => shard === null || shard.index < shard.count, "the index must be less than the count"),
  versions: z.object({ llamaSteer: z.string(), llamaCpp: z.string() }),
  /** Where it was begun; results of other machines agree up to rounding. */
  machine: z.object({
    platform: z.string(), cpu: z.string(),
    /** 0 = unknown: of a run that was imported. */
    threads: z.number().int().min(0).max(MAX_THREADS),
    gpuLayers: z.union([z.number(), z.string()]), node: z.string(),
  }),
}).superRefine(({ settings, vectors }, context) => {
  const labels = new Set<string>();
  for (const [index, { label, steer }] of settings.entries()) {
    const problem = labels.has(label) ? `two settings are called "${label}"` : steer.some(({ vector }) => vector >= vectors.length) ? `"${label}" steers with a vector that the run does not have` : undefined;
    if (problem !== undefined) return context.addIssue({ code: "custom", message: problem, path: ["settings", index] });
    labels.add(label);
  }
});
/** The content of `run.json`: all that it takes to read the results, and to repeat them. */
export type RunFile = z.infer<typeof runSchema>;
/** Which part of the prompts a run answers. */
export type Shard = NonNullable<RunFile["shard"]>;

export const RUN_FILE = "run.json";

/** Fill in what is the same for every run; the fields in the order of the schema, so that the same run is the same bytes. Throws `code` for what could not be read again. */
export function runFile(fields: Omit<RunFile, "format" | "formatVersion">, code: ErrorCode = "E_BAD_ARGUMENT"): RunFile {
  const run = parsedBy(runSchema, { format: FORMAT, formatVersion: FORMAT_VERSION, ...fields }, (problem) => new SteeringError(code, `the run's ${problem}`));
  encodeRun(run, code);
  return run;
}

/** The text of `run.json`. Throws `code` for one that `readRunFile` would refuse. */
export function encodeRun(run: RunFile, code: ErrorCode = "E_BAD_ARGUMENT"): string {
  const text = `${JSON.stringify(run, null, 2)}\n`;
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_BYTES) {
    const what = `the run's ${run.settings.length} settings of ${run.vectors.length} vectors`;
    throw new SteeringError(code, `${what} take ${bytes} bytes in ${RUN_FILE}; at most ${MAX_BYTES} can be read again: give fewer alphas`);
  }
  parseRun(text, RUN_FILE, code);
  return text;
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
  const text = await readUtf8(path, "E_BAD_RUN", MAX_BYTES).catch((cause: SteeringError) => {
    throw cause.code === "E_NOT_FOUND" ? new SteeringError("E_NOT_FOUND", `${folder} is no run: ${cause.message}`, { cause }) : cause;
  });
  return parseRun(text, path, "E_BAD_RUN");
}

function parseRun(text: string, path: string, code: ErrorCode): RunFile {
  const json = parseJson(text, path, code);
  assertNotNewer(json, FORMAT_VERSION, path);
  return parsedBy(runSchema, json, (problem) => new SteeringError(code, `${path}: ${problem}`));
}

/** Throws E_BAD_RUN for a file whose format is newer than the one that is read here. */
export function assertNotNewer(json: unknown, readable: number, path: string): void {
  const version = (json as { formatVersion?: unknown } | null)?.formatVersion;
  if (typeof version !== "number" || version <= readable) return;
  throw new SteeringError("E_BAD_RUN",
    `${path} was written by a newer llama-steer (format ${version}, this one reads ${readable}); update llama-steer`);
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
