import { createHash } from "node:crypto";
import { join } from "node:path";
import { SteeringError } from "../errors.js";
import { MAX_SAFETENSORS_BYTES, readFileUpTo, withLock, writeFileAtomic } from "../formats/index.js";
import type { ScheduleSettings } from "../steering/index.js";
import { formatOf, loadVector } from "../vector/index.js";
import { GALLERY_FILE, entryOf, isAddress, readGallery, type Gallery, type GalleryEntry } from "./gallery.js";

/** A vector to publish. */
export interface PackedVector {
  /** Path of the vector file. */
  vector: string;
  /** Lower-case letters, digits, dots and dashes. */
  name: string;
  /** Name of the model for `loadModel`. */
  modelName: string;
  /** How strongly to steer; default: the calibrated schedule. */
  schedule?: ScheduleSettings;
  sample: GalleryEntry["sample"];
  description?: string;
  licence?: string;
}

/**
 * Write a gallery that others can use once the folder is on a server: the vectors, and a file that names them. Entries that the folder
 * already has are kept, or replaced if they have the same name and model. Returns the new entries.
 *
 * @throws SteeringError E_BAD_ARGUMENT, E_BAD_VECTOR, E_NOT_FOUND, E_BUSY, E_WRITE
 */
export async function packVectors(folder: string, vectors: readonly PackedVector[]): Promise<GalleryEntry[]> {
  if (isAddress(folder)) throw new SteeringError("E_BAD_ARGUMENT", `${folder} is an address; expected a folder to write to`);
  const packed: Packed[] = [];
  for (const vector of vectors) packed.push(await pack(vector));
  const names = packed.map(({ entry }) => entry.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new SteeringError("E_BAD_ARGUMENT", `two of the vectors are called "${twice}"; give each its own name`);
  const file = join(folder, GALLERY_FILE);
  return withLock(file, async () => {
    const { vectors: before } = await present(folder);
    const entries = packed.map(({ entry }) => entry);
    for (const entry of entries) assertFree(entry, before);
    for (const { entry, bytes } of packed) await writeFileAtomic(join(folder, entry.file), bytes);
    const all = [...before.filter(({ name }) => !names.includes(name)), ...entries];
    await writeFileAtomic(file, `${JSON.stringify({ version: 1, vectors: all }, null, 2)}\n`);
    return entries;
  }, "is writing this gallery");
}

interface Packed {
  entry: GalleryEntry;
  bytes: Buffer;
}

async function pack({ vector: path, schedule, name, ...described }: PackedVector): Promise<Packed> {
  const { provenance, site, layers, nSteps } = await loadVector(path);
  const strength = schedule ?? provenance.calibration?.schedule;
  if (!strength) throw new SteeringError("E_BAD_ARGUMENT", `${path} is not calibrated; give it a schedule, or calibrate it`);
  const bytes = await readFileUpTo(path, "E_BAD_VECTOR", MAX_SAFETENSORS_BYTES);
  const format = formatOf(provenance);
  return {
    bytes,
    entry: entryOf({
      name, property: provenance.property, ...described, model: provenance.model, site, layers: [...layers], nSteps,
      ...(format && { format }), schedule: strength, file: `${name}.safetensors`, size: bytes.length,
      sha256: createHash("sha256").update(bytes).digest("hex"),
    }, path),
  };
}

/** The gallery that is already in the folder. */
async function present(folder: string): Promise<Gallery> {
  return readGallery(folder).catch((error: unknown) => {
    if ((error as SteeringError).code === "E_NOT_FOUND") return { source: join(folder, GALLERY_FILE), vectors: [] };
    throw error;
  });
}

/** Throws E_BAD_ARGUMENT if a vector of another model has this name. */
function assertFree({ name, model }: GalleryEntry, others: readonly GalleryEntry[]): void {
  const other = others.find((each) => each.name === name && each.model.fileHash !== model.fileHash);
  if (!other) return;
  throw new SteeringError("E_BAD_ARGUMENT", `"${name}" is the name of a vector for ${other.modelName}; choose another name`);
}
