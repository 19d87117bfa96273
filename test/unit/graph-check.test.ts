import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { checkGraphPath } from "../../lib/runtime/graph-check.js";

let folder: string;
let home: string | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llama-steer-"));
  home = process.env["LLAMA_STEER_HOME"];
  process.env["LLAMA_STEER_HOME"] = folder;
});

afterEach(async () => {
  if (home === undefined) delete process.env["LLAMA_STEER_HOME"];
  else process.env["LLAMA_STEER_HOME"] = home;
  await rm(folder, { recursive: true });
});

/** The verdict on what a process does that stands in for the one that steers. */
async function verdictOn(script: string): Promise<Awaited<ReturnType<typeof checkGraphPath>>> {
  const path = join(folder, `${Math.random()}.mjs`);
  await writeFile(path, script);
  return checkGraphPath("auto", pathToFileURL(path));
}

const kept = async (): Promise<string[]> => readdir(join(folder, "graph-path")).catch(() => []);

test("paths that agree: the graph path holds, and that is remembered", async () => {
  expect(await verdictOn("process.send({ difference: 0.01 }, () => process.disconnect())")).toEqual({ holds: true });
  expect(await kept()).toHaveLength(1);
});

test.each([
  ["paths that differ", "process.send({ difference: 0.9 }, () => process.disconnect())", /off by 0\.90/],
  ["results that are not finite", "process.send({ difference: NaN }, () => process.disconnect())", /not finite/],
  ["a process that crashes, with good results", "process.send({ difference: 0 }, () => process.abort())", /SIGABRT/],
  ["a process that fails", "process.exit(3)", /ended with 3/],
  ["a process that says nothing", "process.disconnect()", /said nothing/],
])("%s: it does not hold, and is tried again", async (_, script, why) => {
  expect(await verdictOn(script)).toEqual({ holds: false, why: expect.stringMatching(why) });
  expect(await kept()).toEqual([]);
});
