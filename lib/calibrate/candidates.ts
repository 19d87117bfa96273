import { SteeringError } from "../errors.js";
import { parseSchedule, type WrittenSchedule } from "../steering/index.js";
import { strongAndCap } from "../vector/index.js";
import type { CalibratedKind, Candidate } from "./calibrate.js";
import { between, rounded } from "./search.js";

/** Values of p_top that a search begins with. */
export const FIRST_TOP_P: readonly number[] = [0.1, 0.3, 0.5, 0.7, 0.9];
/** Alphas that a search begins with, from where the vector hardly does anything to where it breaks the model down. */
const COARSE = 5;
/** Where a search by effect begins and ends: mean KL in nats per token. */
export const KL_RANGE = [0.05, 3] as const;
/** Start and Dim steer less than Fixed in all, so their search ends at this multiple. */
const FURTHER: Partial<Record<CalibratedKind, number>> = { start: 4, diminishing: 2 };

/** A schedule of this kind with one value: alpha, or p_top. `fixedAlpha`: as in `strongAndCap`. */
export function scheduleOf(kind: CalibratedKind, value: number, fixedAlpha: number | undefined): WrittenSchedule {
  if (kind !== "dynamic") return parseSchedule({ kind, alpha: value });
  return parseSchedule({ kind, topP: value, ...strongAndCap(fixedAlpha) });
}

/** Values to begin a search with, ascending. `range`: the alphas at which the KL is that of `KL_RANGE`. */
export function coarseValues(kind: CalibratedKind, range: readonly [number, number] | undefined): number[] {
  if (kind === "dynamic") return [...FIRST_TOP_P];
  const [low, high] = range!;
  const last = high * (FURTHER[kind] ?? 1);
  return [low, ...between(low, last, COARSE - 2), last].map(rounded);
}

/**
 * Values still to try, between those tried: on both sides of the best so far, and below the weakest that has the effect. The best is the
 * cheapest that has it, or else the one with the largest share.
 */
export function finerValues(kind: CalibratedKind, tried: readonly Candidate[], wanted: number): number[] {
  const sorted = weakestFirst(tried);
  const best = cheapest(sorted, wanted) ?? sorted.reduce((a, b) => (b.found > a.found ? b : a));
  const enough = sorted.findIndex(({ found }) => found >= wanted);
  const gaps = new Set([sorted.indexOf(best) - 1, sorted.indexOf(best), ...(enough > 0 ? [enough - 1] : [])]);
  return [...gaps].filter((gap) => gap >= 0 && gap + 1 < sorted.length).sort((a, b) => a - b).map((gap) => {
    const [one, other] = [valueOf(sorted[gap]!.schedule), valueOf(sorted[gap + 1]!.schedule)];
    return rounded(kind === "dynamic" ? (one + other) / 2 : Math.sqrt(one * other));
  });
}

/** The candidate with the lowest cost among those that have the effect often enough; the weakest if several are equal. */
export function cheapest(tried: readonly Candidate[], wanted: number): Candidate | undefined {
  const enough = weakestFirst(tried).filter(({ found, deltaPerplexity }) => found >= wanted && Number.isFinite(deltaPerplexity));
  return enough.reduce<Candidate | undefined>(
    (best, each) => (best && best.deltaPerplexity <= each.deltaPerplexity ? best : each), undefined);
}

/** Dyn divides its KL by the number of tokens in p_top, so it steers less the larger that is. */
function weakestFirst(tried: readonly Candidate[]): Candidate[] {
  const strength = ({ schedule }: Candidate): number => (schedule.kind === "dynamic" ? -1 : 1) * valueOf(schedule);
  return tried.toSorted((a, b) => strength(a) - strength(b));
}

/** Alpha, or p_top of Dyn. */
export function valueOf(schedule: WrittenSchedule): number {
  if (schedule.kind === "dynamic") return schedule.topP;
  if ("alpha" in schedule) return schedule.alpha;
  throw new SteeringError("E_BAD_ARGUMENT", "a recorded schedule has no single value");
}
