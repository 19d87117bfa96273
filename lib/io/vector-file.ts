import { readFile } from "node:fs/promises";
import { z } from "zod";
import { SteeringError } from "../errors.js";
import { HOOK_SITES, type SteeringVector } from "../steering/index.js";
import { writeFileAtomic } from "./atomic.js";
import { decodeSafetensors, encodeSafetensors, type Tensor } from "./safetensors.js";

const FORMAT = "llama-steer-vector";
const FORMAT_VERSION = "1";

export const datasetSchema = z.object({ name: z.string(), hash: z.string() });
export const fingerprintSchema = z.object({
  architecture: z.string(),
  nLayer: z.number().int(),
  nEmbd: z.number().int(),
  nHead: z.number().int(),
  tokenizerHash: z.string(),
  fileHash: z.string(),
  quantisation: z.string(),
});
const provenanceSchema = z.object({
  property: z.string(),
  positive: datasetSchema,
  negative: datasetSchema,
  iclExamples: z.number().int(),
  support: z.number().int(),
  seed: z.number().int().nullable(),
  supportIndices: z.array(z.number().int()),
  maxNewTokens: z.number().int().optional(),
  promptFormat: z.enum(["clean", "published"]).optional(),
  promptsHash: z.string(),
  model: fingerprintSchema,
  madeBy: z.string(),
});
const metadataSchema = z.object({
  format: z.literal(FORMAT),
  format_version: z.literal(FORMAT_VERSION),
  operation: z.literal("add"),
  hook_site: z.enum(HOOK_SITES),
  layer_base: z.literal("0"),
  provenance: z.string(),
});

/**
 * Write a vector as safetensors, atomically: tensor `layer.<il>` of `[nSteps, width]` per layer, and its metadata.
 * Throws E_WRITE, E_NOT_FINITE.
 */
export async function saveVector(path: string, vector: SteeringVector): Promise<void> {
  const { layers, nSteps, width, data } = vector;
  if (!data.every(Number.isFinite)) throw new SteeringError("E_NOT_FINITE", `the vector for ${path} holds values that are not finite`);
  const tensors = new Map<string, Tensor>(layers.map((layer, index) => [
    `layer.${layer}`, { shape: [nSteps, width], data: data.subarray(index * nSteps * width, (index + 1) * nSteps * width) },
  ]));
  const metadata: z.infer<typeof metadataSchema> = {
    format: FORMAT, format_version: FORMAT_VERSION, operation: "add", hook_site: vector.site, layer_base: "0",
    provenance: JSON.stringify(vector.provenance),
  };
  await writeFileAtomic(path, encodeSafetensors({ tensors, metadata }));
}

/**
 * Read a vector file.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_VECTOR (not a vector file, truncated, other version), E_NOT_FINITE
 */
export async function loadVector(path: string): Promise<SteeringVector> {
  const { tensors, metadata } = decodeSafetensors(await readTensorFile(path, "vector"), path);
  const parsed = metadataSchema.safeParse(metadata);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new SteeringError("E_BAD_VECTOR", `${path} is not a vector of llama-steer: metadata ${issue.path.join(".")}: ${issue.message}`);
  }
  return { site: parsed.data.hook_site, ...joinLayers(tensors, path), provenance: parseProvenance(parsed.data.provenance, path) };
}

/** The bytes of a vector or probe file. Throws E_NOT_FOUND. */
export async function readTensorFile(path: string, kind: "vector" | "probe"): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    const reasons: Record<string, string> = { ENOENT: "does not exist", EISDIR: "is a directory", EACCES: "may not be read" };
    const code = (cause as NodeJS.ErrnoException).code ?? "";
    throw new SteeringError("E_NOT_FOUND", `${kind} file ${path} ${reasons[code] ?? `cannot be read (${code})`}`, { cause });
  }
}

function joinLayers(tensors: Map<string, Tensor>, path: string): Pick<SteeringVector, "layers" | "nSteps" | "width" | "data"> {
  const layers = [...tensors.keys()].map((key) => {
    const match = /^layer\.(0|[1-9]\d{0,8})$/.exec(key);
    if (!match) throw new SteeringError("E_BAD_VECTOR", `${path}: unexpected tensor "${key}"; layer.<index> was expected`);
    return Number(match[1]);
  }).sort((a, b) => a - b);
  const [nSteps, width] = tensors.get(`layer.${layers[0]}`)?.shape ?? [];
  if (!nSteps || !width) throw new SteeringError("E_BAD_VECTOR", `${path} holds no layer with values`);
  const data = new Float32Array(layers.length * nSteps * width);
  layers.forEach((layer, index) => {
    const tensor = tensors.get(`layer.${layer}`)!;
    if (tensor.shape.length !== 2 || tensor.shape[0] !== nSteps || tensor.shape[1] !== width) {
      throw new SteeringError("E_BAD_VECTOR", `${path}: layer ${layer} has shape [${tensor.shape.join(", ")}]; [${nSteps}, ${width}] was expected`);
    }
    data.set(tensor.data, index * nSteps * width);
  });
  if (!data.every(Number.isFinite)) throw new SteeringError("E_NOT_FINITE", `${path} holds values that are not finite`);
  return { layers, nSteps, width, data };
}

function parseProvenance(json: string, path: string): SteeringVector["provenance"] {
  try {
    return provenanceSchema.parse(JSON.parse(json));
  } catch (cause) {
    throw new SteeringError("E_BAD_VECTOR", `${path}: its provenance is incomplete`, { cause });
  }
}
