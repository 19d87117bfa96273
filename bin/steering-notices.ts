import type { Format, FormatOptions, LoadedSteering } from "../lib/index.js";
import { formatNotice, strengthNotice } from "../lib/vector/index.js";
import { note } from "./common.js";

type Used = { format: Format } & FormatOptions;

/** What the user of these vectors should know: questions that are put in another way, and alphas that are far too large; each once. */
export function steeringNotices(steer: readonly LoadedSteering[], used: Used, nameOf = pathOrProperty): string[] {
  const notices = steer.flatMap((steering) => {
    const { vector: { provenance }, schedule } = steering;
    const name = nameOf(steering);
    return [formatNotice(name, provenance, used), strengthNotice(name, provenance, schedule)];
  });
  return [...new Set(notices.filter((notice) => notice !== undefined))];
}

/** Prints the notices. */
export function noteSteering(steer: readonly LoadedSteering[], used: Used, quiet: boolean): void {
  for (const notice of steeringNotices(steer, used)) note(`note: ${notice}`, quiet);
}

function pathOrProperty({ vector }: LoadedSteering): string {
  return vector.path ?? vector.property;
}
