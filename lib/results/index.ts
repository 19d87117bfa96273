export { EvaluationStore } from "./evaluation-store.js";
export {
  columnOf, evaluationHeader, evaluationRow, evaluationSchema, hitOf, withColumns, type Evaluation, type EvaluationHeader,
  type EvaluationRow, type EvaluationValue,
} from "./evaluations.js";
export { runsBelow } from "./folders.js";
export { interference, type Interference } from "./interference.js";
export { mergeRuns, planMerge, type Merge } from "./merge.js";
export { plannedEvaluator, plannedProperties, probePairs, unjudged, type PlannedProperty, type Sides } from "./planned-judges.js";
export { readPublished } from "./published-file.js";
export { fromPublished, toPublished, unpublished, type PublishedResult } from "./published.js";
export { encodeRecord, judgedText, readRecords, recordSchema, waves, type ResultRecord } from "./records.js";
export {
  fluencyOf, outcomeMean, outcomesOf, SCORE, scoreOf, unsteeredLabel, type Outcome, type ScoreParts,
} from "./outcomes.js";
export {
  MAX_PROMPTS, MAX_SETTINGS, MAX_VECTORS, RUN_FILE, readRunFile, runDifferences, runFile, runSchema, runTitle, type RunFile,
  type RunSetting, type Shard,
} from "./run-file.js";
export {
  LOCK_DOES, LOCK_NAME, RESULTS_FILE, RunStore, begunRun, readRun, writeRun, type ReadRunOptions, type RunResults, type Timing,
} from "./store.js";
export {
  distribution, hitMeasure, jointHit, judgeAgreement, judgesOf, pairedDifferences, summariseRun, withoutComparisons, type Distribution,
  type EvaluatedResults, type JudgeAgreement, type Measure, type PairedDifference, type PropertyResult, type SettingResult,
} from "./summary.js";
