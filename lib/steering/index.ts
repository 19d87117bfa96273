export {
  KINDS, STRATEGIES, STRATEGY_WORDS, alphaSchema, klReductionSchema, strategySchema, type KlReduction, type Strategy,
  type StrategyLabel,
} from "./schedule-kinds.js";
export { checkPhases, parsePhases, type SteeredPhase } from "./phases.js";
export {
  alphaAt, parseSchedule, parseTail, scheduleSchema, type DynamicSchedule, type FunctionSchedule, type Schedule, type ScheduleInput,
  type ScheduleSettings, type SetSchedule, type Tail, type WrittenSchedule,
} from "./schedule.js";
export * as schedule from "./schedules.js";
export type { DynamicSettings } from "./schedules.js";
export {
  givenSettings, parseIndices, parseSpecs, parseSteer, scheduleText, steeringJsonSchema, steeringSpecSchema, writtenSpecSchema,
  type SteeringSpec,
  type WrittenSpec,
} from "./spec.js";
