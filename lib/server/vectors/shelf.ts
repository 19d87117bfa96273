import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { SteeringError } from "../../errors.js";
import { MAX_SAFETENSORS_BYTES, nearestName, readFileUpTo, writeFileAtomic } from "../../formats/index.js";
import { galleryFiles } from "../../gallery/index.js";
import type { Probe } from "../../probe/index.js";
import type { WrittenSchedule } from "../../steering/index.js";
import type { SteeringVector } from "../../vector/index.js";
import { HttpError } from "../http/errors.js";
import { describe, ownId, readContent, sha256Of, type Content, type Described, type Place } from "./entry.js";

const ENDING = ".safetensors";
/** More files than anybody keeps in one folder of vectors. */
const MAX_FILES = 10_000;
/** Bytes of the vectors that stay in memory between requests. */
const MOST_KEPT = 2 ** 29;

interface Known {
  stamp: string;
  entry: Described;
}

interface Kept {
  stamp: string;
  content: Content;
  bytes: number;
}

/** A file that is not what its name says. */
export interface Problem {
  file: string;
  code: string;
  message: string;
}

/**
 * The vectors and probes that clients can name: those of the server's folder and the package's. A name of a client is looked up, never
 * made part of a path.
 */
export class Shelf {
  private readonly known = new Map<string, Known>();
  /** Contents in use, the least recently used first. */
  private readonly kept = new Map<string, Kept>();
  private readonly ids = new WeakMap<object, string>();
  private gallery: ReturnType<typeof galleryFiles> | undefined;

  /** Without a folder, nothing can be added. */
  constructor(readonly folder: string | undefined) {}

  /** All entries, and the files that cannot be read. */
  async list(): Promise<{ entries: Described[]; problems: Problem[] }> {
    const entries: Described[] = [];
    const problems: Problem[] = [];
    for (const place of await this.places()) {
      try {
        entries.push(await this.describe(place));
      } catch (error) {
        if (!(error instanceof SteeringError)) throw error;
        problems.push({ file: `${place.id}${ENDING}`, code: error.code, message: this.withoutFolder(error.message) });
      }
    }
    return { entries, problems };
  }

  /** Throws 404 for an unknown id. */
  async entry(id: string): Promise<Described> {
    return this.describe(await this.find(id));
  }

  /** The bytes of a file. Throws 404. */
  async file(id: string): Promise<Buffer> {
    return readFileUpTo((await this.find(id)).path, "E_BAD_VECTOR", MAX_SAFETENSORS_BYTES, id);
  }

  /** Throws 404, 400 for a probe. */
  async vector(id: string): Promise<SteeringVector> {
    const content = await this.content(id, "vector");
    if (content.kind === "vector") return content.vector;
    throw new HttpError(400, `${id} is a probe, which cannot steer; use it in monitor`, { code: "E_BAD_SPEC", param: "steering" });
  }

  /** The schedule that the gallery states for a ready-made vector; it need not be in the file. Throws 404. */
  async stated(id: string): Promise<WrittenSchedule | undefined> {
    return (await this.find(id)).gallery?.schedule;
  }

  /** Throws 404, 400 for a vector. */
  async probe(id: string): Promise<Probe> {
    const content = await this.content(id, "probe");
    if (content.kind === "probe") return content.probe;
    throw new HttpError(400, `${id} is a vector, which cannot judge; use it in steering`, { code: "E_BAD_SPEC", param: "monitor" });
  }

  /** The id under which a vector was read. */
  idOf(vector: object): string {
    return this.ids.get(vector) ?? "unnamed";
  }

  /** Keeps the bytes of a vector or probe file, under a name of their own. Throws 403, E_BAD_VECTOR, E_NOT_FINITE, E_WRITE. */
  async add(bytes: Buffer): Promise<{ entry: Described; isNew: boolean }> {
    const folder = this.writableFolder();
    const content = readContent(bytes, "the uploaded file");
    const sha256 = sha256Of(bytes);
    const found = (await this.list()).entries.find((entry) => entry.sha256 === sha256);
    if (found) return { entry: found, isNew: false };
    const id = ownId(content, sha256);
    await writeFileAtomic(join(folder, `${id}${ENDING}`), bytes);
    return { entry: await this.entry(id), isNew: true };
  }

