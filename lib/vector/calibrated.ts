import type { DynamicSchedule, WrittenSchedule } from "../steering/index.js";
import type { Calibration } from "./provenance.js";

/** The fixed alpha that a calibration found, or that the schedule it found began from; undefined for other schedules. */
export function fixedAlphaOf(calibration: Calibration | undefined): number | undefined {
  if (calibration?.by === "description") return calibration.spending;
  return calibration?.schedule.kind === "fixed" ? calibration.schedule.alpha : undefined;
}

/** The paper's strong alpha and cap, 2, are twice its useful alpha. */
const PUBLISHED = 2;
/** Measured: at twice their alpha, vectors from words break answers down (docs/measured.md). */
const FROM_WORDS = 1.4;

/** Dyn's `strongAlpha` and `alphaMax` for a vector whose useful fixed alpha is known: `factor` times that. Empty if unknown. */
export function strongAndCap(
  fixedAlpha: number | undefined, factor = PUBLISHED,
): Partial<Pick<DynamicSchedule, "strongAlpha" | "alphaMax">> {
  return fixedAlpha === undefined ? {} : { strongAlpha: factor * fixedAlpha, alphaMax: factor * Math.abs(fixedAlpha) };
}

/** Settings of Dyn that a calibration knows better than the defaults: all of a dynamic one, strong and cap of a fixed one. */
export function dynamicSettings(calibration: Calibration | undefined): Partial<DynamicSchedule> {
  if (calibration?.schedule.kind === "dynamic") return calibration.schedule;
  return strongAndCap(fixedAlphaOf(calibration), calibration?.by === "description" ? FROM_WORDS : PUBLISHED);
}

/** Fills in what a calibration knows of a schedule's settings, for those that are not given: Dyn's, and the largest alpha of a budget. */
export function withCalibrated<Given extends WrittenSchedule>(
  schedule: Given, calibration: Calibration | undefined, given: Partial<WrittenSchedule>,
): Given {
  if (schedule.kind !== "dynamic" && schedule.kind !== "budget") return schedule;
  const { alphaMax, ...others } = dynamicSettings(calibration);
  return { ...schedule, ...(schedule.kind === "dynamic" && others), ...(alphaMax !== undefined && { alphaMax }), ...given };
}
