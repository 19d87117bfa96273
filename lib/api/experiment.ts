/** The paper's experiments, plans of them, and their report (docs/experiments.md). */
export { runSingle as single } from "../experiment/single.js";
export { runCompose as compose } from "../experiment/compose.js";
export { COMPOSE_DEFAULTS, SINGLE_DEFAULTS, STRATEGIES, STRATEGY_WORDS } from "../experiment/config.js";
export { loadPlan, modelFolder, planRuns, READY_PLANS } from "../experiment/plan.js";
export { checkPlan, runPlan as plan } from "../experiment/run-plan.js";
export { DEFAULT_PARALLEL } from "../experiment/run.js";
export { CALIBRATION_CANDIDATES } from "../experiment/calibrate.js";
export { compare, saveComparison, summarise } from "../experiment/compare.js";
export { writeReport as report } from "../report/index.js";
