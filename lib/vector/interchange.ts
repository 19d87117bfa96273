import { createHash } from "node:crypto";
import { basename } from "node:path";
import { SteeringError } from "../errors.js";
import { decodeGguf, encodeGguf, decodeNpy, encodeNpy, decodeSafetensors, encodeSafetensors, type Tensor, packageVersion } from "../formats/index.js";
import type { ImportedOrigin, ModelFingerprint } from "./provenance.js";
import type { VectorData } from "./vector.js";
import { SteeringVector } from "./steering-vector.js";

/** What a file of another program does not say itself. */
export interface ImportOptions {
  /** Name of the file. */
  name: string;
  /** The model that it was made for: `await model.fingerprint()`. */
  model: ModelFingerprint;
  /** Width of its heads, `model.info.dHead`, for a delta of the published code; without it, a wrong width is told when it is used. */
  dHead?: number;
  /** The behaviour; default: the file's name. */
  property?: string;
  /** Told where a control vector's hint seems to name another model. Default: nobody. */
  onNotice?: (line: string) => void;
}

const CONTROL_VECTOR = "controlvector";
const PUBLISHED_TENSOR = "delta";
/** What transformers calls architectures that llama.cpp knows by quite another name. */
const OTHER_NAMES: Record<string, readonly string[]> = {
  llama: ["mistral", "mixtral", "ministral", "smollm"], "command-r": ["cohere"], deepseek2: ["deepseek_v2", "deepseek_v3"], phi2: ["phi"], starcoder: ["gpt_bigcode"],
};
/** Hints that say nothing; EasySteer writes "unknown" where it was not told. */
const NO_HINTS: readonly unknown[] = ["", "unknown"];

/**
 * A control vector of llama.cpp, repeng or EasySteer: GGUF tensors `direction.<n>` of `[nEmbd]`. All count blocks from 0 and
 * add `direction.<n>` to the output of block n; EasySteer alone has one for block 0. Here: `resid_post`, one step.
 * Whether it is `model`'s is decided by its layers and width, and by you: its hint is anybody's word for a model.
 *
 * @throws SteeringError E_BAD_VECTOR, E_SHAPE (other layers or width), E_NOT_FINITE
 */
export function importControlVector(bytes: Uint8Array, options: ImportOptions): SteeringVector {
  const { name, model } = options;
  const { metadata, tensors } = decodeGguf(bytes, name);
  const kind = metadata.get("general.architecture");
  if (kind !== CONTROL_VECTOR) throw new SteeringError("E_BAD_VECTOR", `${name} is a GGUF of "${String(kind)}"; a ${CONTROL_VECTOR} was expected`);
  const hint = metadata.get(`${CONTROL_VECTOR}.model_hint`) ?? "";
  const directions = [...tensors].map(([key, { shape, data }]) => {
    const layer = Number(/^direction\.(0|[1-9]\d{0,5})$/.exec(key)?.[1] ?? NaN);
    if (Number.isNaN(layer)) throw new SteeringError("E_BAD_VECTOR", `${name}: unexpected tensor "${key}"; direction.<layer> was expected`);
    if (layer >= model.nLayer) throw new SteeringError("E_SHAPE", `${name}: ${key}; the model has the blocks 0 to ${model.nLayer - 1}`);
    if (shape.length !== 1 || shape[0] !== model.nEmbd) throw new SteeringError("E_SHAPE", `${name}: ${key} has shape [${shape.join(", ")}]; the model's width is ${model.nEmbd}`);
    return { layer, data };
  }).sort((a, b) => a.layer - b.layer);
  if (directions.length === 0) throw new SteeringError("E_BAD_VECTOR", `${name} holds no direction`);
  if (!NO_HINTS.includes(hint) && !mayBe(String(hint), model.architecture)) options.onNotice?.(`${name} says that it was made for "${hint}"; its shape fits this model, whose architecture is ${model.architecture}`);
  const data = new Float32Array(directions.length * model.nEmbd);
  directions.forEach((direction, index) => data.set(direction.data, index * model.nEmbd));
  const shape = { site: "resid_post" as const, layers: directions.map(({ layer }) => layer), nSteps: 1, width: model.nEmbd };
  return imported({ ...shape, data }, "control-vector", bytes, options);
}

/** True where a hint can be a name of the architecture, of a model of it (`mistral:7b`), or of its family (`qwen`). */
function mayBe(hint: string, architecture: string): boolean {
  const said = letters(hint);
  return [architecture, ...(OTHER_NAMES[architecture] ?? [])].map(letters).some((known) => said.startsWith(known) || known.startsWith(said));
}

/** `qwen3_moe`, `gpt-oss` and `Llama` are written in many ways. */
function letters(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, "");
}

/**
 * Bytes of a control vector for llama.cpp and repeng: alpha times the directions, which they add as they are.
 *
 * @throws SteeringError E_SHAPE for another site than `resid_post`, several steps, or layer 0, which it cannot hold
 */
