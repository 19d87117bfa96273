/** The steering specification: one shape in the library, on the command line and in files. */
export { HOOK_SITES, parseIndices, parseSchedule, parseSteer as parse, steeringJsonSchema as jsonSchema, steeringSpecSchema as schema } from "../steering/index.js";
