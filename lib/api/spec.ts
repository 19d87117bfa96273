/** The steering specification: one shape in the library, on the command line and in files. */
export { PAIR_TEMPLATES, POOLINGS } from "../experiment/extract-pairs.js";
export { HOOK_SITES, PAIR_METHODS, parseIndices, parseSchedule, parseSteer as parse, steeringJsonSchema as jsonSchema, steeringSpecSchema as schema } from "../steering/index.js";
