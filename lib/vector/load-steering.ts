import { existsSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { SteeringError } from "../errors.js";
import { parseJson, readUtf8 } from "../formats/index.js";
import { checkPhases, parseSpecs, parseSteer, type SteeringSpec, type WrittenSpec } from "../steering/index.js";
import { SteeringVector } from "./steering-vector.js";

/** Enough for thousands of specifications; a handful is typical. */
const MAX_SPEC_BYTES = 2 ** 20;

/** A specification with its vector loaded. */
export type LoadedSteering = Omit<SteeringSpec, "vector"> & { vector: SteeringVector };

/**
 * Load the vectors of a steering specification: an object, a list of objects to compose, the shorthand of `--steer`
 * (`italian.safetensors:dyn,p=0.5`; `italian.safetensors` alone for its calibrated schedule), or the path of a JSON file of
 * objects, in which vector paths are relative to that file.
 *
 * @throws SteeringError E_BAD_SPEC, E_NOT_FOUND, E_BAD_VECTOR, E_NOT_FINITE
 */
export async function loadSteering(spec: string | WrittenSpec | readonly WrittenSpec[]): Promise<LoadedSteering[]> {
  if (typeof spec !== "string") return Promise.all(parseSpecs(spec, "steer").map((each) => load(each)));
  if (/\.safetensors$/.test(spec) && !existsSync(spec)) throw new SteeringError("E_NOT_FOUND", `vector file ${spec} does not exist`);
  if (!spec.endsWith(".json")) {
    const whole = { layers: "all" as const, heads: "all" as const, tail: "mean" as const, phases: ["answer" as const] };
    return [await load(existsSync(spec) ? { ...whole, vector: spec } : parseSteer(spec))];
  }
  const specs = parseSpecs(parseJson(await readUtf8(spec, "E_BAD_SPEC", MAX_SPEC_BYTES), spec, "E_BAD_SPEC"), spec);
  const pathOf = (vector: string): string => (isAbsolute(vector) ? vector : join(dirname(spec), vector));
  return Promise.all(specs.map((each) => load({ ...each, vector: pathOf(each.vector) })));
}

type Unscheduled = Omit<SteeringSpec, "schedule"> & { schedule?: SteeringSpec["schedule"] | undefined };

async function load({ vector: path, schedule, ...how }: Unscheduled): Promise<LoadedSteering> {
  const vector = await SteeringVector.load(path);
  const found = schedule ?? vector.provenance.calibration?.schedule;
  if (!found) throw new SteeringError("E_BAD_SPEC", `${path} is not calibrated; give a schedule, e.g. ${path}:fixed,1, or calibrate it`);
  checkPhases(how.phases, found);
  return { ...how, vector, schedule: found };
}
