/** Run folders: the configuration and one line per answer. Merging, summaries, the published format. */
import { given, checked } from "../arguments/index.js";
import { evaluationSchema } from "./evaluations.js";
import { runsBelow } from "./folders.js";
import { interference as interferenceOf } from "./interference.js";
import * as merging from "./merge.js";
import { readPublished as readPublishedFile } from "./published-file.js";
import { outcomeMean as meanOfOutcome, outcomesOf as outcomesOfRun } from "./outcomes.js";
import * as published from "./published.js";
import { recordSchema } from "./records.js";
import { runSchema } from "./run-file.js";
import { readRun, writeRun, type ReadRunOptions } from "./store.js";
import * as summary from "./summary.js";
import { withColumns as columnsOf } from "./evaluations.js";

const records = given.list(recordSchema);
const evaluations = given.list(evaluationSchema);
const results = given.required({ run: runSchema, records, evaluations });
/** For functions that are called once per answer: does not validate every row. */
const evaluation = given.required({
  header: given.required({ evaluator: given.text }),
  rows: given.a("a list of rows", Array.isArray),
});
const reading = given.optionsOf<ReadRunOptions>({ signal: given.signal });
const merged = { out: given.path, folders: given.list(given.path), options: reading };

/** @function */
export const read = checked("results.read", readRun, { folder: given.path, options: reading });
/** @function */
export const write = checked("results.write", writeRun, { folder: given.path, run: runSchema, records });
/** @function */
export const below = checked("results.below", runsBelow, { folder: given.path });
/** @function */
export const merge = checked("results.merge", merging.mergeRuns, merged);
/** @function */
export const planMerge = checked("results.planMerge", merging.planMerge, merged);
/** @function */
export const summarise = checked("results.summarise", summary.summariseRun, { results });
/** @function */
export const hitMeasure = checked("results.hitMeasure", summary.hitMeasure, { judged: evaluations });
/** @function */
export const jointHit = checked("results.jointHit", summary.jointHit, { judged: given.list(evaluation), index: given.number });
/** @function */
export const interference = checked("results.interference", interferenceOf, { results });
/** @function */
export const outcomes = checked("results.outcomes", outcomesOfRun, { results });
/** @function */
export const outcomeMean = checked("results.outcomeMean", meanOfOutcome, {
  results: given.required({ records: given.a("a list of records", Array.isArray) }),
  outcome: given.required({ name: given.text, measure: given.callback }), setting: given.text,
});
/** @function */
export const judgeAgreement = checked("results.judgeAgreement", summary.judgeAgreement, { evaluations });
/** @function */
export const pairedDifferences = checked("results.pairedDifferences", summary.pairedDifferences, {
  results, reference: given.text, measure: given.callback,
});
/** @function */
export const withColumns = checked("results.withColumns", columnsOf, { records, evaluations });
/** @function */
export const fromPublished = checked("results.fromPublished", published.fromPublished, { json: given.anything, path: given.path });
/** @function */
export const toPublished = checked("results.toPublished", published.toPublished, { run: runSchema, records });
/** @function */
export const readPublished = checked("results.readPublished", readPublishedFile, { path: given.path, options: reading });
