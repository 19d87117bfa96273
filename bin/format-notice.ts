import type { Format, SteeringVector } from "../lib/index.js";
import { formatNotice } from "../lib/vector/index.js";
import { note } from "./common.js";

/** Says once of each vector that was made with another format than the prompt's that this is so. */
export function noteFormats(vectors: readonly SteeringVector[], format: Format, quiet: boolean): void {
  const byName = new Map(vectors.map((vector) => [vector.path ?? vector.property, vector]));
  for (const [name, { provenance }] of byName) {
    const notice = formatNotice(name, provenance, format);
    if (notice !== undefined) note(`note: ${notice}`, quiet);
  }
}
