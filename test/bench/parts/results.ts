import { existsSync, readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { writeFileAtomic } from "../../../lib/formats/index.js";
import { dynSeconds, interpolated } from "./bound.js";
import type { Machine } from "./machine.js";
import { ratios, spread, type Measured, type Spread, type Work } from "./rounds.js";
import type { Row } from "./rows.js";

/** What the rounds say of one row. */
export interface RowResult {
  name: string;
  label: string;
  group: string;
  unit: Row["unit"];
  /** In the row's unit. */
  value: Spread;
  /** How many times as fast as (or, of memory, as small as) other rows, paired by round. */
  ratios: Record<string, Spread & { bar?: number }>;
  dyn?: {
    /** Mean of the rounds. */
    work: Work;
    /** Speed, in units of unsteered generation, that a plain loop of Dyn's decodes would have. */
    bound: Spread;
    /** Which share of it is reached. */
    ofBound: Spread;
  };
  /** New tokens per generation. */
  tokens: number;
  rounds: number;
  /** ISO 8601. */
  date: string;
}

export interface ModelResult {
  name: string;
  quantisation: string;
  /** Size of the file. */
  bytes: number;
  vocabulary: number;
  threads: number;
  rows: RowResult[];
}

export interface Results {
  machine: Machine;
  models: ModelResult[];
}

/** The results of rows that were measured in the same rounds. */
export function resultsOf(
  rows: readonly Row[], measured: Readonly<Record<string, readonly Measured[]>>, tokens: number,
): RowResult[] {
  const date = new Date().toISOString();
  return rows.filter(({ isHidden }) => !isHidden).map((row) => {
    const own = measured[row.name]!;
    const visible = row.against.filter((name) => !rows.find((other) => other.name === name)?.isHidden);
    return {
      name: row.name, label: row.label, group: row.group, unit: row.unit,
      value: spread(own.map(({ seconds }) => (row.unit === "ms" || row.unit === "MB" ? seconds * 1000 : 1 / seconds))),
      ratios: Object.fromEntries(visible.map((name) => {
        const bar = row.bars?.[name];
        return [name, { ...spread(ratios(own, measured[name]!)), ...(bar === undefined ? {} : { bar }) }];
      })),
      ...(row.dyn ? { dyn: dynResult(row, row.dyn.properties, measured) } : {}), tokens, rounds: own.length, date,
    };
  });
}

function dynResult(row: Row, properties: number, measured: Readonly<Record<string, readonly Measured[]>>): NonNullable<RowResult["dyn"]> {
  const own = measured[row.name]!;
  const { atOnce } = own[0]!.work!;
  const decodes = row.against.filter((name) => name.startsWith("decode"));
  const possible = own.map(({ work }, round) => {
    const t = interpolated(decodes.map((name) => [atOnce * Number(/^decode(\d+)/.exec(name)![1]), measured[name]![round]!.seconds]));
    return { seconds: dynSeconds(work!, properties, t) };
  });
  const mean = (key: keyof Work): number => own.reduce((sum, { work }) => sum + work![key], 0) / own.length;
  return {
    work: {
      atOnce, tokens: mean("tokens"), decodes: mean("decodes"), rows: mean("rows"), guesses: mean("guesses"), hits: mean("hits"),
    },
    bound: spread(ratios(possible, measured[`unsteered@${atOnce}`]!)), ofBound: spread(ratios(own, possible)),
  };
}

/** Read a results file. */
export function readResults(path: string): Results {
  return JSON.parse(readFileSync(path, "utf8")) as Results;
}

/**
 * Puts a model's results into a file; its other rows and other models stay. Refuses a file of another machine or of other versions,
 * which could not share a table.
 */
export async function addResults(path: string, machine: Machine, model: ModelResult): Promise<void> {
  const before: Results = existsSync(path) ? readResults(path) : { machine, models: [] };
  if (!isDeepStrictEqual(before.machine, machine)) {
    throw new Error(`${path} was measured on another machine or with other versions; choose another file`);
  }
  const old = before.models.find(({ name, quantisation }) => name === model.name && quantisation === model.quantisation);
  const kept = old?.rows.filter(({ name }) => !model.rows.some((row) => row.name === name)) ?? [];
  const models = [...before.models.filter((other) => other !== old), { ...model, rows: [...kept, ...model.rows] }];
  await writeFileAtomic(path, `${JSON.stringify({ machine, models } satisfies Results, null, 1)}\n`);
}
