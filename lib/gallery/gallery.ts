import { join, dirname } from "node:path";
import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError } from "../errors.js";
import { integerList, listOf, nearestName, packageRoot, parseJson, readFileUpTo } from "../formats/index.js";
import { fetchBytes } from "../models/index.js";
import { scheduleSchema } from "../steering/index.js";
import { FORMATS, HOOK_SITES, fingerprintSchema, type ModelFingerprint } from "../vector/index.js";

/** A gallery is a folder, here or on a server, with this file and the vectors that it names. */
export const GALLERY_FILE = "gallery.json";
/** Enough for a thousand entries with their samples. */
const MAX_GALLERY_BYTES = 2 ** 23;
const MAX_ENTRIES = 10_000;
/** Even a vector of every layer and step of a large model is smaller. */
const MAX_VECTOR_BYTES = 2 ** 28;

/** Texts of a gallery are shown on terminals, where control characters are commands. */
const line = z.string().min(1).max(1000).regex(/^\P{Cc}*$/u, "contains control characters");
const answer = z.string().max(20_000).regex(/^(?:\P{Cc}|[\n\t])*$/u, "contains control characters");
const fileName = z.string().max(200).regex(/^\w[\w.+-]*$/, "expected a plain file name");

const entrySchema = z.object({
  /** Identifies the vector in its gallery. */
  name: z.string().max(100).regex(/^[a-z0-9][a-z0-9.-]*$/, "expected lower-case letters, digits, dots and dashes"),
  /** The behaviour, e.g. "Italian". */
  property: line,
  description: line.optional(),
  /** Name of the model for `loadModel`; its fingerprint decides. */
  modelName: line,
  model: fingerprintSchema,
  site: z.enum(HOOK_SITES),
  layers: integerList,
  nSteps: z.number().int().min(1),
  /** How the questions were put to the model; undefined if the vector does not say. */
  format: z.enum(FORMATS).optional(),
  /** How strongly to steer. */
  schedule: scheduleSchema,
  /** A question with the answers that the model gave without and with the vector. */
  sample: z.object({ question: line, unsteered: answer, steered: answer }),
  licence: line.optional(),
  /** The vector file, beside the gallery's file. */
  file: fileName,
  /** Bytes. */
  size: z.number().int().min(1).max(MAX_VECTOR_BYTES),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, "expected 64 lower-case hex digits"),
});
/** A ready-made vector of a gallery. */
export type GalleryEntry = z.infer<typeof entrySchema>;

const gallerySchema = z.object({ version: z.literal(1), vectors: listOf(entrySchema, MAX_ENTRIES) });

/** A gallery's entries, and the path or URL of its file. */
export interface Gallery {
  source: string;
  vectors: GalleryEntry[];
}

/** The gallery of this package. */
export function ownGallery(): string {
  return join(packageRoot(), "models", "gallery", GALLERY_FILE);
}

/**
 * Read a gallery: this package's or, with `source`, the one with this path or URL, of its folder or its file.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_VECTOR (malformed), E_BAD_ARGUMENT (an address without https), E_DOWNLOAD, E_ABORTED
 */
export async function readGallery(source: string = ownGallery(), signal?: AbortSignal): Promise<Gallery> {
  const place = /\.json$/i.test(source) ? source
    : isAddress(source) ? `${source.replace(/\/$/, "")}/${GALLERY_FILE}` : join(source, GALLERY_FILE);
  const bytes = isAddress(place) ? await fetchBytes(checkedAddress(place), MAX_GALLERY_BYTES, { signal })
    : await readFileUpTo(place, "E_BAD_VECTOR", MAX_GALLERY_BYTES);
  return { source: place, vectors: parseGallery(bytes.toString("utf8"), place) };
}

function parseGallery(text: string, place: string): GalleryEntry[] {
  const refusal = (problem: string): SteeringError => new SteeringError("E_BAD_VECTOR", `${place} is not a gallery of vectors: ${problem}`);
  const { vectors } = parsedBy(gallerySchema, parseJson(text, place, "E_BAD_VECTOR"), refusal, "the file");
  const names = vectors.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw refusal(`the name ${twice} occurs twice`);
  return vectors;
}

/** A new entry. Throws E_BAD_ARGUMENT, naming the wrong field. */
export function entryOf(values: z.input<typeof entrySchema>, what: string): GalleryEntry {
  return parsedBy(entrySchema, values, (problem) => new SteeringError("E_BAD_ARGUMENT", `${what} cannot be packed: ${problem}`));
}

/** The entry with this name. Throws E_NOT_FOUND, with the names that there are. */
export function findEntry({ source, vectors }: Gallery, name: string): GalleryEntry {
  const found = vectors.find((entry) => entry.name === name);
  if (found) return found;
  const names = vectors.map((entry) => entry.name);
  const near = nearestName(name, names);
  throw new SteeringError("E_NOT_FOUND", `the gallery ${source} has no vector "${name}"${near ? `; did you mean ${near}?` : ""} `
    + `(it has: ${names.slice(0, 20).join(", ") || "none"}${names.length > 20 ? ", …" : ""})`);
}

/** The entries for a model file, whatever it is called. */
export function entriesFor({ vectors }: Gallery, { fileHash }: Pick<ModelFingerprint, "fileHash">): GalleryEntry[] {
  return vectors.filter(({ model }) => model.fileHash === fileHash);
}

/** Path or URL of an entry's vector file. */
export function fileOf({ source }: Gallery, { file }: GalleryEntry): string {
  return isAddress(source) ? new URL(file, source).href : join(dirname(source), file);
}

/** Whether this is a URL rather than a path. */
export function isAddress(source: string): boolean {
  return /^[a-z][a-z0-9+.-]+:\/\//i.test(source);
}

/** Throws E_BAD_ARGUMENT unless it is https, or http on this machine (to try a gallery before it is published). */
function checkedAddress(address: string): string {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  const isLocal = url?.protocol === "http:" && /^(localhost|127\.0\.0\.1|\[::1\])$/.test(url.hostname);
  if (url && (url.protocol === "https:" || isLocal) && !url.username && !url.password) return address;
  throw new SteeringError("E_BAD_ARGUMENT", "the address of the gallery is not safe; expected https://…, without a user or a password");
}
