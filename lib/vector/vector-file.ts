import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError } from "../errors.js";
import {
  MAX_SAFETENSORS_BYTES, decodeSafetensors, encodeSafetensors, readFileUpTo, writeFileAtomic, type Tensor,
} from "../formats/index.js";
import { HOOK_SITES, hasHeads } from "./hook-site.js";
import { parseProvenance, type Provenance } from "./provenance.js";
import type { VectorData } from "./vector.js";

const FORMAT = "llama-steer-vector";
const FORMAT_VERSION = "2";
const metadataSchema = z.object({
  format: z.literal(FORMAT),
  format_version: z.enum(["1", FORMAT_VERSION]),
  operation: z.literal("add"),
  hook_site: z.enum(HOOK_SITES),
  layer_base: z.literal("0"),
  provenance: z.string(),
});

/**
 * Save a vector as safetensors, atomically: a tensor `layer.<il>` of `[nSteps, width]` per layer, and the metadata.
 * Throws E_WRITE, E_NOT_FINITE.
 */
export async function saveVector(path: string, vector: VectorData): Promise<void> {
  await writeFileAtomic(path, encodeVector(vector, path));
}

/** The bytes of a vector file. Throws E_NOT_FINITE. */
export function encodeVector(vector: VectorData, path: string): Uint8Array {
  const { layers, nSteps, width, data } = vector;
  if (!data.every(Number.isFinite)) throw new SteeringError("E_NOT_FINITE", `the vector for ${path} contains values that are not finite`);
  const tensors = new Map<string, Tensor>(layers.map((layer, index) => [
    `layer.${layer}`, { shape: [nSteps, width], data: data.subarray(index * nSteps * width, (index + 1) * nSteps * width) },
  ]));
  const metadata: z.infer<typeof metadataSchema> = {
    format: FORMAT, format_version: FORMAT_VERSION, operation: "add", hook_site: vector.site, layer_base: "0",
    provenance: JSON.stringify(vector.provenance),
  };
  return encodeSafetensors({ tensors, metadata });
}

/**
 * Load a vector file.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_VECTOR (not a vector file, truncated, other version), E_NOT_FINITE
 */
export async function loadVector(path: string): Promise<VectorData> {
  return decodeVector(await readTensorFile(path, "vector"), path);
}

/** The vector in the bytes of a vector file. Throws E_BAD_VECTOR, E_NOT_FINITE. */
export function decodeVector(bytes: Buffer, path: string): VectorData {
  const { tensors, metadata } = decodeSafetensors(bytes, path);
  const described = parsedBy(metadataSchema, metadata,
    (problem) => new SteeringError("E_BAD_VECTOR", `${path} is not a vector of llama-steer: metadata ${problem}`));
  const vector = { site: described.hook_site, ...joinLayers(tensors, path), provenance: provenanceOf(described, path) };
  assertFits(vector, path);
  return vector;
}

/** Throws E_BAD_VECTOR unless the directions fit the model that the file names. */
function assertFits({ site, layers, width, provenance: { model } }: VectorData, path: string): void {
  const wrongLayer = layers.find((layer) => layer >= model.nLayer);
  if (wrongLayer !== undefined) {
    throw new SteeringError("E_BAD_VECTOR", `${path} has a layer ${wrongLayer}; the model that it names has 0 to ${model.nLayer - 1}`);
  }
  const fits = hasHeads(site) ? width % model.nHead === 0 : width === model.nEmbd;
  if (fits) return;
  const expected = hasHeads(site) ? `${model.nHead} heads` : `nEmbd ${model.nEmbd}`;
  throw new SteeringError("E_BAD_VECTOR", `${path} has directions of width ${width} at ${site}; the model that it names has ${expected}`);
}

/** Read the bytes of a vector or probe file. Throws E_NOT_FOUND, E_BAD_VECTOR (too large). */
export async function readTensorFile(path: string, kind: "vector" | "probe"): Promise<Buffer> {
  return readFileUpTo(path, "E_BAD_VECTOR", MAX_SAFETENSORS_BYTES, `${kind} file ${path}`);
}

function joinLayers(tensors: Map<string, Tensor>, path: string): Pick<VectorData, "layers" | "nSteps" | "width" | "data"> {
  const layers = [...tensors.keys()].map((key) => {
    const match = /^layer\.(0|[1-9]\d{0,8})$/.exec(key);
    if (!match) throw new SteeringError("E_BAD_VECTOR", `${path}: unexpected tensor "${key}"; expected layer.<index>`);
    return Number(match[1]);
  }).sort((a, b) => a - b);
  const [nSteps, width] = tensors.get(`layer.${layers[0]}`)?.shape ?? [];
  if (!nSteps || !width) throw new SteeringError("E_BAD_VECTOR", `${path} contains no layer with values`);
  for (const layer of layers) {
    const { shape } = tensors.get(`layer.${layer}`)!;
    if (shape.length !== 2 || shape[0] !== nSteps || shape[1] !== width) {
      throw new SteeringError("E_BAD_VECTOR", `${path}: layer ${layer} has shape [${shape.join(", ")}]; expected [${nSteps}, ${width}]`);
    }
  }
  const data = new Float32Array(layers.length * nSteps * width);
  layers.forEach((layer, index) => data.set(tensors.get(`layer.${layer}`)!.data, index * nSteps * width));
  if (!data.every(Number.isFinite)) throw new SteeringError("E_NOT_FINITE", `${path} contains values that are not finite`);
  return { layers, nSteps, width, data };
}

function provenanceOf({ format_version: version, provenance }: z.infer<typeof metadataSchema>, path: string): Provenance {
  try {
    return parseProvenance(provenance, version);
  } catch (cause) {
    throw new SteeringError("E_BAD_VECTOR", `${path}: its provenance is incomplete`, { cause });
  }
}
