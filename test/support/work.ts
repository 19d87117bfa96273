import { addon, type NativeWork } from "../../lib/native/index.js";

/** The work that the addon does until `body` ends. */
export async function workOf(body: () => Promise<unknown>): Promise<NativeWork> {
  const before = addon().workDone();
  await body();
  const after = addon().workDone();
  return Object.fromEntries(Object.entries(after).map(([what, count]) => [what, count - before[what as keyof NativeWork]])) as unknown as NativeWork;
}
