import type { Format, FormatOptions, SteeringVector } from "../lib/index.js";
import { formatNotice } from "../lib/vector/index.js";
import { note } from "./common.js";

/** Says once of each vector that was made with questions put in another way than the prompt that this is so. */
export function noteFormats(vectors: readonly SteeringVector[], used: { format: Format } & FormatOptions, quiet: boolean): void {
  const byName = new Map(vectors.map((vector) => [vector.path ?? vector.property, vector]));
  for (const [name, { provenance }] of byName) {
    const notice = formatNotice(name, provenance, used);
    if (notice !== undefined) note(`note: ${notice}`, quiet);
  }
}
