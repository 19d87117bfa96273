import type { VectorEntry } from "../../server/schemas/index.js";
import { DEFAULT_WINDOW, isScheduled, KINDS, type Column, type Row, type ScheduleKind, type Setting } from "./setting.js";

/** An entry of a request's `steering`; the server fills in the rest. */
export interface SteeringEntry {
  vector: string;
  layers?: number[];
  schedule: ScheduleInput;
}
export type ScheduleInput = Dynamic | { kind: "fixed" | "start" | "diminishing"; alpha: number }
  | { kind: "window"; alpha: number; from: number; to: number };

interface Dynamic {
  kind: "dynamic";
  topP: number;
  /** Where a calibration knows better than the defaults. */
  alphaMax?: number;
  strongAlpha?: number;
}

/** Alpha of a vector that nobody has measured. */
const UNCALIBRATED_ALPHA = 1;
const DEFAULT_TOP_P = 0.5;
/** alphaMax of a dynamic schedule, as lib/steering has it. */
export const DYNAMIC_MAX = 2;

/** The row that a vector has before anyone moves its slider: its calibrated schedule. */
export function defaultRow(entry: Pick<VectorEntry, "steering"> | undefined): Row {
  const schedule = entry?.steering?.schedule;
  return {
    on: true,
    alpha: schedule && "alpha" in schedule ? schedule.alpha : UNCALIBRATED_ALPHA,
    topP: schedule?.kind === "dynamic" ? schedule.topP : DEFAULT_TOP_P,
    ...(schedule?.kind === "window" ? { from: schedule.from, to: schedule.to } : { from: 0, to: DEFAULT_WINDOW }),
  };
}

/** In a column of fixed alphas, a vector that was calibrated in another way has that way. */
export function rowOf(column: Column, id: string, entry?: Pick<VectorEntry, "steering">): Row {
  const row = column.rows[id] ?? defaultRow(entry);
  const calibrated = KINDS.filter(isScheduled).find((kind) => kind === entry?.steering?.schedule.kind);
  const isOwn = calibrated === undefined || calibrated === "dynamic";
  return isOwn || column.kind !== "fixed" || column.rows[id] !== undefined ? row : { ...row, kind: calibrated };
}

/** How a row is scheduled, or "none" where the column adds nothing or the row is off. */
export const kindOf = ({ kind }: Column, row: Row): ScheduleKind | "none" => (isScheduled(kind) && row.on ? row.kind ?? kind : "none");

export function scheduleOf(kind: ScheduleKind, row: Row, entry?: Pick<VectorEntry, "dynamic">): ScheduleInput {
  if (kind === "dynamic") return { kind, topP: row.topP, ...entry?.dynamic };
  return kind === "window" ? { kind, alpha: row.alpha, from: row.from, to: row.to } : { kind, alpha: row.alpha };
}

/** What a column adds, one entry per vector that is on, with the vector's id. */
export function steeringOf(
  { uses, columns }: Pick<Setting, "uses" | "columns">, index: number, entries: ReadonlyMap<string, VectorEntry>,
): SteeringEntry[] {
  const column = columns[index]!;
  return uses.flatMap(({ id, layers }) => {
    const entry = entries.get(id);
    const row = rowOf(column, id, entry);
    const kind = kindOf(column, row);
    if (kind === "none" || entry === undefined) return [];
    const chosen = parseLayers(layers);
    return [{ vector: id, ...(Array.isArray(chosen) && { layers: chosen }), schedule: scheduleOf(kind, row, entry) }];
  });
}

/** "all", or numbers and ranges joined by "+" or ",", e.g. "4-9+12"; undefined if the text is neither. */
export function parseLayers(text: string): number[] | "all" | undefined {
  const written = text.trim();
  if (written === "" || written === "all") return "all";
  const layers: number[] = [];
  for (const part of written.split(/[+,]/)) {
    const range = /^\s*(\d{1,4})\s*(?:[-–]\s*(\d{1,4}))?\s*$/.exec(part);
    const [from, to] = [Number(range?.[1]), Number(range?.[2] ?? range?.[1])];
    if (range === null || to < from) return undefined;
    for (let layer = from; layer <= to; layer++) layers.push(layer);
  }
  return layers;
}

/** Layers as the shorthand writes them: [4, 5, 6, 12] → "4-6+12". */
export function layersText(layers: readonly number[]): string {
  const runs: Array<[number, number]> = [];
  for (const layer of layers) {
    const last = runs.at(-1);
    if (last !== undefined && layer === last[1] + 1) last[1] = layer;
    else runs.push([layer, layer]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join("+");
}

const WORDS = { fixed: "fixed", start: "start", diminishing: "dim", window: "window", dynamic: "dyn" } as const;

/** An entry in the shorthand of `--steer`, with `name` for the vector. */
export function shorthand({ layers, schedule }: SteeringEntry, name: string): string {
  const value = schedule.kind === "dynamic" ? dynamicText(schedule) : schedule.alpha;
  const window = schedule.kind === "window" ? `,from=${schedule.from},to=${schedule.to}` : "";
  return `${name}:${WORDS[schedule.kind]},${value}${window}${layers ? `,layers=${layersText(layers)}` : ""}`;
}

function dynamicText({ topP, alphaMax, strongAlpha }: Dynamic): string {
  return `p=${topP}${alphaMax === undefined ? "" : `,max=${alphaMax}`}${strongAlpha === undefined ? "" : `,strong=${strongAlpha}`}`;
}

/** The largest alpha that the columns can have: full shading. At least 1, so that a weak setting looks weak. */
export function fullAlpha({ uses, columns }: Pick<Setting, "uses" | "columns">, entries: ReadonlyMap<string, VectorEntry>): number {
  const sums = columns.map((_, index) => steeringOf({ uses, columns }, index, entries)
    .reduce((sum, { schedule }) => sum + largest(schedule), 0));
  return Math.max(1, ...sums);
}

const largest = (schedule: ScheduleInput): number =>
  (schedule.kind === "dynamic" ? schedule.alphaMax ?? DYNAMIC_MAX : Math.abs(schedule.alpha));

/** A short name: "Cheerful" for the package's `qwen2.5-coder-1.5b-cheerful`, the wanted side of "formal vs informal" for others. */
export function titleOf(entry: Pick<VectorEntry, "property" | "source"> | undefined, id: string): string {
  const name = entry === undefined || entry.source === "gallery" ? id.split("-").at(-1)! : entry.property.split(" vs ")[0]!.trim() || id;
  return name.charAt(0).toUpperCase() + name.slice(1);
}
