import { stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { SteeringError } from "../errors.js";
import { homeFolder, withLock } from "../formats/index.js";
import { downloadChecked, mismatch, type OnProgress } from "../models/index.js";
import type { WrittenSchedule } from "../steering/index.js";
import { assertMadeFor, loadVector } from "../vector/index.js";
import { fileOf, findEntry, isAddress, ownGallery, readGallery, type Gallery, type GalleryEntry } from "./gallery.js";

/** Which gallery to use, and how to download from it. */
export interface PullVectorOptions {
  /** Path or URL of a gallery's folder or file; default: this package's. */
  gallery?: string;
  onProgress?: OnProgress;
  signal?: AbortSignal;
}

/** Where an entry's file is, or will be once it is downloaded. */
export function vectorPath(gallery: Gallery, entry: GalleryEntry): string {
  const file = fileOf(gallery, entry);
  // The hash keeps apart what galleries call the same.
  if (!isAddress(file)) return file;
  return join(homeFolder(), "vectors", `${basename(entry.file, ".safetensors")}-${entry.sha256.slice(0, 12)}.safetensors`);
}

/** Whether an entry's vector is on this machine; its hash was checked when it was downloaded. */
export async function isPulled(gallery: Gallery, entry: GalleryEntry): Promise<boolean> {
  const found = await stat(vectorPath(gallery, entry)).catch(() => undefined);
  return found?.isFile() === true && found.size === entry.size;
}

/** The package's vectors, with the paths of their files. Throws what reading a gallery throws. */
export async function galleryFiles(): Promise<Array<{ entry: GalleryEntry; path: string }>> {
  const gallery = await readGallery();
  return gallery.vectors.map((entry) => ({ entry, path: vectorPath(gallery, entry) }));
}

/** The schedule that the package's gallery states for the vector at this path; undefined for other files. */
export async function statedSchedule(path: string): Promise<WrittenSchedule | undefined> {
  const whole = resolve(path);
  if (dirname(whole) !== dirname(ownGallery())) return undefined;
  return (await galleryFiles()).find((file) => file.path === whole)?.entry.schedule;
}

/**
 * Return the path of a vector of a gallery. It is downloaded if the gallery is a URL; an interrupted download is resumed. The file is
 * the one that the gallery names (size and SHA-256), and was made for the model that it names.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_VECTOR, E_MODEL_MISMATCH, E_DOWNLOAD, E_BUSY (another process downloads it), E_ABORTED, and what
 *   reading a gallery throws
 */
export async function pullVector(name: string, options: PullVectorOptions = {}): Promise<string> {
  const gallery = await readGallery(options.gallery, options.signal);
  const entry = findEntry(gallery, name);
  const path = vectorPath(gallery, entry);
  const expected = { size: entry.size, sha256: entry.sha256 };
  if (!isAddress(gallery.source)) {
    const problem = await mismatch(path, expected);
    if (problem) throw new SteeringError("E_BAD_VECTOR", `${path} is not the file that ${gallery.source} names: ${problem}`);
    await assertIs(entry, path);
    return path;
  }
  return withLock(path, async () => {
    const { onProgress, signal } = options;
    const isThere = (await isPulled(gallery, entry)) && (await mismatch(path, expected)) === undefined;
    const download = { expected, onProgress, signal };
    if (!isThere) await downloadChecked(fileOf(gallery, entry), path, download, (partial) => assertIs(entry, partial));
    return path;
  }, "is downloading this vector");
}

/** Throws E_BAD_VECTOR, E_NOT_FINITE or E_MODEL_MISMATCH unless the file is a vector as the entry describes it. */
async function assertIs({ model, site, layers, nSteps, name }: GalleryEntry, path: string): Promise<void> {
  const vector = await loadVector(path);
  assertMadeFor(vector, model);
  const agrees = vector.site === site && vector.nSteps === nSteps && vector.layers.join() === layers.join();
  if (!agrees) throw new SteeringError("E_BAD_VECTOR", `${path} has another site, other layers or steps than the gallery says of ${name}`);
}
