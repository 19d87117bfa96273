export { delta, type Delta, type StepMeans } from "./delta.js";
export { alphaAt, parseSchedule, type DynamicSchedule, type KlReduction, type Schedule, type ScheduleInput, type SetSchedule } from "./schedule.js";
export { parseSteer, steeringSpecSchema, type SteeringSpec } from "./spec.js";
export { assertMadeFor, directionIndex, norms, type DatasetReference, type HookSite, type ModelFingerprint, type Provenance, type SteeringVector, type Tail } from "./vector.js";
