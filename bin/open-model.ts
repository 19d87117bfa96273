import { loadModel, models, type LoadModelOptions, type Model, type Pullable } from "../lib/index.js";
import { isNamedModel } from "../lib/models/index.js";
import type { ModelOptions } from "./common.js";
import { megabytes, showProgress } from "./progress.js";

/** Load the model of the command line; one that is known by name is downloaded first where it is missing. */
export async function openModel({ model, threads, gpuLayers, quiet }: ModelOptions, signal: AbortSignal, room: Pick<LoadModelOptions, "maxSequences" | "contextSize"> = {}): Promise<Model> {
  await pullIfNamed(model, { quiet }, signal);
  return loadModel(model, { ...(threads === undefined ? {} : { threads }), ...(gpuLayers === undefined ? {} : { gpuLayers }), ...room, signal });
}

/** Download a model that is known by name, where it is missing. */
export async function pullIfNamed(model: string, { quiet }: Pick<ModelOptions, "quiet">, signal: AbortSignal): Promise<void> {
  if (isNamedModel(model)) await pullWithProgress(models.find(model), { force: false, quiet, signal });
}

export async function pullWithProgress(model: Pullable, options: { force: boolean; quiet: boolean; signal: AbortSignal }): Promise<string> {
  const { force, quiet, signal } = options;
  const { onProgress, onNotice, stop } = showProgress(model.name, quiet, megabytes);
  try {
    if (model.licence && (force || !models.isInstalled(model))) onNotice(`${model.title}: ${model.licence.name}, ${model.licence.url}`);
    return await models.pull(model, { onProgress, onNotice, signal, force });
  } finally {
    stop();
  }
}
