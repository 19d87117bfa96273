import { addon, type NativeWork } from "../../lib/native/index.js";

/** The work that the addon does until `body` ends. */
export async function workOf(body: () => Promise<unknown>): Promise<NativeWork> {
  const before = addon().workDone();
  await body();
  const after = addon().workDone();
  const kinds = Object.keys(after) as Array<keyof NativeWork>;
  return Object.fromEntries(kinds.map((kind) => [kind, after[kind] - before[kind]])) as unknown as NativeWork;
}
