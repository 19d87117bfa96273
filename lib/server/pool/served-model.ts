import { basename } from "node:path";
import { stat } from "node:fs/promises";
import { SteeringError } from "../../errors.js";
import { modelFiles } from "../../formats/index.js";
import { isNamedModel, resolveModel } from "../../models/index.js";

/** A model that clients can name. */
export interface ServedModel {
  /** What clients call it. */
  id: string;
  path: string;
  /** The registry name or `hf:` address that it was served by; null for a file. */
  name: string | null;
  /** Bytes of its files. */
  bytes: number;
}

/** The models with these names or paths. Throws E_BAD_ARGUMENT for two that would have one id, and what `resolveModel` throws. */
export async function servedModels(names: readonly string[]): Promise<ServedModel[]> {
  const served = await Promise.all(names.map(async (name): Promise<ServedModel> => {
    const path = await resolveModel(name);
    const sizes = await Promise.all(modelFiles(path).map(async (file) => (await stat(file)).size));
    return { id: idOf(name), path, name: isNamedModel(name) ? name : null, bytes: sizes.reduce((sum, size) => sum + size, 0) };
  }));
  const twice = served.find(({ id }, index) => served.findIndex((other) => other.id === id) !== index);
  if (!twice) return served;
  throw new SteeringError("E_BAD_ARGUMENT", `two models would be called "${twice.id}"; serve one of them, or rename a file`);
}

/** The name of a file without its folder and ending; registry names have neither. */
function idOf(name: string): string {
  return basename(name).replace(/\.gguf$/i, "");
}
