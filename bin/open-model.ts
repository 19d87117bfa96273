import { loadModel, models, type LoadModelOptions, type Model, type ModelEntry, type Pullable } from "../lib/index.js";
import { isNamedModel, isOwn } from "../lib/models/index.js";
import { defined } from "./common.js";
import type { ModelOptions } from "./options.js";
import { showProgress } from "./progress.js";

type Room = Pick<LoadModelOptions, "maxSequences" | "contextSize">;
type OpenOptions = Pick<ModelOptions, "model" | "threads" | "gpuLayers" | "rpc" | "quiet">;

/** Loads the model of the command line; a missing model that has a name is downloaded first. */
export async function openModel(
  { model, threads, gpuLayers, rpc, quiet }: OpenOptions, signal: AbortSignal, room: Room = {},
): Promise<Model> {
  await pullIfNamed(model, { quiet }, signal);
  return loadModel(model, { ...defined({ threads, gpuLayers, rpc }), ...room, signal });
}

/** Downloads a model that has a name and is missing. */
export async function pullIfNamed(model: string, { quiet }: Pick<ModelOptions, "quiet">, signal: AbortSignal): Promise<void> {
  if (isNamedModel(model)) await pullWithProgress(models.find(model), { force: false, quiet, signal });
}

/** Where a model of the registry is. */
export function modelState(model: ModelEntry): string {
  return isOwn(model) ? "in the package" : models.isInstalled(model) ? "downloaded" : "not downloaded";
}

export async function pullWithProgress(model: Pullable, options: { force: boolean; quiet: boolean; signal: AbortSignal }): Promise<string> {
  const { force, quiet, signal } = options;
  const { onProgress, onNotice, stop } = showProgress(model.name, quiet, "MB");
  try {
    if (model.licence && (force || !models.isInstalled(model))) onNotice(`${model.title}: ${model.licence.name}, ${model.licence.url}`);
    return await models.pull(model, { onProgress, onNotice, signal, force });
  } finally {
    stop();
  }
}
