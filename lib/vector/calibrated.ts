import type { DynamicSchedule, WrittenSchedule } from "../steering/index.js";
import type { Calibration, Provenance } from "./provenance.js";

/** What is known of a vector's strength: its calibration, or the schedule that its gallery states. */
export type KnownStrength = Calibration | { by: "gallery"; schedule: WrittenSchedule };

/** The calibration in the file knows more than a gallery. */
export function knownStrength(
  { calibration }: Pick<Provenance, "calibration">, stated: WrittenSchedule | undefined,
): KnownStrength | undefined {
  return calibration ?? (stated && { by: "gallery", schedule: stated });
}

/** The fixed alpha that a calibration found, or that the schedule it found began from; undefined for other schedules. */
export function fixedAlphaOf(calibration: KnownStrength | undefined): number | undefined {
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
export function dynamicSettings(calibration: KnownStrength | undefined): Partial<DynamicSchedule> {
  if (calibration?.schedule.kind === "dynamic") return calibration.schedule;
  return strongAndCap(fixedAlphaOf(calibration), calibration?.by === "description" ? FROM_WORDS : PUBLISHED);
}

/** Fills in what a calibration knows of a schedule's settings, for those that are not given: Dyn's, and the largest alpha of a budget. */
export function withCalibrated<Given extends WrittenSchedule>(
  schedule: Given, calibration: KnownStrength | undefined, given: Partial<WrittenSchedule>,
): Given {
  if (schedule.kind !== "dynamic" && schedule.kind !== "budget") return schedule;
  const { alphaMax, ...others } = dynamicSettings(calibration);
  return { ...schedule, ...(schedule.kind === "dynamic" && others), ...(alphaMax !== undefined && { alphaMax }), ...given };
}

/** At twice the measured alpha, vectors from words begin to break answers down (docs/measured.md). */
const FAR = 3;
/** How much larger the alpha of a schedule is than that of Fixed for the same effect: Start acts once, Dim half as much in all. */
const LARGER: Partial<Record<WrittenSchedule["kind"], number>> = { start: 4, diminishing: 2 };

/** A line for the user of a vector who steers with far more than the alpha that was measured for it; undefined otherwise. */
export function strengthNotice(name: string, known: KnownStrength | undefined, schedule: WrittenSchedule): string | undefined {
  const [asked, measured] = [largest(schedule), known && usual(known, schedule.kind)];
  if (asked === undefined || !measured || asked <= FAR * measured) return undefined;
  const times = (asked / measured).toPrecision(2);
  const [usually, word] = [Number(measured.toPrecision(2)), known?.by === "gallery" ? "stated" : "measured"];
  return `${name} steers with up to ${asked}, ${Number(times)} times the ${word} ${usually}; `
    + `answers may break down. Leave out the schedule to use the ${word} one`;
}

/** The largest alpha that a schedule can give; undefined for a recording. */
function largest(schedule: WrittenSchedule): number | undefined {
  if (schedule.kind === "dynamic" || schedule.kind === "budget") return schedule.alphaMax;
  return "alpha" in schedule ? Math.abs(schedule.alpha) : undefined;
}

/** The same of the calibrated schedule, or one that is about as strong. */
function usual(calibration: KnownStrength, kind: WrittenSchedule["kind"]): number | undefined {
  if (calibration.schedule.kind === kind) return largest(calibration.schedule);
  if (kind === "dynamic" || kind === "budget") return dynamicSettings(calibration).alphaMax;
  // At every token, a vector does not bear more than in a window.
  const alpha = fixedAlphaOf(calibration) ?? (calibration.schedule.kind === "window" ? calibration.schedule.alpha : undefined);
  return alpha === undefined ? undefined : Math.abs(alpha) * (LARGER[kind] ?? 1);
}
