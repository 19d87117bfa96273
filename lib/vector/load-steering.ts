import { existsSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { SteeringError } from "../errors.js";
import { parseJson, readUtf8 } from "../formats/index.js";
import {
  checkConditions, checkOperator, checkPhases, givenSettings, isShorthand, parseSpecs, parseSteer, type SteeringSpec,
  type WrittenSchedule, type WrittenSpec,
} from "../steering/index.js";
import { knownStrength, withCalibrated } from "./calibrated.js";
import { parseGate, type FullGate, type GateProbe } from "./gate.js";
import { SteeringVector } from "./steering-vector.js";

/** Enough for thousands of specifications; a handful is typical. */
const MAX_SPEC_BYTES = 2 ** 20;

/** All of a vector, on answers. */
const WHOLE: Omit<SteeringSpec, "vector" | "schedule"> = { layers: "all", heads: "all", tail: "mean", phases: ["answer"] };

/** A specification with its vector and its gate's probe loaded. */
export type LoadedSteering = Omit<SteeringSpec, "vector" | "gate"> & {
  vector: SteeringVector;
  gate?: FullGate | undefined;
};

/** How to get the vectors and probes that a specification names; `path` is where the probe was found. */
export interface Readers {
  vector(name: string): Promise<SteeringVector>;
  probe(name: string): Promise<{ probe: GateProbe; path?: string }>;
  /** The schedule that a gallery states for a vector; it need not be in the file. */
  stated?(name: string): Promise<WrittenSchedule | undefined>;
}

/**
 * Load the files of a steering specification: an object, a list of objects to compose, the shorthand of `--steer`
 * (`italian.safetensors:dyn,p=0.5`, with the strong alpha and the cap of its calibration; `italian.safetensors` alone for its calibrated
 * schedule), or the path of a JSON file of objects, in which paths are relative to that file.
 *
 * @throws SteeringError E_BAD_SPEC, E_NOT_FOUND, E_BAD_VECTOR, E_NOT_FINITE
 */
export async function loadSteering(spec: string | WrittenSpec | readonly WrittenSpec[], read: Readers): Promise<LoadedSteering[]> {
  if (typeof spec !== "string") return Promise.all(parseSpecs(spec, "steer").map((each) => load(each, read)));
  if (/\.safetensors$/.test(spec) && !isShorthand(spec) && !existsSync(spec)) {
    throw new SteeringError("E_NOT_FOUND", `vector file ${spec} does not exist`);
  }
  if (!spec.endsWith(".json")) {
    if (existsSync(spec)) return [await load({ ...WHOLE, vector: spec }, read)];
    return [await loadShorthand(spec, read)];
  }
  const specs = parseSpecs(parseJson(await readUtf8(spec, "E_BAD_SPEC", MAX_SPEC_BYTES), spec, "E_BAD_SPEC"), spec);
  const pathOf = (file: string): string => (isAbsolute(file) ? file : join(dirname(spec), file));
  return Promise.all(specs.map(({ gate, ...each }) => load(
    { ...each, vector: pathOf(each.vector), ...(gate && { gate: { ...gate, probe: pathOf(gate.probe) } }) }, read,
  )));
}

/**
 * Load a specification, or the shorthand of one, whose vectors and probes are names that `read` knows instead of paths: no file is opened
 * here.
 *
 * @throws SteeringError E_BAD_SPEC, and what `read` throws
 */
export async function readSteering(spec: string | WrittenSpec, read: Readers): Promise<LoadedSteering> {
  if (typeof spec !== "string") return load(parseSpecs(spec, "steering")[0]!, read);
  if (!spec.includes(":")) return load({ ...WHOLE, vector: spec }, read);
  return loadShorthand(spec, read);
}

/** Fills in what the file's calibration or the gallery knows better than the defaults of the shorthand `text`. */
async function loadShorthand(text: string, read: Readers): Promise<LoadedSteering> {
  const spec = parseSteer(text);
  const loaded = await load(spec, read);
  const known = knownStrength(loaded.vector.provenance, await read.stated?.(spec.vector));
  return { ...loaded, schedule: withCalibrated(loaded.schedule, known, givenSettings(text)) };
}

type Unscheduled = Omit<SteeringSpec, "schedule"> & { schedule?: SteeringSpec["schedule"] | undefined };

async function load({ vector: path, schedule, gate, ...how }: Unscheduled, read: Readers): Promise<LoadedSteering> {
  const vector = await read.vector(path);
  const found = schedule ?? await read.stated?.(path) ?? vector.provenance.calibration?.schedule;
  if (!found) {
    throw new SteeringError("E_BAD_SPEC", `${path} is not calibrated, so it needs a schedule, e.g. ${path}:fixed,1. To measure one: `
      + `llama-steer calibrate MODEL ${path}; for a ready-made vector, llama-steer vectors show NAME has it`);
  }
  checkPhases(how.phases, found);
  checkConditions({ ...how, gate });
  checkOperator(how, found);
  return { ...how, vector, schedule: found, ...(gate && { gate: parseGate({ ...gate, ...await read.probe(gate.probe) })! }) };
}
