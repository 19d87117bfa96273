export {
  KINDS, STRATEGIES, STRATEGY_WORDS, alphaSchema, klReductionSchema, strategySchema, type KlReduction, type Strategy,
  type StrategyLabel,
} from "./schedule-kinds.js";
export { gateSchema, parseGateRule, type FullGateRule, type GateRule, type GateSpec } from "./gate.js";
export { checkConditions, checkPhases, parsePhases, type SteeredPhase } from "./phases.js";
export { isSelected, onlySchema, parseOnly, readsText, type Only, type TextSoFar } from "./selectors.js";
export {
  alphaAt, isDynamic, isMeasured, parseSchedule, parseTail, scheduleSchema, type BudgetSchedule, type DynamicSchedule,
  type FunctionSchedule,
  type MeasuredSchedule, type Schedule, type ScheduleInput, type ScheduleSettings, type SetSchedule, type Tail, type WrittenSchedule,
} from "./schedule.js";
export { checkOperator, parseOperation, writtenOperation, type Operation, type Operator } from "./operators.js";
export * as schedule from "./schedules.js";
export type { BudgetSettings, DynamicSettings } from "./schedules.js";
export {
  SHORTHAND_HELP, givenSettings, isShorthand, parseIndices, parseSpecs, parseSteer, scheduleStart, scheduleText, steerText,
  steeringJsonSchema, steeringSpecSchema, writtenSpecSchema, type SteeringSpec, type WrittenSpec,
} from "./spec.js";
