import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError } from "../errors.js";
import { writeFileAtomic, decodeSafetensors, encodeSafetensors, type Tensor } from "../formats/index.js";
import { HOOK_SITES, readTensorFile } from "../vector/index.js";
import { probeSchema, type Probe } from "./probe.js";

const FORMAT = "llama-steer-probe";
const FORMAT_VERSION = "1";
const WEIGHTS = "weights";

const metadataSchema = z.object({
  format: z.literal(FORMAT),
  format_version: z.literal(FORMAT_VERSION),
  hook_site: z.enum(HOOK_SITES),
  layer_base: z.literal("0"),
  probe: z.string(),
});

/** Save a probe as safetensors, atomically: a tensor `weights` of `[width]`, and the metadata. Throws E_WRITE, E_NOT_FINITE. */
export async function saveProbe(path: string, probe: Probe): Promise<void> {
  const { site, weights, ...rest } = probe;
  if (![...weights, probe.bias].every(Number.isFinite)) {
    throw new SteeringError("E_NOT_FINITE", `the probe for ${path} contains values that are not finite`);
  }
  const metadata: z.infer<typeof metadataSchema> = {
    format: FORMAT, format_version: FORMAT_VERSION, hook_site: site, layer_base: "0", probe: JSON.stringify(rest),
  };
  const tensors = new Map<string, Tensor>([[WEIGHTS, { shape: [weights.length], data: weights }]]);
  await writeFileAtomic(path, encodeSafetensors({ tensors, metadata }));
}

/**
 * Load a probe file.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_VECTOR (not a probe file, truncated, other version), E_NOT_FINITE
 */
export async function loadProbe(path: string): Promise<Probe> {
  return decodeProbe(await readTensorFile(path, "probe"), path);
}

/** Whether the metadata of a safetensors file says that it is a probe. */
export function isProbe(metadata: Readonly<Record<string, string>>): boolean {
  return metadata["format"] === FORMAT;
}

/** The probe in the bytes of a probe file. Throws E_BAD_VECTOR, E_NOT_FINITE. */
export function decodeProbe(bytes: Buffer, path: string): Probe {
  const { tensors, metadata } = decodeSafetensors(bytes, path);
  const { hook_site: site, probe } = parsedBy(metadataSchema, metadata, refusal(`${path} is not a probe of llama-steer: metadata`));
  const rest = parsedBy(probeSchema, parseJson(probe, path), refusal(`${path}: the probe's description is incomplete:`));
  const weights = tensors.get(WEIGHTS);
  if (!weights || tensors.size !== 1 || weights.shape.length !== 1 || weights.data.length === 0) {
    throw new SteeringError("E_BAD_VECTOR", `${path} has the wrong tensors; expected only "${WEIGHTS}", of one dimension`);
  }
  if (!weights.data.every(Number.isFinite)) throw new SteeringError("E_NOT_FINITE", `${path} contains values that are not finite`);
  const { nLayer } = rest.provenance.model;
  if (rest.layer >= nLayer) {
    throw new SteeringError("E_BAD_VECTOR", `${path} reads layer ${rest.layer}; the model that it names has 0 to ${nLayer - 1}`);
  }
  return { site, weights: weights.data, ...rest };
}

const refusal = (complaint: string) => (problem: string): SteeringError => new SteeringError("E_BAD_VECTOR", `${complaint} ${problem}`);

function parseJson(json: string, path: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new SteeringError("E_BAD_VECTOR", `${path}: the probe's description is not JSON`, { cause });
  }
}
