/** The steering specification, which has the same shape in the library, on the command line and in files. */
import { given, checked } from "../arguments/index.js";
import { parseSchedule as readSchedule } from "./schedule.js";
import { parseIndices as readIndices, parseSteer, steeringJsonSchema } from "./spec.js";
export { steeringSpecSchema as schema } from "./spec.js";

/** @function */
export const parse = checked("spec.parse", parseSteer, { text: given.text });
/** @function */
export const parseIndices = checked("spec.parseIndices", readIndices, { text: given.text });
/** @function */
export const parseSchedule = checked("spec.parseSchedule", readSchedule, { input: given.anything });
/** @function */
export const jsonSchema = checked("spec.jsonSchema", steeringJsonSchema, {});
