import { open } from "node:fs/promises";
import { regularFileSize } from "../../lib/formats/index.js";
import { SteeringVector, type Model } from "../../lib/index.js";
import { HOOK_SITES } from "../../lib/vector/index.js";
import { command } from "../command.js";
import { interruptible, print } from "../common.js";
import { openModel } from "../open-model.js";
import { MODEL, type ModelOptions } from "../options.js";
import { showVector, table } from "../show-vector.js";
import { megabytes } from "../progress.js";

export default command({
  usage: "inspect <model>",
  describe: "Show what a model or a vector file contains",
  options: { ...MODEL, model: { ...MODEL.model, describe: "Model (name, hf: address, path to a GGUF) or vector file" } },
  examples: [["inspect italian.safetensors"], ["inspect gemma3-270m"]],
  run: (given) => interruptible((signal) => run(given, signal)),
});

async function run(options: ModelOptions, signal: AbortSignal): Promise<void> {
  const isVector = options.model.endsWith(".safetensors") || await looksLikeVector(options.model);
  if (isVector) return showVector(await SteeringVector.load(options.model), options.json);
  await using model = await openModel(options, signal);
  showModel(model, options.json);
}

/** A safetensors file begins with the length of its header (8 bytes), then "{". */
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
    "chat template": info.chatTemplate === null ? "no" : "yes",
    "hook sites": sites.length === 0 ? "none; this model cannot be steered" : described.join(" "),
  }));
}