export function exportControlVector(vector: VectorData, alpha = 1): Uint8Array {
  const { site, layers, nSteps, width, provenance } = vector;
  if (site !== "resid_post") throw new SteeringError("E_SHAPE", `a control vector is added at resid_post; this vector at ${site} cannot be one`);
  if (nSteps !== 1) throw new SteeringError("E_SHAPE", `a control vector has one direction per layer; this one has ${nSteps} steps: pool them (--pool)`);
  if (layers.includes(0)) throw new SteeringError("E_SHAPE", "a control vector cannot have layer 0, and this one has: select the others (--layers 1-…)");
  const { data } = new SteeringVector(vector).scale(alpha);
  const tensors = new Map<string, Tensor>(layers.map((layer, index) => [`direction.${layer}`, { shape: [width], data: data.slice(index * width, (index + 1) * width) }]));
  return encodeGguf({ "general.architecture": CONTROL_VECTOR, [`${CONTROL_VECTOR}.model_hint`]: provenance.model.architecture, [`${CONTROL_VECTOR}.layer_count`]: layers.length }, tensors);
}

/**
 * A delta of the published code, `[step, layer, head, dHead]`, as .npy or as the only tensor of a safetensors file.
 * Here: `head_out`, all layers. Throws E_BAD_VECTOR, E_SHAPE, E_NOT_FINITE.
 */
export function importPublished(bytes: Uint8Array, options: ImportOptions): SteeringVector {
  const { name, model, dHead: expected } = options;
  const { shape, data } = name.endsWith(".npy") ? decodeNpy(bytes, name) : onlyTensor(bytes, name);
  const [nSteps = 0, nLayer, nHead, dHead = 0] = shape;
  if (shape.length !== 4 || data.length === 0) throw new SteeringError("E_SHAPE", `${name} has shape [${shape.join(", ")}]; [step, layer, head, dHead] was expected`);
  if (nLayer !== model.nLayer || nHead !== model.nHead) throw new SteeringError("E_SHAPE", `${name} has ${nLayer} layers of ${nHead} heads; the model has ${model.nLayer} of ${model.nHead}`);
  if (expected !== undefined && dHead !== expected) throw new SteeringError("E_SHAPE", `${name} has heads of width ${dHead}; the model's have ${expected}`);
  const width = nHead * dHead;
  return imported({ site: "head_out", layers: Array.from({ length: nLayer }, (_, layer) => layer), nSteps, width, data: swapped(data, nSteps, nLayer, width) }, "published", bytes, options);
}

/** The published layout `[step, layer, head, dHead]`. Throws E_SHAPE unless it is a vector of all layers at `head_out`. */
export function publishedTensor({ site, layers, nSteps, width, data, provenance: { model } }: VectorData): Tensor {
  if (site !== "head_out" || layers.length !== model.nLayer) throw new SteeringError("E_SHAPE", `the published layout holds all ${model.nLayer} layers at head_out; this vector has ${layers.length} at ${site}`);
  return { shape: [nSteps, layers.length, model.nHead, width / model.nHead], data: swapped(data, layers.length, nSteps, width) };
}

/** Bytes of the published layout, as .npy or as a safetensors file of one tensor. Throws E_SHAPE. */
export function exportPublished(vector: VectorData, format: "npy" | "safetensors"): Uint8Array {
  const tensor = publishedTensor(vector);
  return format === "npy" ? encodeNpy(tensor) : encodeSafetensors({ tensors: new Map([[PUBLISHED_TENSOR, tensor]]), metadata: {} });
}

function onlyTensor(bytes: Uint8Array, name: string): Tensor {
  const { tensors } = decodeSafetensors(bytes, name);
  const [tensor] = tensors.values();
  if (!tensor || tensors.size !== 1) throw new SteeringError("E_BAD_VECTOR", `${name} holds ${tensors.size} tensors; one, [step, layer, head, dHead], was expected`);
  return tensor;
}

function imported(vector: Omit<VectorData, "provenance">, format: ImportedOrigin["format"], bytes: Uint8Array, { name, model, property }: ImportOptions): SteeringVector {
  if (!vector.data.every(Number.isFinite)) throw new SteeringError("E_NOT_FINITE", `${name} holds values that are not finite`);
  const file = basename(name);
  const hash = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  return new SteeringVector({ ...vector, provenance: { property: property ?? file.replace(/\.\w+$/, ""), origin: { kind: "imported", format, file, hash }, model, madeBy: `llama-steer ${packageVersion()}` } });
}

/** `[a, b, width]` as `[b, a, width]`. */
function swapped(data: Float32Array, a: number, b: number, width: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let i = 0; i < a; i++) for (let j = 0; j < b; j++) out.set(data.subarray((i * b + j) * width, (i * b + j + 1) * width), (j * a + i) * width);
  return out;
}
