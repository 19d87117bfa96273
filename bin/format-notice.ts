import type { Format, SteeringVector } from "../lib/index.js";
import { formatOf } from "../lib/vector/index.js";
import { note } from "./common.js";

/** Says once of each vector that was made with another format than the prompt's that this is so. */
export function noteFormats(vectors: readonly SteeringVector[], format: Format, quiet: boolean): void {
  const byName = new Map(vectors.map((vector) => [vector.path ?? vector.property, vector]));
  for (const [name, { provenance }] of byName) {
    const made = formatOf(provenance);
    if (made === undefined || made === format) continue;
    note(`note: ${name} was made with --format ${made}, but this prompt has --format ${format}; `
      + `its effect may be weaker. Use --format ${made}, or extract a vector with --format ${format}`, quiet);
  }
}
