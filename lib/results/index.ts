export { LOCK_DOES, LOCK_NAME, readRun, RESULTS_FILE, RunStore, writeRun, type RunResults, type Timing } from "./store.js";
export { encodeRecord, waves, type ResultRecord } from "./records.js";
export { runsBelow } from "./folders.js";
export { MAX_PROMPTS, MAX_SETTINGS, MAX_VECTORS, readRunFile, runDifferences, runFile, runTitle, RUN_FILE, type RunFile, type RunSetting, type Shard } from "./run-file.js";
export { mergeRuns, planMerge, type Merge } from "./merge.js";
export { fromPublished, toPublished, unpublished, type PublishedResult } from "./published.js";
export { columnOf, evaluationHeader, evaluationRow, hitOf, withColumns, type Evaluation, type EvaluationHeader, type EvaluationRow, type EvaluationValue } from "./evaluations.js";
export { EvaluationStore } from "./evaluation-store.js";
export { distribution, hitMeasure, jointHit, judgesOf, pairedDifferences, summariseRun, type Distribution, type EvaluatedResults, type Measure, type PairedDifference, type PropertyResult, type SettingResult } from "./summary.js";
