/** The paper's experiments, plans of them, and their report (docs/experiments.md). */
import { compare as compareSettings, saveComparison as save, summarise as sumUp } from "../calibrate/compare.js";
import { runCompose } from "../experiment/compose.js";
import { loadPlan as readPlan, modelFolder as folderOf, planRuns as runsOf } from "../experiment/plan.js";
import { checkPlan as check, runPlan } from "../experiment/run-plan.js";
import { runSingle } from "../experiment/single.js";
import { writeReport } from "../report/index.js";
import * as given from "./arguments.js";
import { guarded } from "./guard.js";
export { CALIBRATION_CANDIDATES } from "../calibrate/calibrate.js";
export { COMPOSE_DEFAULTS, SINGLE_DEFAULTS, STRATEGIES, STRATEGY_WORDS } from "../experiment/config.js";
export { READY_PLANS } from "../experiment/plan.js";
export { DEFAULT_PARALLEL } from "../experiment/run.js";

/** @function */
export const single = guarded("experiment.single", runSingle, { model: given.model, options: given.anObject, runOptions: given.placing });
/** @function */
export const compose = guarded("experiment.compose", runCompose, { model: given.model, options: given.anObject, runOptions: given.placing });
/** @function */
export const loadPlan = guarded("experiment.loadPlan", readPlan, { nameOrPath: given.path, options: given.options({ signal: given.signal }) });
/** @function */
export const modelFolder = guarded("experiment.modelFolder", folderOf, { model: given.text });
/** @function */
export const planRuns = guarded("experiment.planRuns", runsOf, { plan: given.plan });
/** @function */
export const checkPlan = guarded("experiment.checkPlan", check, { plan: given.plan, datasets: given.path.optional(), options: given.options({ signal: given.signal }) });
/** @function */
export const plan = guarded("experiment.plan", runPlan, { plan: given.plan, options: given.planning });
/** @function */
export const compare = guarded("experiment.compare", compareSettings, { model: given.model, questions: given.list(given.text), settings: given.list(given.required({ label: given.text, steer: given.steer })), options: given.comparing });
/** @function */
export const saveComparison = guarded("experiment.saveComparison", save, { path: given.path, comparison: given.comparison });
/** @function */
export const summarise = guarded("experiment.summarise", sumUp, { answers: given.answers, language: given.text });
/** @function */
export const report = guarded("experiment.report", writeReport, { runs: given.list(given.path), options: given.reporting });
