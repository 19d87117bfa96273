/** Ready-made vectors: read galleries, get vectors from them, and publish your own. */
import { checked, given } from "../arguments/index.js";
import { readGallery } from "./gallery.js";
import { packVectors, type PackedVector } from "./pack.js";
import { pullVector, type PullVectorOptions } from "./pull.js";

/** @function */
export const read = checked("gallery.read", readGallery, { source: given.path.optional(), signal: given.signal.optional() });
/** @function */
export const pull = checked("gallery.pull", pullVector, {
  name: given.text, options: given.optionsOf<PullVectorOptions>({ gallery: given.path, ...given.stops }),
});
const packed = given.requiredOf<PackedVector>({
  vector: given.path, name: given.text, modelName: given.text, schedule: given.anObject.optional(), description: given.text.optional(),
  licence: given.text.optional(), sample: given.required({ question: given.text, unsteered: given.text, steered: given.text }),
});
/** @function */
export const pack = checked("gallery.pack", packVectors, { folder: given.path, vectors: given.list(packed, 1) });
