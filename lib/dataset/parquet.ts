import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { SteeringError } from "../errors.js";
import { bad } from "./refusal.js";
import type { TableRow } from "./table.js";

/**
 * Read the rows of a Parquet file. The parser trusts the sizes in the file, so call it only through `readBounded`.
 * Throws E_NOT_FOUND, E_BAD_DATASET.
 */
export async function parquetRows(path: string): Promise<TableRow[]> {
  const file = await asyncBufferFromFile(path).catch((cause: unknown) => {
    throw new SteeringError("E_NOT_FOUND", `dataset file ${path} cannot be read (${(cause as NodeJS.ErrnoException).code})`, { cause });
  });
  try {
    const rows = await parquetReadObjects({ file, compressors });
    return rows.map((values, index) => ({ values, place: () => `row ${index + 1}` }));
  } catch (cause) {
    throw bad(path, undefined, `it is not Parquet: ${(cause as Error).message}`, cause);
  }
}
