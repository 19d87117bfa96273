/** A run's folder: reading, summing up, merging, the published schema. */
import * as all from "../results/index.js";
import * as given from "./arguments.js";
import { guarded } from "./guard.js";

/** @function */
export const fromPublished = guarded("results.fromPublished", all.fromPublished, { json: given.anything, path: given.path });
/** @function */
export const hitMeasure = guarded("results.hitMeasure", all.hitMeasure, { judged: given.evaluations });
/** @function */
export const hitOf = guarded("results.hitOf", all.hitOf, { evaluation: given.evaluationHead, index: given.number });
/** @function */
export const jointHit = guarded("results.jointHit", all.jointHit, { judged: given.list(given.evaluationHead), index: given.number });
/** @function */
export const judgesOf = guarded("results.judgesOf", all.judgesOf, { evaluations: given.evaluations });
/** @function */
export const merge = guarded("results.merge", all.mergeRuns, { out: given.path, folders: given.list(given.path), options: given.options({ signal: given.signal }) });
/** @function */
export const pairedDifferences = guarded("results.pairedDifferences", all.pairedDifferences, { results: given.results, reference: given.text, measure: given.callback });
/** @function */
export const planMerge = guarded("results.planMerge", all.planMerge, { out: given.path, folders: given.list(given.path), options: given.options({ signal: given.signal }) });
/** @function */
export const readPublished = guarded("results.readPublished", all.readPublished, { path: given.path, options: given.options({ signal: given.signal }) });
/** @function */
export const read = guarded("results.read", all.readRun, { folder: given.path, options: given.options({ signal: given.signal }) });
/** @function */
export const below = guarded("results.below", all.runsBelow, { folder: given.path });
/** @function */
export const title = guarded("results.title", all.runTitle, { run: given.run });
/** @function */
export const summarise = guarded("results.summarise", all.summariseRun, { results: given.results });
/** @function */
export const toPublished = guarded("results.toPublished", all.toPublished, { run: given.run, records: given.records });
/** @function */
export const unpublished = guarded("results.unpublished", all.unpublished, { run: given.run });
/** @function */
export const withColumns = guarded("results.withColumns", all.withColumns, { records: given.records, evaluations: given.evaluations });
/** @function */
export const write = guarded("results.write", all.writeRun, { folder: given.path, run: given.run, records: given.records });
