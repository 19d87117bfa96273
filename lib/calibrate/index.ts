export type { CalibrateOptions, CalibratedKind, Candidate } from "./calibrate.js";
export { CALIBRATION_CANDIDATES } from "./calibrate.js";
export { measureKl, type KlPoint, type MeasureKlOptions } from "./measure-kl.js";
