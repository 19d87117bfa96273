/** The steering specification, which has the same shape in the library, on the command line and in files. */
import { given, guarded } from "../guard/index.js";
import { parseSchedule as readSchedule } from "./schedule.js";
import { parseIndices as readIndices, parseSteer, steeringJsonSchema } from "./spec.js";
export { steeringSpecSchema as schema } from "./spec.js";

/** @function */
export const parse = guarded("spec.parse", parseSteer, { text: given.text });
/** @function */
export const parseIndices = guarded("spec.parseIndices", readIndices, { text: given.text });
/** @function */
export const parseSchedule = guarded("spec.parseSchedule", readSchedule, { input: given.anything });
/** @function */
export const jsonSchema = guarded("spec.jsonSchema", steeringJsonSchema, {});
