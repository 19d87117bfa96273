import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { beforeEach, expect, test } from "@jest/globals";
import { checkGraphPath } from "../../lib/engine/graph-check.js";
import { temporaryFolder } from "../support/io-helpers.js";

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
  process.env["LLAMA_STEER_HOME"] = folder;
});

/** The verdict on what a process does that stands in for the one that steers. */
async function verdictOn(script: string, signal?: AbortSignal): Promise<Awaited<ReturnType<typeof checkGraphPath>>> {
  const path = join(folder, `${Math.random()}.mjs`);
  await writeFile(path, script);
  return checkGraphPath("auto", signal, pathToFileURL(path));
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

test("a load that is stopped does not wait for the trial, and ends it", async () => {
  const stop = new AbortController();
  const pidFile = join(folder, "pid");
  const waiting = verdictOn(`import { writeFileSync } from "node:fs"; writeFileSync(${JSON.stringify(pidFile)}, String(process.pid)); setInterval(() => {}, 1000);`, stop.signal);
  const pid = async (): Promise<number> => Number(await readFile(pidFile, "utf8").catch(() => "0"));
  while (await pid() === 0) await setTimeout(20);
  stop.abort();
  await expect(waiting).rejects.toMatchObject({ code: "E_ABORTED" });
  const isAlive = async (): Promise<boolean> => { try { return process.kill(await pid(), 0); } catch { return false; } };
  for (let i = 0; i < 100 && await isAlive(); i++) await setTimeout(20);
  expect(await isAlive()).toBe(false);
  expect(await kept()).toEqual([]);
});
