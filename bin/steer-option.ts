import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { findReady, galleryFiles, type ReadyVector } from "../lib/gallery/index.js";
import { loadSteering, type LoadedSteering, type Model } from "../lib/index.js";
import { parseSteer, scheduleStart } from "../lib/steering/index.js";

/** What `--steer` says, complete once the model is known. */
export type Steerer = (model: Model) => Promise<LoadedSteering[]>;

/** The name of a gallery's vector, as the gallery's own schema has it. */
const NAME = /^[a-z0-9][a-z0-9.-]*$/;

/**
 * Reads `--steer`: a steering file, a vector file, or the name of a ready-made vector, each vector with or without a schedule. All that
 * can be refused without the model is refused at once. Throws what `loadSteering` and `findReady` throw, as does the result.
 */
export async function readSteer(spec: string): Promise<Steerer> {
  const { vector, schedule } = partsOf(spec);
  if (isName(spec, vector)) {
    if (schedule !== undefined) parseSteer(spec);
    const find = await findReady(vector);
    return async (model) => loadReady(await find(await model.fingerprint()), schedule);
  }
  const loaded = await loadFile(spec, vector, schedule);
  return async () => loaded;
}

/** Reads `--steer` for a model that is loaded. Throws what `readSteer` and its result throw. */
export async function steeringsOf(spec: string, model: Model): Promise<LoadedSteering[]> {
  return (await readSteer(spec))(model);
}

/** Where the schedule begins, unless the whole is a file. */
function partsOf(spec: string): { vector: string; schedule: string | undefined } {
  const begin = scheduleStart(spec);
  const colon = existsSync(spec) ? -1 : begin > 0 ? begin : spec.lastIndexOf(":");
  return colon <= 0 ? { vector: spec, schedule: undefined } : { vector: spec.slice(0, colon), schedule: spec.slice(colon + 1) };
}

function isName(spec: string, vector: string): boolean {
  return NAME.test(vector) && !/\.(safetensors|json)$/.test(vector) && !existsSync(spec) && !existsSync(vector);
}

/** A vector of the package that is not calibrated has its strength in the gallery, whether it is named by name or by path. */
async function loadFile(spec: string, vector: string, schedule: string | undefined): Promise<LoadedSteering[]> {
  if (schedule !== undefined || !spec.endsWith(".safetensors")) return loadSteering(spec);
  const own = (await galleryFiles()).find(({ path }) => path === resolve(vector));
  return own ? loadReady({ path: spec, schedule: own.entry.schedule }, undefined) : loadSteering(spec);
}

function loadReady({ path, schedule: measured }: ReadyVector, schedule: string | undefined): Promise<LoadedSteering[]> {
  if (schedule !== undefined) return loadSteering(`${path}:${schedule}`);
  return measured ? loadSteering({ vector: path, schedule: measured }) : loadSteering(path);
}
