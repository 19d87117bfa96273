import { createHash } from "node:crypto";
import { basename } from "node:path";
import { SteeringError } from "../errors.js";
import {
  decodeGguf, encodeGguf, decodeNpy, encodeNpy, decodeSafetensors, encodeSafetensors, type Tensor, packageVersion,
} from "../formats/index.js";
import type { ImportedOrigin, ModelFingerprint } from "./provenance.js";
import type { VectorData } from "./vector.js";
import { SteeringVector } from "./steering-vector.js";

/** Information that a file of another program does not contain. */
export interface ImportOptions {
  /** Name of the file. */
  name: string;
  /** The model that the vector was made for: `await model.fingerprint()`. */
  model: ModelFingerprint;
  /** Width of a head, `model.info.dHead`, for a delta of the published code; without it, a wrong width is only detected in use. */
  dHead?: number;
  /** The behaviour; default: the file's name. */
  property?: string;
  /** Called if a control vector's hint seems to name another model. */
  onNotice?: (line: string) => void;
}

const CONTROL_VECTOR = "controlvector";
const PUBLISHED_TENSOR = "delta";
/** Names in transformers, by llama.cpp architecture, where the two differ. */
const OTHER_NAMES: Record<string, readonly string[]> = {
  llama: ["mistral", "mixtral", "ministral", "smollm"],
  "command-r": ["cohere"],
  deepseek2: ["deepseek_v2", "deepseek_v3"],
  phi2: ["phi"],
  starcoder: ["gpt_bigcode"],
};
/** Hints without information; EasySteer writes "unknown" by default. */
const NO_HINTS: readonly unknown[] = ["", "unknown"];

/**
 * Import a control vector of llama.cpp, repeng or EasySteer: GGUF tensors `direction.<n>` of `[nEmbd]`. All three count blocks from
 * 0 and add `direction.<n>` to the output of block n; only EasySteer includes block 0. The result is at `resid_post`, with one step.
 * Layers and width are checked against `model`; whether the vector belongs to it is up to you, as the hint is free text. These programs
 * also add it to the prompt; here, steer with `phases: ["prompt", "answer"]` to do the same.
 *
 * @throws SteeringError E_BAD_VECTOR, E_SHAPE (other layers or width), E_NOT_FINITE
 */
export function importControlVector(bytes: Uint8Array, options: ImportOptions): SteeringVector {
  const { name, model } = options;
  const { metadata, tensors } = decodeGguf(bytes, name);
  const kind = metadata.get("general.architecture");
  if (kind !== CONTROL_VECTOR) {
    throw new SteeringError("E_BAD_VECTOR", `${name} has the architecture "${String(kind)}"; expected ${CONTROL_VECTOR}`);
  }
  const hint = metadata.get(`${CONTROL_VECTOR}.model_hint`) ?? "";
  const directions = [...tensors].map(([key, { shape, data }]) => {
    const layer = Number(/^direction\.(0|[1-9]\d{0,5})$/.exec(key)?.[1] ?? NaN);
    if (Number.isNaN(layer)) throw new SteeringError("E_BAD_VECTOR", `${name}: unexpected tensor "${key}"; expected direction.<layer>`);
    if (layer >= model.nLayer) throw new SteeringError("E_SHAPE", `${name}: ${key}; the model has blocks 0 to ${model.nLayer - 1}`);
    if (shape.length !== 1 || shape[0] !== model.nEmbd) {
      throw new SteeringError("E_SHAPE", `${name}: ${key} has shape [${shape.join(", ")}]; the model's width is ${model.nEmbd}`);
    }
    return { layer, data };
  }).sort((a, b) => a.layer - b.layer);
  if (directions.length === 0) throw new SteeringError("E_BAD_VECTOR", `${name} contains no direction`);
  if (!NO_HINTS.includes(hint) && !mayBe(String(hint), model.architecture)) {
    const fit = `its shape fits this model, whose architecture is ${model.architecture}`;
    options.onNotice?.(`${name} says that it was made for "${hint}"; ${fit}`);
  }
  const data = new Float32Array(directions.length * model.nEmbd);
  directions.forEach((direction, index) => data.set(direction.data, index * model.nEmbd));
  const shape = { site: "resid_post" as const, layers: directions.map(({ layer }) => layer), nSteps: 1, width: model.nEmbd };
  return imported({ ...shape, data }, "control-vector", bytes, options);
}

/** Whether a hint may name the architecture, one of its models (`mistral:7b`) or its family (`qwen`). */
function mayBe(hint: string, architecture: string): boolean {
  const hinted = letters(hint);
  const names = [architecture, ...(OTHER_NAMES[architecture] ?? [])].map(letters);
  return names.some((known) => hinted.startsWith(known) || known.startsWith(hinted));
}

/** Normalise a name: `qwen3_moe`, `gpt-oss` and `Llama` have several spellings. */
function letters(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, "");
}

/**
 * Encode a control vector for llama.cpp and repeng. They add the directions unscaled, so alpha is multiplied in.
 *
 * @throws SteeringError E_SHAPE for a site other than `resid_post`, several steps, or layer 0, which the format excludes
 */
