import { randomBytes } from "node:crypto";
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { stateOf, thisProcess } from "./owner.js";

const PARTIAL = /^\.llama-steer-([0-9a-f]+)-(\d+)-(\d+)-[0-9a-f]+\.partial$/;
/** A partial file of another machine or container is a leftover if nobody has written to it for this long, in milliseconds. */
const GONE_MS = 24 * 60 * 60 * 1000;

/**
 * Call `use` with an unpredictable path of a new file in `folder`, and remove that file at the end. The name identifies the
 * writing process, so that the next process can remove the leftovers of a killed one.
 */
export async function withPartial<T>(folder: string, use: (partial: string) => Promise<T>): Promise<T> {
  await removeLeftOvers(folder);
  const { scope, pid, started } = thisProcess();
  const partial = join(folder, `.llama-steer-${scope}-${pid}-${started}-${randomBytes(8).toString("hex")}.partial`);
  try {
    return await use(partial);
  } finally {
    await rm(partial, { force: true }).catch(() => undefined); // the first error is the one to report
  }
}

async function removeLeftOvers(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const [, scope, pid, started] = PARTIAL.exec(name) ?? [];
    if (scope === undefined) continue;
    const path = join(folder, name);
    const state = stateOf({ scope, pid: Number(pid), started: started! });
    if (state === "gone" || (state === "unknown" && await ageOf(path) > GONE_MS)) await rm(path, { force: true }).catch(() => undefined);
  }
}

async function ageOf(path: string): Promise<number> {
  return stat(path).then(({ mtimeMs }) => Date.now() - mtimeMs, () => 0);
}
