/** Import and export vector files of other programs; check whether a vector belongs to a model. */
import { z } from "zod";
import { given, checked, checkMethods } from "../arguments/index.js";
import { fingerprintArgument, howToAddArgument, vectorArgument } from "./arguments.js";
import * as interchange from "./interchange.js";
import type { Selection } from "./selection.js";
import { SteeringVector } from "./steering-vector.js";
import { assertMadeFor as checkMadeFor } from "./vector.js";

export { HOOK_SITES, PAIR_METHODS } from "./index.js";

const importing = given.requiredOf<interchange.ImportOptions>({
  name: given.path, model: fingerprintArgument, dHead: given.whole.optional(), property: given.text.optional(),
  onNotice: given.callback.optional(),
});

/** @function */
export const assertMadeFor = checked("vectors.assertMadeFor", checkMadeFor, {
  vector: given.required({ provenance: given.required({ model: fingerprintArgument, property: given.text }) }),
  model: fingerprintArgument, allowMismatch: given.flag.optional(), kind: given.text.optional(),
});
/** @function */
export const exportControlVector = checked("vectors.exportControlVector", interchange.exportControlVector, {
  vector: vectorArgument, alpha: given.number.optional(),
});
/** @function */
export const exportPublished = checked("vectors.exportPublished", interchange.exportPublished, {
  vector: vectorArgument, format: z.enum(["npy", "safetensors"]),
});
/** @function */
export const importControlVector = checked("vectors.importControlVector", interchange.importControlVector, {
  bytes: given.bytes, options: importing,
});
/** @function */
export const importPublished = checked("vectors.importPublished", interchange.importPublished, {
  bytes: given.bytes, options: importing,
});

checkMethods("SteeringVector", SteeringVector, {
  load: { path: given.path },
  sum: { parts: given.list(given.required({ vector: vectorArgument, factor: given.number })) },
  mean: { vectors: given.list(vectorArgument) },
});
checkMethods("vector", SteeringVector.prototype, {
  save: { path: given.path },
  add: { other: vectorArgument },
  subtract: { other: vectorArgument },
  scale: { factor: given.number },
  projectOut: { other: vectorArgument },
  select: { selection: given.requiredOf<Selection>({ layers: given.indices.optional(), heads: given.indices.optional() }) },
  with: { schedule: given.anything, options: howToAddArgument },
  cosine: { other: vectorArgument },
});
