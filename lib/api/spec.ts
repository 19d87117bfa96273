/** The steering specification: one shape in the library, on the command line and in files. */
import { parseIndices as readIndices, parseSchedule as readSchedule, parseSteer, steeringJsonSchema } from "../steering/index.js";
import * as given from "./arguments.js";
import { guarded } from "./guard.js";
export { PAIR_TEMPLATES, POOLINGS } from "../extract/pairs.js";
export { HOOK_SITES, PAIR_METHODS } from "../vector/index.js";
export { steeringSpecSchema as schema } from "../steering/index.js";

/** @function */
export const parseIndices = guarded("spec.parseIndices", readIndices, { text: given.text });
/** @function */
export const parseSchedule = guarded("spec.parseSchedule", readSchedule, { input: given.anything });
/** @function */
export const parse = guarded("spec.parse", parseSteer, { text: given.text });
/** @function */
export const jsonSchema = guarded("spec.jsonSchema", steeringJsonSchema, {});