  /** Deletes a file of the folder. Throws 403 for others, 404. */
  async remove(id: string): Promise<void> {
    this.writableFolder();
    const { path, source } = await this.find(id);
    if (source !== "folder") throw new HttpError(403, `${id} belongs to the package and cannot be deleted`, { code: "not_yours" });
    await rm(path, { force: true });
    this.kept.delete(path);
    this.known.delete(path);
  }

  private writableFolder(): string {
    if (this.folder !== undefined) return this.folder;
    throw new HttpError(403, "this server has no folder of vectors; start it with --vectors DIR", { code: "read_only" });
  }

  private async places(): Promise<Place[]> {
    const own = await this.filesOfFolder();
    const taken = new Set(own.map(({ id }) => id));
    this.gallery ??= galleryFiles();
    const ready = (await this.gallery).map(({ entry, path }): Place => ({ id: entry.name, path, source: "gallery", gallery: entry }));
    return [...own, ...ready.filter(({ id }) => !taken.has(id))];
  }

  private async filesOfFolder(): Promise<Place[]> {
    const { folder } = this;
    if (folder === undefined) return [];
    const found = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return []; // created by the first vector
      throw new SteeringError("E_NOT_FOUND", `the folder of vectors cannot be listed (${error.code})`, { cause: error });
    });
    const names = found.filter((each) => !each.isDirectory() && each.name.endsWith(ENDING)).map(({ name }) => name).sort();
    return names.slice(0, MAX_FILES).map((name) => ({ id: name.slice(0, -ENDING.length), path: join(folder, name), source: "folder" }));
  }

  private async find(id: string, wanted: Content["kind"] = "vector"): Promise<Place> {
    const places = await this.places();
    const found = places.find((place) => place.id === id || `${place.id}${ENDING}` === id);
    if (found) return found;
    const near = nearestName(id, places.map((place) => place.id));
    throw new HttpError(404, `no ${wanted} is called ${JSON.stringify(id.slice(0, 100))}${near ? `; did you mean ${near}?` : ""} `
      + "(GET /v1/vectors lists them)", { code: "vector_not_found" });
  }

  private async describe(place: Place): Promise<Described> {
    const stamp = await stampOf(place.path);
    const known = this.known.get(place.path);
    if (known?.stamp === stamp) return { ...known.entry, id: place.id };
    const entry = await describe(place, await readFileUpTo(place.path, "E_BAD_VECTOR", MAX_SAFETENSORS_BYTES, place.id));
    this.known.set(place.path, { stamp, entry });
    return entry;
  }

  private async content(id: string, wanted: Content["kind"]): Promise<Content> {
    const place = await this.find(id, wanted);
    const stamp = await stampOf(place.path);
    const known = this.kept.get(place.path);
    this.kept.delete(place.path);
    const bytes = known?.stamp === stamp ? undefined : await readFileUpTo(place.path, "E_BAD_VECTOR", MAX_SAFETENSORS_BYTES, place.id);
    const kept = bytes ? { stamp, content: readContent(bytes, place.id), bytes: bytes.length } : known!;
    this.kept.set(place.path, kept);
    this.ids.set(kept.content.kind === "vector" ? kept.content.vector : kept.content.probe, place.id);
    this.forget();
    return kept.content;
  }

  /** Drops what has not been used for longest. */
  private forget(): void {
    let total = [...this.kept.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    for (const [path, { bytes }] of this.kept) {
      if (total <= MOST_KEPT || this.kept.size === 1) return;
      this.kept.delete(path);
      total -= bytes;
    }
  }

  /** Clients need not know where the folder is. */
  private withoutFolder(message: string): string {
    return this.folder === undefined ? message : message.replaceAll(join(this.folder, "/"), "");
  }
}

/** Changes when a file changes. */
async function stampOf(path: string): Promise<string> {
  const { size, mtimeMs, ino } = await stat(path).catch((cause: unknown) => {
    throw new SteeringError("E_NOT_FOUND", "a vector was deleted while it was read", { cause });
  });
  return `${size} ${mtimeMs} ${ino}`;
}
