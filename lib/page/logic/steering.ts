import type { VectorEntry } from "../../server/schemas/index.js";
import type { How } from "./how.js";
import {
  DEFAULT_NATS, DEFAULT_WINDOW, isScheduled, KINDS, type Column, type Row, type ScheduleKind, type Setting, type Use,
} from "./setting.js";
import { parseLayers } from "./shorthand.js";

/** An entry of a request's `steering`; the server fills in the rest. */
export interface SteeringEntry extends How {
  vector: string;
  layers?: number[];
  schedule: ScheduleInput;
}
export type ScheduleInput = Dynamic | Budget | { kind: "fixed" | "start" | "diminishing"; alpha: number }
  | { kind: "window"; alpha: number; from: number; to: number };

/** Its alphas are there where something knows better than the defaults. */
interface Dynamic {
  kind: "dynamic";
  topP: number;
  alphaMax?: number;
  strongAlpha?: number;
}
interface Budget {
  kind: "budget";
  nats: number;
  alphaMax?: number;
  per?: "answer";
}

/** Alpha of a vector that nobody has measured. */
const UNCALIBRATED_ALPHA = 1;
/** An ablation with this alpha removes all of the vector's direction. */
const WHOLE_ALPHA = 1;
const DEFAULT_TOP_P = 0.5;
/** alphaMax of the schedules that measure, as lib/steering has it. */
export const MEASURED_MAX = 2;

type Known = Pick<VectorEntry, "steering" | "dynamic">;

/** The row that a vector has before anyone moves its slider: its calibrated schedule, which was measured for adding. */
export function defaultRow(entry: Pick<Known, "steering"> | undefined, { operator }: How = {}): Row {
  const schedule = entry?.steering?.schedule;
  const alpha = schedule && "alpha" in schedule ? schedule.alpha : UNCALIBRATED_ALPHA;
  return {
    on: true, alpha: operator === "ablate" ? WHOLE_ALPHA : alpha, topP: schedule?.kind === "dynamic" ? schedule.topP : DEFAULT_TOP_P,
    ...(schedule?.kind === "window" ? { from: schedule.from, to: schedule.to } : { from: 0, to: DEFAULT_WINDOW }),
    ...(schedule?.kind === "budget" && operator !== "ablate" && { alphaMax: schedule.alphaMax }),
    ...(schedule?.kind === "budget" ? { nats: schedule.nats, per: schedule.per } : { nats: DEFAULT_NATS.token, per: "token" as const }),
  };
}

/** How a column steers with a vector, if it does. */
export interface Part {
  isOn: boolean;
  row: Row;
  kind: ScheduleKind;
  how: How;
}

/**
 * In a column of fixed alphas, a vector that was calibrated in another way has that way. A clamp, whose alpha no schedule can measure,
 * has a fixed one.
 */
export function partOf(column: Column, use: Use, entry?: Pick<Known, "steering">): Part {
  const set = column.rows[use.id] ?? {};
  const how = set.isPlain ? {} : use.how ?? {};
  const row = { ...defaultRow(entry, how), ...(set.per && { nats: DEFAULT_NATS[set.per] }), ...set };
  const calibrated = KINDS.filter(isScheduled).find((kind) => kind === entry?.steering?.schedule.kind);
  const hasWay = column.kind === "fixed" && how.operator === undefined && calibrated !== undefined && calibrated !== "dynamic";
  const kind = row.kind ?? (hasWay ? calibrated : isScheduled(column.kind) ? column.kind : "fixed");
  return { isOn: row.on && isScheduled(column.kind), row, how, kind: fitting(kind, how) };
}

/** The kind, or a fixed alpha if a vector that is used like this cannot have it. */
const fitting = (kind: ScheduleKind, { operator }: How): ScheduleKind =>
  (operator === "clamp" && (kind === "dynamic" || kind === "budget") ? "fixed" : kind);

/** The kinds that a vector can have, used like this. */
export const kindsFor = (how: How): ScheduleKind[] => KINDS.filter(isScheduled).filter((kind) => fitting(kind, how) === kind);

/** The largest alpha that makes sense for a vector, if that is known. */
export function knownMax(entry: Pick<Known, "dynamic"> | undefined, { operator }: How): number | undefined {
  return operator === "ablate" ? WHOLE_ALPHA : entry?.dynamic?.alphaMax;
}

export function scheduleOf(wanted: ScheduleKind, row: Row, how: How, entry?: Pick<Known, "dynamic">): ScheduleInput {
  const [kind, known] = [fitting(wanted, how), knownMax(entry, how)];
  if (kind === "dynamic") {
    const strong = how.operator === "ablate" ? WHOLE_ALPHA : entry?.dynamic?.strongAlpha;
    return { kind, topP: row.topP, ...(known !== undefined && { alphaMax: known }), ...(strong !== undefined && { strongAlpha: strong }) };
  }
  if (kind === "budget") {
    const max = row.alphaMax ?? known;
    return { kind, nats: row.nats, ...(max !== undefined && { alphaMax: max }), ...(row.per === "answer" && { per: row.per }) };
  }
  const { alpha, from, to } = row;
  return kind === "window" ? { kind, alpha, from, to: Math.max(from + 1, to) } : { kind, alpha };
}

/** What a column adds, one entry per vector that is on, with the vector's id. */
export function steeringOf(
  { uses, columns }: Pick<Setting, "uses" | "columns">, index: number, entries: ReadonlyMap<string, VectorEntry>,
): SteeringEntry[] {
  return uses.flatMap((use) => {
    const entry = entries.get(use.id);
    const { isOn, row, kind, how } = partOf(columns[index]!, use, entry);
    return !isOn || entry === undefined ? [] : [entryOf(use, how, scheduleOf(kind, row, how, entry))];
  });
}

/** A use with a schedule, as requests have it. */
export function entryOf({ id, layers }: Use, how: How, schedule: ScheduleInput): SteeringEntry {
  const chosen = parseLayers(layers);
  return { vector: id, ...(Array.isArray(chosen) && { layers: chosen }), schedule, ...how };
}

/** The largest alpha that the columns can have: full shading. At least 1, so that a weak setting looks weak. */
export function fullAlpha({ uses, columns }: Pick<Setting, "uses" | "columns">, entries: ReadonlyMap<string, VectorEntry>): number {
  const sums = columns.map((_, index) => steeringOf({ uses, columns }, index, entries)
    .reduce((sum, { schedule }) => sum + largest(schedule), 0));
  return Math.max(1, ...sums);
}

const largest = (schedule: ScheduleInput): number => ("alpha" in schedule ? Math.abs(schedule.alpha) : schedule.alphaMax ?? MEASURED_MAX);

/** A short name: "Cheerful" for the package's `qwen2.5-coder-1.5b-cheerful`, the wanted side of "formal vs informal" for others. */
export function titleOf(entry: Pick<VectorEntry, "property" | "source"> | undefined, id: string): string {
  const name = entry === undefined || entry.source === "gallery" ? id.split("-").at(-1)! : entry.property.split(" vs ")[0]!.trim() || id;
  return name.charAt(0).toUpperCase() + name.slice(1);
}
