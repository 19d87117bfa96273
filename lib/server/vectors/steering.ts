import type { Engine } from "../../engine/index.js";
import { canonicalSpec, LiveSteering, type Steering } from "../../generate/index.js";
import { SHORTHAND_HELP, steerText, type SteeringSpec } from "../../steering/index.js";
import { readSteering, type LoadedSteering } from "../../vector/index.js";
import { HttpError, httpErrorOf } from "../http/errors.js";
import type { SteeringInput } from "../schemas/index.js";
import type { Shelf } from "./shelf.js";

/**
 * Loads what a request says of steering, and tries whether the model takes it, so that nothing is refused later. Throws 404 (unknown
 * vector), E_BAD_SPEC, E_MODEL_MISMATCH, E_SHAPE, E_NO_SITE, E_NOT_FINITE.
 */
export async function steeringsOf(
  shelf: Shelf, input: SteeringInput | null | undefined, model: Engine,
): Promise<LoadedSteering[]> {
  const all = input === null || input === undefined ? [] : Array.isArray(input) ? input : [input];
  return Promise.all(all.map(async (spec) => {
    try {
      const loaded = await readSteering(spec, {
        vector: (id) => shelf.vector(id), probe: async (id) => ({ probe: await shelf.probe(id) }), stated: (id) => shelf.stated(id),
      });
      await new LiveSteering(loaded).load(model);
      return loaded;
    } catch (error) {
      throw inWords(error);
    }
  }));
}

/** The canonical specification, with ids; `alphas`, if given, replace the schedule. */
export function specOf(shelf: Shelf, steering: Steering, alphas?: readonly number[]): SteeringSpec {
  return withIds(shelf, canonicalSpec(steering, alphas), steering);
}

/** Names a steering's vector and probe by their ids. */
export function withIds(shelf: Shelf, { gate, ...spec }: SteeringSpec, steering: Pick<Steering, "vector" | "gate">): SteeringSpec {
  const probe = gate && steering.gate ? { gate: { ...gate, probe: shelf.idOf(steering.gate.probe) } } : {};
  return { ...spec, ...probe, vector: shelf.idOf(steering.vector) };
}

/** As `--steer` would take it; null if the shorthand cannot express it. */
export function shorthandOf(spec: SteeringSpec): string | null {
  return steerText(spec) ?? null;
}

/** A refusal that names the field and the server's documentation; the command line's messages name its option and its help. */
function inWords(error: unknown): unknown {
  const { status, message, code, retryAfter } = httpErrorOf(error);
  if (status >= 500) return error;
  const inField = message.replace(/^--steer /, "steering ").replace(SHORTHAND_HELP, "docs/server.md explains the notation");
  return new HttpError(status, inField, { code, param: "steering", retryAfter, cause: error });
}
