export { delta, type Delta, type StepMeans } from "./delta.js";
export { alphaAt, parseSchedule, parseTail, type DynamicSchedule, type KlReduction, type Schedule, type ScheduleInput, type SetSchedule, type Tail } from "./schedule.js";
export { parseSteer, steeringSpecSchema, type SteeringSpec } from "./spec.js";
export { assertMadeFor, directionIndex, norms, type DatasetReference, type HookSite, type ModelFingerprint, type Provenance, type SteeringVector } from "./vector.js";
