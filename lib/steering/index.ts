export { cosines, linearCombination, normalised, pooled, projectOut, selected, vectorHash, type WeightedVector } from "../vector/algebra.js";
export { delta, type Delta, type StepMeans } from "../vector/delta.js";
export { alphaAt, alphaSchema, klReductionSchema, parseSchedule, parseTail, scheduleSchema, type DynamicSchedule, type FunctionSchedule, type KlReduction, type Schedule, type ScheduleInput, type ScheduleSettings, type SetSchedule, type Tail, type WrittenSchedule } from "./schedule.js";
export * as schedule from "./schedules.js";
export type { DynamicSettings } from "./schedules.js";
export { probeLogit, type Probe, type ProbeLayer, type ProbeMetrics, type ProbeProvenance } from "../probe/probe.js";
export { parseIndices, parseSpecs, parseSteer, steeringJsonSchema, steeringSpecSchema, writtenSpecSchema, type SteeringSpec, type WrittenSpec } from "./spec.js";
export { select, type Selection } from "../vector/selection.js";
export { assertMadeFor, directionIndex, HOOK_SITES, norms, PAIR_METHODS, type Calibration, type DatasetReference, type DerivedOrigin, type HookSite, type IclOrigin, type ImportedOrigin, type ModelFingerprint, type PairMethod, type PairsOrigin, type Provenance, type VectorData } from "../vector/vector.js";
