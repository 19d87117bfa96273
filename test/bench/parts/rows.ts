import type { VectorData } from "../../../lib/index.js";
import { textRows } from "./rows-of-texts.js";
import { startRows } from "./rows-of-starts.js";
import type { Measured } from "./rounds.js";
import { DYNAMIC, FIXED, type Load, type Subject } from "./subject.js";

/** A row of the table. */
export interface Row {
  name: string;
  label: string;
  /** Rows of one group are measured in the same rounds. */
  group: string;
  unit: "tokens/s" | "rows/s" | "texts/s" | "ms" | "MB";
  /** Names of rows of the same group that it is compared with. */
  against: string[];
  /** Bars from the issues, by the row that it is compared with: the least ratio. */
  bars?: Record<string, number>;
  /** Only for others to be compared with. */
  isHidden?: boolean;
  /** Dyn: the number of properties, whose bound is printed. */
  dyn?: { properties: number };
  /** Sequences and cells per token that it needs. */
  sequences: number;
  /** How many properties' vectors it needs; default none. */
  vectors?: number;
  measure: (subject: Subject, round: number) => Promise<Measured>;
}

const AT_ONCE = [1, 8, 32];
const PROPERTIES = [1, 2, 3];

/** All rows, in the order of the table. */
export function allRows(): Row[] {
  return [...AT_ONCE.flatMap(generationRows), ...textRows(), ...startRows()];
}

/** The names that begin with one of `only`, or all; and what these rows are compared with. */
export function chosenRows(only: readonly string[]): Row[] {
  const rows = allRows();
  for (const start of only) {
    if (!rows.some(({ name }) => name.startsWith(start))) throw new Error(`--only ${start}: no row is called so (--list prints all names)`);
  }
  const chosen = new Set(rows.filter((row) => !row.isHidden && (only.length === 0 || only.some((start) => row.name.startsWith(start)))));
  for (const row of chosen) { // it grows meanwhile
    for (const other of rows) if (row.against.includes(other.name)) chosen.add(other);
  }
  return rows.filter((row) => chosen.has(row));
}

function generationRows(atOnce: number): Row[] {
  const unsteered = `unsteered@${atOnce}`;
  const base = { group: `${atOnce} at once`, unit: "tokens/s" as const, sequences: atOnce };
  const of = (load: Omit<Load, "atOnce">) => (subject: Subject, round: number): Promise<Measured> =>
    subject.generate({ atOnce, ...load }, round);
  const rows: Row[] = [
    {
      ...base, name: `plain@${atOnce}`, label: "plain llama_decode loop in C++", against: [],
      measure: (subject, round) => subject.plainGenerate(atOnce, round),
    },
    { ...base, name: unsteered, label: "unsteered", against: [`plain@${atOnce}`], bars: { [`plain@${atOnce}`]: 0.97 }, measure: of({}) },
    ...[1, 3].map((n): Row => ({
      ...base, name: `fixed${n}@${atOnce}`, label: `Fixed, ${n === 1 ? "1 vector" : `${n} vectors`}`, against: [unsteered],
      bars: { [unsteered]: 0.97 }, vectors: n,
      measure: (subject, round) => of({ steer: () => fixed(subject.vectors.slice(0, n)) })(subject, round),
    })),
    ...PROPERTIES.flatMap((properties) => dynRows(atOnce, properties)),
    ...[...new Set([1, ...PROPERTIES.flatMap((n) => [n + 1, n + 2])])].map((rowsEach): Row => ({
      ...base, name: `decode${rowsEach}@${atOnce}`, label: `a plain decode of ${atOnce * rowsEach} rows`, unit: "ms", against: [],
      isHidden: true, sequences: atOnce * rowsEach, measure: (subject) => subject.plainRows(atOnce * rowsEach),
    })),
  ];
  if (atOnce > 1) rows.splice(4, 0, {
    ...base, name: `own@${atOnce}`, label: "Fixed, a vector each", against: [unsteered], bars: { [unsteered]: 0.95 }, vectors: 1,
    measure: async (subject, round) => {
      const own = scaled(subject.vectors[0]!, atOnce);
      return of({ steer: (generation) => fixed([own[generation]!]) })(subject, round);
    },
  });
  return rows;
}

function dynRows(atOnce: number, properties: number): Row[] {
  const [unsteered, inPipeline, inOrder] = [`unsteered@${atOnce}`, `dyn${properties}@${atOnce}`, `dyn${properties}-plain@${atOnce}`];
  const decodes = [1, properties + 1, properties + 2].map((each) => `decode${each}@${atOnce}`);
  const label = `Dyn, ${properties === 1 ? "1 property" : `${properties} properties`}`;
  const row = (name: string, pipeline: "auto" | "off", rest: Pick<Row, "label" | "against" | "bars">): Row => ({
    ...rest, name, group: `${atOnce} at once`, unit: "tokens/s", dyn: { properties }, sequences: atOnce * (properties + 2), vectors: properties,
    measure: (subject, round) => subject.generate({
      atOnce, pipeline, steer: () => subject.vectors.slice(0, properties).map((vector) => ({ vector, schedule: DYNAMIC })),
    }, round),
  });
  return [
    row(inPipeline, "auto", { label, against: [unsteered, inOrder, ...decodes] }),
    row(inOrder, "off", { label: `${label}, plain order`, against: [unsteered, ...decodes] }),
  ];
}

const fixed = (vectors: readonly VectorData[]): Array<{ vector: VectorData; schedule: typeof FIXED }> =>
  vectors.map((vector) => ({ vector, schedule: FIXED }));

const copies = new WeakMap<VectorData, VectorData[]>();

/** Vectors with data of their own, the same ones every time: what a row measures is not the making of its vectors. */
function scaled(vector: VectorData, n: number): VectorData[] {
  const made = copies.get(vector) ?? [];
  copies.set(vector, made);
  for (let i = made.length; i < n; i++) made.push({ ...vector, data: vector.data.map((value) => value * (1 + i / 100)) });
  return made;
}
