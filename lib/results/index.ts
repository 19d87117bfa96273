export { LOCK_DOES, LOCK_NAME, readRun, RESULTS_FILE, RunStore, writeRun, type RunResults, type Timing } from "./store.js";
export { encodeRecord, waves, type ResultRecord } from "./records.js";
export { readRunFile, runDifferences, runFile, RUN_FILE, type RunFile, type RunSetting, type Shard } from "./run-file.js";
export { mergeRuns, planMerge, type Merge } from "./merge.js";
export { fromPublished, toPublished, unpublished, type PublishedResult } from "./published.js";
export { summariseRun, type SettingResult } from "./summary.js";
