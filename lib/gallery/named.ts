import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { SteeringError } from "../errors.js";
import { homeFolder, nearestName } from "../formats/index.js";
import { loadVector, type ModelFingerprint } from "../vector/index.js";
import { readGallery } from "./gallery.js";
import { pullVector } from "./pull.js";

/** A vector that is here, in this package or pulled from another gallery, and what is known of it without reading it. */
interface Ready {
  name: string;
  /** Known of the package's vectors. */
  modelName?: string;
  /** Throws what `pullVector` throws. */
  path: () => Promise<string>;
  isFor: (model: ModelFingerprint) => Promise<boolean>;
}

/** A file of vectors that were pulled by URL: the name in the gallery and the beginning of the file's hash. */
const PULLED = /^(.+)-[0-9a-f]{12}\.safetensors$/;

/**
 * Look up a ready-made vector by its name or by the last words of that, e.g. "cheerful": this package's, and those that were pulled from
 * other galleries. Returns a function that gives the path of the one that was made for a model. Throws E_NOT_FOUND if none has this name,
 * and what reading a gallery throws; the function throws E_MODEL_MISMATCH, E_BAD_ARGUMENT (several fit), and what `pullVector` throws.
 */
export async function findReady(word: string): Promise<(model: ModelFingerprint) => Promise<string>> {
  const all = [...await ofPackage(), ...await ofCache()];
  const found = [all.filter(({ name }) => name === word), all.filter(({ name }) => name.endsWith(`-${word}`))]
    .find((each) => each.length > 0);
  if (!found) throw unknown(word, all);
  return async (model) => {
    const fitting: Ready[] = [];
    for (const each of found) if (await each.isFor(model)) fitting.push(each);
    const [only, ...others] = fitting;
    if (!only) throw new SteeringError("E_MODEL_MISMATCH", `${listed(found)}; expected one for this model. ${PULL}`);
    if (others.length === 0) return only.path();
    const paths = await Promise.all(fitting.map((each) => each.path()));
    throw new SteeringError("E_BAD_ARGUMENT", `several vectors for this model are called "${word}"; give the path of one: ${paths.join(", ")}`);
  };
}

const PULL = "`llama-steer vectors list` has the package's vectors, and `vectors pull NAME --gallery URL` gets others";

async function ofPackage(): Promise<Ready[]> {
  const { vectors } = await readGallery();
  return vectors.map(({ name, modelName, model }) => ({
    name, modelName, path: () => pullVector(name), isFor: async ({ fileHash }) => model.fileHash === fileHash,
  }));
}

async function ofCache(): Promise<Ready[]> {
  const folder = join(homeFolder(), "vectors");
  const files = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return [];
    throw new SteeringError("E_NOT_FOUND", `${folder} cannot be read: ${error.message}`, { cause: error });
  });
  return files.sort().flatMap((file) => {
    const name = PULLED.exec(file)?.[1];
    const path = join(folder, file);
    const isFor: Ready["isFor"] = async ({ fileHash }) => (await loadVector(path)).provenance.model.fileHash === fileHash;
    return name === undefined ? [] : [{ name, path: async () => path, isFor }];
  });
}

function unknown(word: string, all: readonly Ready[]): SteeringError {
  const names = all.map(({ name }) => name);
  const near = nearestName(word, [...names, ...names.map((name) => name.slice(name.lastIndexOf("-") + 1))]);
  const hint = near ? `; did you mean ${near}?` : ". ";
  return new SteeringError("E_NOT_FOUND", `there is no file and no ready-made vector "${word}"${hint}${near ? " " : ""}${PULL}`);
}

function listed(found: readonly Ready[]): string {
  return found.map(({ name, modelName }) => `${name} is a vector for ${modelName ?? "another model"}`).join("; ");
}
