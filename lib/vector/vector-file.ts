import { z } from "zod";
import { SteeringError } from "../errors.js";
import {
  MAX_SAFETENSORS_BYTES, decodeSafetensors, encodeSafetensors, integerList, listOf, readFileUpTo, writeFileAtomic, type Tensor,
} from "../formats/index.js";
import { scheduleSchema } from "../steering/index.js";
import { HOOK_SITES, PAIR_METHODS, type VectorData } from "./vector.js";

const FORMAT = "llama-steer-vector";
const FORMAT_VERSION = "2";
/** The deepest models have a few hundred. */
export const MAX_LAYERS = 100_000;
/** Vectors that one is derived from. */
const MAX_PARTS = 100_000;

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
const iclSchema = z.object({
  kind: z.literal("icl"),
  positive: datasetSchema,
  negative: datasetSchema,
  iclExamples: z.number().int(),
  support: z.number().int(),
  seed: z.number().int().nullable(),
  supportIndices: integerList,
  maxNewTokens: z.number().int().optional(),
  promptFormat: z.enum(["clean", "published"]).optional(),
  promptsHash: z.string(),
});
const pairsSchema = z.object({
  kind: z.literal("pairs"),
  method: z.enum(PAIR_METHODS),
  positive: datasetSchema,
  negative: datasetSchema,
  template: z.enum(["question", "chat", "none"]),
  pooling: z.enum(["mean", "last", "step"]),
  nPairs: z.number().int(),
  layerScores: listOf(z.object({ layer: z.number().int(), accuracy: z.number(), auc: z.number() }), MAX_LAYERS).optional(),
  seed: z.number().int(),
  promptsHash: z.string(),
});
const derivedSchema = z.object({
  kind: z.literal("derived"),
  expression: z.string(),
  from: listOf(z.object({ property: z.string(), hash: z.string() }), MAX_PARTS),
});
const importedSchema = z.object({
  kind: z.literal("imported"),
  format: z.enum(["control-vector", "published"]),
  file: z.string(),
  hash: z.string(),
});
const calibrationSchema = z.object({
  schedule: scheduleSchema,
  effect: z.string(),
  wanted: z.number(),
  found: z.number(),
  deltaPerplexity: z.number(),
  n: z.number().int(),
  questions: datasetSchema,
});
const provenanceSchema = z.object({
  property: z.string(),
  origin: z.discriminatedUnion("kind", [iclSchema, pairsSchema, derivedSchema, importedSchema]),
  calibration: calibrationSchema.optional(),
  model: fingerprintSchema,
  madeBy: z.string(),
});
/** Format version 1 knew one origin, and wrote it beside the rest. */
const provenanceOf1 = z.object({ property: z.string(), model: fingerprintSchema, madeBy: z.string(), ...iclSchema.omit({ kind: true }).shape })
  .transform(({ property, model, madeBy, ...origin }) => ({ property, model, madeBy, origin: { kind: "icl" as const, ...origin } }));
const metadataSchema = z.object({
  format: z.literal(FORMAT),
  format_version: z.enum(["1", FORMAT_VERSION]),
  operation: z.literal("add"),
  hook_site: z.enum(HOOK_SITES),
  layer_base: z.literal("0"),
  provenance: z.string(),
});

/**
 * Write a vector as safetensors, atomically: tensor `layer.<il>` of `[nSteps, width]` per layer, and its metadata.
 * Throws E_WRITE, E_NOT_FINITE.
 */
export async function saveVector(path: string, vector: VectorData): Promise<void> {
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
export async function loadVector(path: string): Promise<VectorData> {
  const { tensors, metadata } = decodeSafetensors(await readTensorFile(path, "vector"), path);
  const parsed = metadataSchema.safeParse(metadata);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new SteeringError("E_BAD_VECTOR", `${path} is not a vector of llama-steer: metadata ${issue.path.join(".")}: ${issue.message}`);
  }
  const vector = { site: parsed.data.hook_site, ...joinLayers(tensors, path), provenance: parseProvenance(parsed.data, path) };
  assertFits(vector, path);
  return vector;
}

/** Throws E_BAD_VECTOR unless the directions fit the model that the file says it was made with. */
function assertFits({ site, layers, width, provenance: { model } }: VectorData, path: string): void {
  const wrongLayer = layers.find((layer) => layer >= model.nLayer);
  if (wrongLayer !== undefined) throw new SteeringError("E_BAD_VECTOR", `${path} has a layer ${wrongLayer}; the model that it names has 0 to ${model.nLayer - 1}`);
  const fits = site === "head_out" ? width % model.nHead === 0 : width === model.nEmbd;
  if (!fits) throw new SteeringError("E_BAD_VECTOR", `${path} has directions of width ${width} at ${site}; the model that it names has ${site === "head_out" ? `${model.nHead} heads` : `nEmbd ${model.nEmbd}`}`);
}

/** The bytes of a vector or probe file. Throws E_NOT_FOUND, E_BAD_VECTOR (it is too large). */
export async function readTensorFile(path: string, kind: "vector" | "probe"): Promise<Buffer> {
  return readFileUpTo(path, "E_BAD_VECTOR", MAX_SAFETENSORS_BYTES, `${kind} file ${path}`);
}

function joinLayers(tensors: Map<string, Tensor>, path: string): Pick<VectorData, "layers" | "nSteps" | "width" | "data"> {
  const layers = [...tensors.keys()].map((key) => {
    const match = /^layer\.(0|[1-9]\d{0,8})$/.exec(key);
    if (!match) throw new SteeringError("E_BAD_VECTOR", `${path}: unexpected tensor "${key}"; layer.<index> was expected`);
    return Number(match[1]);
  }).sort((a, b) => a - b);
  const [nSteps, width] = tensors.get(`layer.${layers[0]}`)?.shape ?? [];
  if (!nSteps || !width) throw new SteeringError("E_BAD_VECTOR", `${path} holds no layer with values`);
  for (const layer of layers) {
    const { shape } = tensors.get(`layer.${layer}`)!;
    if (shape.length !== 2 || shape[0] !== nSteps || shape[1] !== width) {
      throw new SteeringError("E_BAD_VECTOR", `${path}: layer ${layer} has shape [${shape.join(", ")}]; [${nSteps}, ${width}] was expected`);
    }
  }
  const data = new Float32Array(layers.length * nSteps * width);
  layers.forEach((layer, index) => data.set(tensors.get(`layer.${layer}`)!.data, index * nSteps * width));
  if (!data.every(Number.isFinite)) throw new SteeringError("E_NOT_FINITE", `${path} holds values that are not finite`);
  return { layers, nSteps, width, data };
}

function parseProvenance({ format_version: version, provenance }: z.infer<typeof metadataSchema>, path: string): VectorData["provenance"] {
  try {
    return (version === "1" ? provenanceOf1 : provenanceSchema).parse(JSON.parse(provenance));
  } catch (cause) {
    throw new SteeringError("E_BAD_VECTOR", `${path}: its provenance is incomplete`, { cause });
  }
}
