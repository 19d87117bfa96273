/** A run's folder: reading, summing up, merging, the published schema. */
export { fromPublished, hitMeasure, hitOf, jointHit, judgesOf, mergeRuns as merge, pairedDifferences, planMerge, readPublished, readRun as read, runsBelow as below, runTitle as title, summariseRun as summarise, toPublished, unpublished, withColumns, writeRun as write } from "../results/index.js";
