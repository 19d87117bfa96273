import { existsSync, statSync } from "node:fs";
import { findReady, statedSchedule } from "../lib/gallery/index.js";
import { FILE_READERS } from "../lib/generate/index.js";
import type { LoadedSteering, Model } from "../lib/index.js";
import { parseSteer, scheduleStart } from "../lib/steering/index.js";
import { loadSteering } from "../lib/vector/index.js";

/** What `--steer` says, complete once the model is known. */
export type Steerer = (model: Model) => Promise<LoadedSteering[]>;

/** The name of a gallery's vector, as the gallery's own schema has it. */
const NAME = /^[a-z0-9][a-z0-9.-]*$/;
/** A ready-made vector has its strength in the gallery, whether it is named by name or by path. */
const READERS = { ...FILE_READERS, stated: statedSchedule };

/**
 * Reads `--steer`: a steering file, a vector file, or the name of a ready-made vector, each vector with or without a schedule. All that
 * can be refused without the model is refused at once. Throws what `loadSteering` and `findReady` throw, as does the result.
 */
export async function readSteer(spec: string): Promise<Steerer> {
  const { vector, schedule } = partsOf(spec);
  if (isName(spec, vector)) {
    if (schedule !== undefined) parseSteer(spec);
    const find = await findReady(vector);
    return async (model) => {
      const path = await find(await model.fingerprint());
      return loadSteering(schedule === undefined ? path : `${path}:${schedule}`, READERS);
    };
  }
  const loaded = await loadSteering(spec, READERS);
  return async () => loaded;
}

/** Reads `--steer` for a model that is loaded. Throws what `readSteer` and its result throw. */
export async function steeringsOf(spec: string, model: Model): Promise<LoadedSteering[]> {
  return (await readSteer(spec))(model);
}

/** Where the schedule begins, unless the whole is a file. */
function partsOf(spec: string): { vector: string; schedule: string | undefined } {
  const begin = scheduleStart(spec);
  const colon = isFile(spec) ? -1 : begin > 0 ? begin : spec.lastIndexOf(":");
  return colon <= 0 ? { vector: spec, schedule: undefined } : { vector: spec.slice(0, colon), schedule: spec.slice(colon + 1) };
}

function isName(spec: string, vector: string): boolean {
  return NAME.test(vector) && !/\.(safetensors|json)$/.test(vector) && !isFile(spec) && !isFile(vector);
}

/** A file or a pipe. A folder, such as one of vectors, does not hide a name. */
function isFile(path: string): boolean {
  return existsSync(path) && !statSync(path).isDirectory();
}
