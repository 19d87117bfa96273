import { open } from "node:fs/promises";
import type { ArgumentsCamelCase, Argv, CommandModule } from "yargs";
import { regularFileSize } from "../../lib/formats/index.js";
import { SteeringVector, type Model } from "../../lib/index.js";
import { HOOK_SITES } from "../../lib/vector/index.js";
import { interruptible, modelOptions, print, type ModelOptions } from "../common.js";
import { openModel } from "../open-model.js";
import { showVector, table } from "../show-vector.js";
import { megabytes } from "../progress.js";

/** `llama-steer inspect MODEL|VECTOR` */
export const inspectCommand: CommandModule<object, ModelOptions> = {
  command: "inspect <model>",
  describe: "Show what a model or a vector file holds",
  builder: (yargs) => modelOptions(yargs as Argv<object>, "A model, or a vector file")
    .example("$0 inspect italian.safetensors", "")
    .example("$0 inspect gemma3-270m", "") as unknown as Argv<ModelOptions>,
  handler: (options) => interruptible((signal) => run(options, signal)),
};

async function run(options: ArgumentsCamelCase<ModelOptions>, signal: AbortSignal): Promise<void> {
  if (options.model.endsWith(".safetensors") || await looksLikeVector(options.model)) return showVector(await SteeringVector.load(options.model), options.json);
  await using model = await openModel(options, signal);
  showModel(model, options.json);
}

/** A safetensors file begins with the length of its header and "{". */
async function looksLikeVector(path: string): Promise<boolean> {
  const size = await regularFileSize(path).catch(() => 0); // the model loader says what is wrong
  const file = size > 0 ? await open(path).catch(() => undefined) : undefined;
  if (!file) return false;
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(9), 0, 9, 0);
    return bytesRead === 9 && buffer[8] === "{".charCodeAt(0);
  } finally {
    await file.close();
  }
}

function showModel(model: Model, json: boolean): void {
  const { info } = model;
  const sites = HOOK_SITES.filter((site) => model.hasSite(site));
  const described = sites.map((site) => {
    const layers = model.siteLayers(site);
    return layers.length === info.nLayer ? site : `${site} (layers ${layers.join(" ")})`;
  });
  if (json) return print(JSON.stringify({ ...info, sites }, null, 2));
  print(table({
    name: info.name || info.description,
    file: info.path,
    architecture: info.architecture,
    quantisation: info.quantisation,
    parameters: `${(info.nParams / 1e6).toFixed(1)} million, ${megabytes(info.sizeBytes)}`,
    layers: String(info.nLayer),
    heads: `${info.nHead} of width ${info.dHead}`,
    "embedding width": String(info.nEmbd),
    vocabulary: `${info.nVocab} tokens (${info.tokenizerHash})`,
    "trained context": `${info.nCtxTrain} tokens`,
    "chat template": info.chatTemplate === null ? "none" : "yes",
    "hook sites": sites.length === 0 ? "none: the model cannot be steered" : described.join(" "),
  }));
}
