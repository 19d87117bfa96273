/** Vector files of other programs, both ways; whether a vector belongs to a model. */
import { assertMadeFor as checkMadeFor } from "../vector/index.js";
import * as interchange from "../vector/interchange.js";
import * as given from "./arguments.js";
import { guarded } from "./guard.js";

/** @function */
export const assertMadeFor = guarded("vectors.assertMadeFor", checkMadeFor, { vector: given.madeFor, model: given.fingerprint, allowMismatch: given.flag.optional(), kind: given.text.optional() });
/** @function */
export const exportControlVector = guarded("vectors.exportControlVector", interchange.exportControlVector, { vector: given.vector, alpha: given.number.optional() });
/** @function */
export const exportPublished = guarded("vectors.exportPublished", interchange.exportPublished, { vector: given.vector, format: given.tensorFormat });
/** @function */
export const importControlVector = guarded("vectors.importControlVector", interchange.importControlVector, { bytes: given.bytes, options: given.importing });
/** @function */
export const importPublished = guarded("vectors.importPublished", interchange.importPublished, { bytes: given.bytes, options: given.importing });
