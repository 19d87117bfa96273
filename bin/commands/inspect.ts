import { open } from "node:fs/promises";
import type { ArgumentsCamelCase, Argv, CommandModule } from "yargs";
import { spec, SteeringVector, type Model, type PairsOrigin, type Provenance } from "../../lib/index.js";
import { interruptible, modelOptions, print, type ModelOptions } from "../common.js";
import { alphaBlock } from "../alpha-strip.js";
import { openModel } from "../open-model.js";
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
  const file = await open(path).catch(() => undefined);
  if (!file) return false;
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(9), 0, 9, 0);
    return bytesRead === 9 && buffer[8] === "{".charCodeAt(0);
  } catch {
    return false; // a folder: the model loader says so
  } finally {
    await file.close();
  }
}

function showVector(vector: SteeringVector, json: boolean): void {
  const { site, layers, nSteps, width, provenance } = vector;
  const byLayer = vector.norms();
  if (json) return print(JSON.stringify({ site, layers, nSteps, width, provenance, norms: byLayer }, null, 2));
  const largest = Math.max(...byLayer.flat());
  print(table({
    property: provenance.property,
    "hook site": site,
    layers: `${layers.length} (${layers[0]} to ${layers.at(-1)}, counted from 0)`,
    steps: String(nSteps),
    width: String(width),
    ...describeOrigin(provenance),
    model: `${provenance.model.architecture}, ${provenance.model.nLayer} layers, nEmbd ${provenance.model.nEmbd}, ${provenance.model.nHead} heads, ${provenance.model.quantisation}`,
    "model file": short(provenance.model.fileHash),
    "made by": provenance.madeBy,
  }));
  print(`\nnorm of the delta per layer (down) and token step (across); full block = ${largest.toFixed(2)}`);
  for (const [index, row] of byLayer.entries()) print(`${String(layers[index]).padStart(4)} ${row.map((norm) => alphaBlock(norm, largest)).join("")}`);
}

/** Rows that say how a vector came to be. */
function describeOrigin({ origin, calibration }: Provenance): Record<string, string> {
  const calibrated = calibration && { calibrated: `${JSON.stringify(calibration.schedule)}: ${calibration.effect} in ${Math.round(calibration.found * 100)} % of ${calibration.n}, ΔPPL ${calibration.deltaPerplexity.toFixed(2)}` };
  return { ...ofKind(origin), ...calibrated };
}

function ofKind(origin: Provenance["origin"]): Record<string, string> {
  switch (origin.kind) {
    case "icl": return {
      datasets: contrast(origin),
      prompts: `${origin.support} with ${origin.iclExamples} demonstrations, ${origin.seed === null ? "given by index" : `seed ${origin.seed}`}`,
    };
    case "pairs": return {
      datasets: contrast(origin),
      pairs: `${origin.nPairs}, template ${origin.template}, rows ${origin.pooling}`,
      method: { mean: "mean difference", pca: "principal component of the differences", probe: "direction of a logistic regression" }[origin.method],
    };
    case "derived": return { "made of": origin.from.map(({ property, hash }) => `${property} (${short(hash)})`).join(", ") };
    case "imported": return { imported: `${origin.file} (${short(origin.hash)}), ${origin.format}` };
  }
}

function contrast({ positive, negative }: Pick<PairsOrigin, "positive" | "negative">): string {
  return `${positive.name} (${short(positive.hash)}) − ${negative.name} (${short(negative.hash)})`;
}

function showModel(model: Model, json: boolean): void {
  const { info } = model;
  const sites = spec.HOOK_SITES.filter((site) => model.hasSite(site));
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
    "hook sites": sites.length === 0 ? "none: the model cannot be steered" : sites.join(" "),
  }));
}

function short(hash: string): string {
  return hash.replace(/^([^:]+:.{12}).*$/, "$1…");
}

function table(rows: Record<string, string>): string {
  const width = Math.max(...Object.keys(rows).map((key) => key.length));
  return Object.entries(rows).map(([key, value]) => `${key.padEnd(width)}  ${value}`).join("\n");
}
