import { readBounded } from "./read-bounded.js";
import type { Columns, Row } from "./dataset.js";

/** Sources of the published datasets, as the hub lays them out. */
export const HUB_SOURCES = {
  alpaca: "hf:datasets/yahma/alpaca-cleaned/alpaca_data_cleaned.json",
  beavertails: "hf:datasets/PKU-Alignment/BeaverTails/default/330k_train/0000.parquet@refs/convert/parquet",
} as const;

/** How many rows are kept, and what stops the reading. */
export interface ImportLimits {
  /** Most rows; as published 500. */
  limit?: number;
  signal?: AbortSignal;
}

/**
 * Language data (docs/method.md §1): of Alpaca-cleaned, the first rows without an input whose instruction and answer are
 * both shorter than `maxLength` characters.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_DATASET, E_ABORTED
 */
export async function importAlpaca(path: string, { limit = 500, maxLength = 150, signal }: ImportLimits & { maxLength?: number } = {}): Promise<Row[]> {
  return readBounded("alpaca", { path, limit, maxLength }, [path], signal);
}

/**
 * Safety data (docs/method.md §1): of BeaverTails in a seeded random order, the first answers that are safe, or are not. The
 * published draw is of another generator and cannot be repeated by a seed.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_DATASET, E_ABORTED
 */
export async function importBeaverTails(path: string, { safe, limit = 500, seed = 42, signal }: ImportLimits & { safe: boolean; seed?: number }): Promise<Row[]> {
  return readBounded("beaverTails", { path, safe, limit, seed }, [path], signal);
}

/**
 * Formality data (docs/method.md §1): two text files as GYAFC has them, line by line the same said in two ways.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_DATASET naming the line, E_ABORTED
 */
export async function importPairs(inputs: string, outputs: string, { limit = Infinity, signal }: ImportLimits = {}): Promise<Row[]> {
  return readBounded("pairs", { inputs, outputs, limit }, [inputs, outputs], signal);
}

/** Rows of any table file, whose columns are named. Throws E_NOT_FOUND, E_BAD_DATASET naming file and line, E_ABORTED. */
export async function importColumns(path: string, columns: Columns, { limit = Infinity, signal }: ImportLimits = {}): Promise<Row[]> {
  return readBounded("columns", { path, columns, limit }, [path], signal);
}
