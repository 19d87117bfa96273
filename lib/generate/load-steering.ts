import { existsSync } from "node:fs";
import { loadProbe } from "../probe/index.js";
import type { WrittenSpec } from "../steering/index.js";
import { loadSteering as loadWith, SteeringVector, type LoadedSteering, type Readers } from "../vector/index.js";

const ENDING = ".safetensors";

/** Reads vectors and probes from their files. */
export const FILE_READERS: Readers = {
  vector: SteeringVector.load,
  async probe(name) {
    const path = existsSync(name) || !existsSync(name + ENDING) ? name : name + ENDING;
    return { probe: await loadProbe(path), path };
  },
};

/**
 * Load the vectors and probes of a steering specification: an object, a list of objects to compose, the shorthand of `--steer`
 * (`italian.safetensors:dyn,p=0.5`, with the strong alpha and the cap of its calibration; `italian.safetensors` alone for its calibrated
 * schedule), or the path of a JSON file of objects, in which paths are relative to that file. A probe's path may lack `.safetensors`.
 *
 * @throws SteeringError E_BAD_SPEC, E_NOT_FOUND, E_BAD_VECTOR, E_NOT_FINITE
 */
export function loadSteering(spec: string | WrittenSpec | readonly WrittenSpec[]): Promise<LoadedSteering[]> {
  return loadWith(spec, FILE_READERS);
}