export function exportControlVector(vector: VectorData, alpha = 1): Uint8Array {
  const { site, layers, nSteps, width, provenance } = vector;
  if (site !== "resid_post") {
    throw new SteeringError("E_SHAPE", `this vector is added at ${site}; a control vector must be added at resid_post`);
  }
  if (nSteps !== 1) {
    throw new SteeringError("E_SHAPE",
      `this vector has ${nSteps} steps; a control vector has one direction per layer: pool the steps (--pool)`);
  }
  if (layers.includes(0)) {
    throw new SteeringError("E_SHAPE", "this vector has layer 0; a control vector cannot have layer 0: select the others (--layers 1-…)");
  }
  const { data } = new SteeringVector(vector).scale(alpha);
  const tensors = new Map<string, Tensor>(layers.map((layer, index) => [
    `direction.${layer}`, { shape: [width], data: data.slice(index * width, (index + 1) * width) },
  ]));
  const metadata = {
    "general.architecture": CONTROL_VECTOR,
    [`${CONTROL_VECTOR}.model_hint`]: provenance.model.architecture,
    [`${CONTROL_VECTOR}.layer_count`]: layers.length,
  };
  return encodeGguf(metadata, tensors);
}

/**
 * Import a delta of the published code, `[step, layer, head, dHead]`, as .npy or as the only tensor of a safetensors file. The
 * result is at `head_out`, with all layers. Throws E_BAD_VECTOR, E_SHAPE, E_NOT_FINITE.
 */
export function importPublished(bytes: Uint8Array, options: ImportOptions): SteeringVector {
  const { name, model, dHead: expected } = options;
  const { shape, data } = name.endsWith(".npy") ? decodeNpy(bytes, name) : onlyTensor(bytes, name);
  const [nSteps = 0, nLayer, nHead, dHead = 0] = shape;
  if (shape.length !== 4 || data.length === 0) {
    throw new SteeringError("E_SHAPE", `${name} has shape [${shape.join(", ")}]; expected [step, layer, head, dHead]`);
  }
  if (nLayer !== model.nLayer || nHead !== model.nHead) {
    throw new SteeringError("E_SHAPE", `${name} has ${nLayer} layers of ${nHead} heads; the model has ${model.nLayer} of ${model.nHead}`);
  }
  if (expected !== undefined && dHead !== expected) {
    throw new SteeringError("E_SHAPE", `${name} has heads of width ${dHead}; the model's have ${expected}`);
  }
  const width = nHead * dHead;
  const layers = Array.from({ length: nLayer }, (_, layer) => layer);
  const vector = { site: "head_out" as const, layers, nSteps, width, data: swapped(data, nSteps, nLayer, width) };
  return imported(vector, "published", bytes, options);
}

/** A vector in the published layout `[step, layer, head, dHead]`. Throws E_SHAPE unless it has all layers, at `head_out`. */
export function publishedTensor({ site, layers, nSteps, width, data, provenance: { model } }: VectorData): Tensor {
  if (site !== "head_out" || layers.length !== model.nLayer) {
    throw new SteeringError("E_SHAPE",
      `this vector has ${layers.length} layers at ${site}; the published layout holds all ${model.nLayer} layers at head_out`);
  }
  return { shape: [nSteps, layers.length, model.nHead, width / model.nHead], data: swapped(data, layers.length, nSteps, width) };
}

/** Encode a vector in the published layout, as .npy or as a safetensors file of one tensor. Throws E_SHAPE. */
export function exportPublished(vector: VectorData, format: "npy" | "safetensors"): Uint8Array {
  const tensor = publishedTensor(vector);
  return format === "npy" ? encodeNpy(tensor) : encodeSafetensors({ tensors: new Map([[PUBLISHED_TENSOR, tensor]]), metadata: {} });
}

function onlyTensor(bytes: Uint8Array, name: string): Tensor {
  const { tensors } = decodeSafetensors(bytes, name);
  const [tensor] = tensors.values();
  if (!tensor || tensors.size !== 1) {
    throw new SteeringError("E_BAD_VECTOR", `${name} contains ${tensors.size} tensors; expected one, [step, layer, head, dHead]`);
  }
  return tensor;
}

function imported(
  vector: Omit<VectorData, "provenance">, format: ImportedOrigin["format"], bytes: Uint8Array, { name, model, property }: ImportOptions,
): SteeringVector {
  if (!vector.data.every(Number.isFinite)) throw new SteeringError("E_NOT_FINITE", `${name} contains values that are not finite`);
  const file = basename(name);
  const hash = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  const provenance = {
    property: property ?? file.replace(/\.\w+$/, ""), origin: { kind: "imported" as const, format, file, hash }, model,
    madeBy: `llama-steer ${packageVersion()}`,
  };
  return new SteeringVector({ ...vector, provenance });
}

/** Transpose `[a, b, width]` to `[b, a, width]`. */
function swapped(data: Float32Array, a: number, b: number, width: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let i = 0; i < a; i++) {
    for (let j = 0; j < b; j++) out.set(data.subarray((i * b + j) * width, (i * b + j + 1) * width), (j * a + i) * width);
  }
  return out;
}
