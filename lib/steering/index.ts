export {
  alphaAt, alphaSchema, klReductionSchema, parseSchedule, parseTail, scheduleSchema, type DynamicSchedule, type FunctionSchedule,
  type KlReduction, type Schedule, type ScheduleInput, type ScheduleSettings, type SetSchedule, type Tail, type WrittenSchedule,
} from "./schedule.js";
export * as schedule from "./schedules.js";
export type { DynamicSettings } from "./schedules.js";
export {
  parseIndices, parseSpecs, parseSteer, steeringJsonSchema, steeringSpecSchema, writtenSpecSchema, type SteeringSpec, type WrittenSpec,
} from "./spec.js";
