import type { DynamicSchedule } from "../steering/index.js";
import type { Calibration } from "./provenance.js";

/** The fixed alpha that a calibration found, or that the schedule it found began from; undefined for other schedules. */
export function fixedAlphaOf(calibration: Calibration | undefined): number | undefined {
  if (calibration?.by === "description") return calibration.spending;
  return calibration?.schedule.kind === "fixed" ? calibration.schedule.alpha : undefined;
}

/**
 * Dyn's `strongAlpha` and `alphaMax` for a vector whose useful fixed alpha is known: twice that, as the paper's 2 is twice its useful
 * alpha of 1. Empty if unknown.
 */
export function strongAndCap(fixedAlpha: number | undefined): Partial<Pick<DynamicSchedule, "strongAlpha" | "alphaMax">> {
  return fixedAlpha === undefined ? {} : { strongAlpha: 2 * fixedAlpha, alphaMax: 2 * Math.abs(fixedAlpha) };
}

/** Settings of Dyn that a calibration knows better than the defaults: all of a dynamic one, strong and cap of a fixed one. */
export function dynamicSettings(calibration: Calibration | undefined): Partial<DynamicSchedule> {
  return calibration?.schedule.kind === "dynamic" ? calibration.schedule : strongAndCap(fixedAlphaOf(calibration));
}
