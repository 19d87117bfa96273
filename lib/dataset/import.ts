import { readBounded } from "./read-bounded.js";
import type { Columns, Row } from "./dataset.js";

/** Hub addresses of the sources of the published datasets. */
export const HUB_SOURCES = {
  alpaca: "hf:datasets/yahma/alpaca-cleaned/alpaca_data_cleaned.json",
  beavertails: "hf:datasets/PKU-Alignment/BeaverTails/default/330k_train/0000.parquet@refs/convert/parquet",
} as const;

/** Limits of an import. */
export interface ImportLimits {
  /** Maximum number of rows; 500 in the published datasets. */
  limit?: number;
  signal?: AbortSignal;
}

/**
 * Import language data (docs/method.md §1) from Alpaca-cleaned: the first rows without an input whose instruction and answer are
 * both shorter than `maxLength` characters.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_DATASET, E_ABORTED
 */
export async function importAlpaca(
  path: string, { limit = 500, maxLength = 150, signal }: ImportLimits & { maxLength?: number } = {},
): Promise<Row[]> {
  return readBounded("alpaca", { path, limit, maxLength }, [path], signal);
}

/**
 * Import safety data (docs/method.md §1) from BeaverTails: the first safe, or unsafe, answers in a seeded random order. The
 * published draw used a different random generator, so no seed reproduces it.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_DATASET, E_ABORTED
 */
export async function importBeaverTails(
  path: string, { safe, limit = 500, seed = 42, signal }: ImportLimits & { safe: boolean; seed?: number },
): Promise<Row[]> {
  return readBounded("beaverTails", { path, safe, limit, seed }, [path], signal);
}

/**
 * Import formality data (docs/method.md §1) from two text files in the format of GYAFC: each line of one is a paraphrase of the
 * same line of the other.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_DATASET naming the line, E_ABORTED
 */
export async function importPairs(inputs: string, outputs: string, { limit = Infinity, signal }: ImportLimits = {}): Promise<Row[]> {
  return readBounded("pairs", { inputs, outputs, limit }, [inputs, outputs], signal);
}

/** Import two named columns of a table file. Throws E_NOT_FOUND, E_BAD_DATASET naming file and line, E_ABORTED. */
export async function importColumns(path: string, columns: Columns, { limit = Infinity, signal }: ImportLimits = {}): Promise<Row[]> {
  return readBounded("columns", { path, columns, limit }, [path], signal);
}
