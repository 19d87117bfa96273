import { SteeringError } from "../../errors.js";
import { canonicalSpec, type Steering } from "../../generate/index.js";
import { scheduleText, writtenOperation, type SteeringSpec } from "../../steering/index.js";
import { assertMadeFor, readSteering, type LoadedSteering, type ModelFingerprint } from "../../vector/index.js";
import { HttpError } from "../http/errors.js";
import type { SteeringInput } from "../schemas/index.js";
import type { Shelf } from "./shelf.js";

/** Loads what a request says of steering. Throws 404 (unknown vector), E_BAD_SPEC, E_MODEL_MISMATCH. */
export async function steeringsOf(
  shelf: Shelf, input: SteeringInput | null | undefined, model: ModelFingerprint,
): Promise<LoadedSteering[]> {
  const all = input === null || input === undefined ? [] : Array.isArray(input) ? input : [input];
  return Promise.all(all.map(async (spec) => {
    const loaded = await readSteering(await shelf.scheduled(spec), (id) => shelf.vector(id))
      .catch((error: unknown) => { throw inWords(error); });
    assertMadeFor(loaded.vector, model);
    return loaded;
  }));
}

/** The canonical specification, with the vector's id; `alphas`, if given, replace the schedule. */
export function specOf(shelf: Shelf, steering: Steering, alphas?: readonly number[]): SteeringSpec {
  return { ...canonicalSpec(steering, alphas), vector: shelf.idOf(steering.vector) };
}

/** As `--steer` would take it; null if the shorthand cannot express it. */
export function shorthandOf({ vector, schedule, layers, heads, tail, phases, ...operation }: SteeringSpec): string | null {
  const text = scheduleText(schedule);
  if (text === undefined) return null;
  const list = (name: string, indices: readonly number[] | "all"): string[] => (indices === "all" ? [] : [`${name}=${indices.join("+")}`]);
  const { operator, keepNorm } = writtenOperation(operation);
  const isUsual = phases.length === 1 && phases[0] === "answer";
  return [
    `${vector}:${text}`, ...list("layers", layers), ...list("heads", heads), ...(tail === "mean" ? [] : [`tail=${tail}`]),
    ...(isUsual ? [] : [`on=${phases.join("+")}`]), ...(operator ? [`op=${operator}`] : []), ...(keepNorm ? ["norm=keep"] : []),
  ].join(",");
}

/** The command line's messages name its option. */
function inWords(error: unknown): unknown {
  if (error instanceof HttpError) return new HttpError(error.status, error.message, { code: error.code, param: "steering" });
  if (!(error instanceof SteeringError)) return error;
  return new SteeringError(error.code, error.message.replace(/^--steer /, "steering "), { cause: error });
}
