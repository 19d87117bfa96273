export type { CalibrateOptions, CalibratedKind, CalibrationBaseline, Candidate } from "./calibrate.js";
export { cheapest, KL_RANGE, valueOf } from "./candidates.js";
export { calibrateByKl, type KlCalibrationOptions } from "./by-kl.js";
export { measureKl, type KlPoint, type MeasureKlOptions } from "./measure-kl.js";
export { KL_BUDGET, KL_STATISTICS, type KlStatistic } from "./search.js";
export { LEAST_VARIETY } from "./variety.js";
export type { CostMeasure } from "./prompts.js";
