import { existsSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { SteeringError } from "../errors.js";
import { parseJson, readUtf8 } from "../formats/index.js";
import { parseSpecs, parseSteer, type SteeringSpec, type WrittenSpec } from "../steering/index.js";
import { SteeringVector } from "./steering-vector.js";

/** Room for thousands of specifications; a model is steered by a handful. */
const MAX_SPEC_BYTES = 2 ** 20;

/** A specification with its vector read. */
export type LoadedSteering = Omit<SteeringSpec, "vector"> & { vector: SteeringVector };

/**
 * Read the vectors of a specification: an object, a list of them that are composed, the shorthand of `--steer`
 * (`italian.safetensors:dyn,p=0.5`; `italian.safetensors` alone for its calibrated schedule), or the path of a JSON file
 * that holds objects; there, vectors lie relative to the file.
 *
 * @throws SteeringError E_BAD_SPEC, E_NOT_FOUND, E_BAD_VECTOR, E_NOT_FINITE
 */
export async function loadSteering(spec: string | WrittenSpec | readonly WrittenSpec[]): Promise<LoadedSteering[]> {
  if (typeof spec !== "string") return Promise.all(parseSpecs(spec, "steer").map((each) => load(each)));
  if (/\.safetensors$/.test(spec) && !existsSync(spec)) throw new SteeringError("E_NOT_FOUND", `vector file ${spec} does not exist`);
  if (!spec.endsWith(".json")) return [await load(existsSync(spec) ? { vector: spec, layers: "all", heads: "all", tail: "mean" } : parseSteer(spec))];
  const specs = parseSpecs(parseJson(await readUtf8(spec, "E_BAD_SPEC", MAX_SPEC_BYTES), spec, "E_BAD_SPEC"), spec);
  return Promise.all(specs.map((each) => load({ ...each, vector: isAbsolute(each.vector) ? each.vector : join(dirname(spec), each.vector) })));
}

async function load({ vector: path, schedule, ...how }: Omit<SteeringSpec, "schedule"> & { schedule?: SteeringSpec["schedule"] | undefined }): Promise<LoadedSteering> {
  const vector = await SteeringVector.load(path);
  const found = schedule ?? vector.provenance.calibration?.schedule;
  if (!found) throw new SteeringError("E_BAD_SPEC", `${path} is not calibrated: say how strongly to add it, e.g. ${path}:fixed,1, or calibrate it`);
  return { ...how, vector, schedule: found };
}
