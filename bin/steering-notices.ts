import { statedSchedule } from "../lib/gallery/index.js";
import type { Format, FormatOptions, LoadedSteering } from "../lib/index.js";
import { formatNotice, gateNotice, knownStrength, strengthNotice } from "../lib/vector/index.js";
import { note } from "./common.js";

type Used = { format: Format } & FormatOptions;

/**
 * What the user of these vectors should know: questions that are put in another way, alphas that are far too large, and gates that read
 * what their probes were not trained on; each once.
 */
export async function steeringNotices(steer: readonly LoadedSteering[], used: Used, nameOf = pathOrProperty): Promise<string[]> {
  const notices = await Promise.all(steer.map(async (steering) => {
    const { vector: { provenance, path }, schedule, gate } = steering;
    const [name, known] = [nameOf(steering), knownStrength(provenance, path === undefined ? undefined : await statedSchedule(path))];
    return [formatNotice(name, provenance, used), strengthNotice(name, known, schedule), gateNotice(gate)];
  }));
  return [...new Set(notices.flat().filter((notice) => notice !== undefined))];
}

/** Prints the notices. */
export async function noteSteering(steer: readonly LoadedSteering[], used: Used, quiet: boolean): Promise<void> {
  for (const notice of await steeringNotices(steer, used)) note(`note: ${notice}`, quiet);
}

function pathOrProperty({ vector }: LoadedSteering): string {
  return vector.path ?? vector.property;
}
