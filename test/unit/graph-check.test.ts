import { readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { beforeEach, expect, test } from "@jest/globals";
import { onAbort } from "../../lib/engine/abort.js";
import { checkGraphPath } from "../../lib/engine/graph-check.js";
import { temporaryFolder } from "../support/io-helpers.js";

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
  process.env["LLAMA_STEER_HOME"] = folder;
});

const WHERE = { backend: "auto", rpc: [] };

/** The verdict on what a process does that stands in for the one that steers. */
async function verdictOn(script: string, signal?: AbortSignal): Promise<Awaited<ReturnType<typeof checkGraphPath>>> {
  const path = join(folder, `${Math.random()}.mjs`);
  await writeFile(path, script);
  return checkGraphPath(WHERE, signal, pathToFileURL(path));
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
  ["a process that says nothing", "process.disconnect()", /sent no result/],
])("%s: it does not hold, and is tried again", async (_, script, why) => {
  expect(await verdictOn(script)).toEqual({ holds: false, why: expect.stringMatching(why) });
  expect(await kept()).toEqual([]);
});

test("a load that is stopped does not wait for the trial, and ends it", async () => {
  const stop = new AbortController();
  const pidFile = join(folder, "pid");
  const waiting = verdictOn(
    `import { writeFileSync } from "node:fs"; writeFileSync(${JSON.stringify(pidFile)}, String(process.pid)); setInterval(() => {}, 1000);`,
    stop.signal,
  );
  const pid = async (): Promise<number> => Number(await readFile(pidFile, "utf8").catch(() => "0"));
  for (let i = 0; i < 500 && await pid() === 0; i++) await setTimeout(20);
  expect(await pid()).toBeGreaterThan(0);
  stop.abort();
  await expect(waiting).rejects.toMatchObject({ code: "E_ABORTED" });
  const isAlive = async (): Promise<boolean> => { try { return process.kill(await pid(), 0); } catch { return false; } };
  for (let i = 0; i < 100 && await isAlive(); i++) await setTimeout(20);
  expect(await isAlive()).toBe(false);
  expect(await kept()).toEqual([]);
});

test("a load that is stopped before the trial begins, or at once, starts no process", async () => {
  const [started, stop] = [join(folder, "started"), new AbortController()];
  const script = join(folder, "writes.mjs");
  await writeFile(
    script,
    `import { writeFileSync } from "node:fs"; writeFileSync(${JSON.stringify(started)}, ""); setTimeout(() => process.disconnect(), 3000);`,
  );
  await expect(checkGraphPath(WHERE, AbortSignal.abort(), pathToFileURL(script))).rejects.toMatchObject({ code: "E_ABORTED" });
  const waiting = checkGraphPath(WHERE, stop.signal, pathToFileURL(script));
  stop.abort(); // while it looks for an earlier verdict
  await expect(waiting).rejects.toMatchObject({ code: "E_ABORTED" });
  await setTimeout(1000); // longer than a process takes to start
  await expect(readFile(started)).rejects.toMatchObject({ code: "ENOENT" });
});

test.each(["SIGINT", "SIGTERM"])("a trial that is ended by %s is no verdict: the next load tries again", async (signal) => {
  const [script, tried] = [join(folder, "trial.mjs"), join(folder, "tried")];
  await writeFile(script, `
    import { existsSync, writeFileSync } from "node:fs";
    if (existsSync(${JSON.stringify(tried)})) process.send({ difference: 0 }, () => process.disconnect());
    else {
      writeFileSync(${JSON.stringify(tried)}, "");
      process.kill(process.pid, "${signal}");
      setInterval(() => {}, 1000);
    }`);
  const check = (): ReturnType<typeof checkGraphPath> => checkGraphPath(WHERE, undefined, pathToFileURL(script));
  await expect(check()).rejects.toMatchObject({ code: "E_ABORTED", message: expect.stringMatching(signal) });
  expect(await check()).toEqual({ holds: true });
});

test("a verdict counts for 30 days: drivers are updated", async () => {
  const [script, tried] = [join(folder, "trial.mjs"), join(folder, "tried")];
  await writeFile(script, `
    import { appendFileSync } from "node:fs";
    appendFileSync(${JSON.stringify(tried)}, "x");
    process.send({ difference: 0 }, () => process.disconnect());`);
  const age = async (days: number): Promise<void> => {
    const [file] = await kept();
    await utimes(join(folder, "graph-path", file!), new Date(), new Date(Date.now() - days * 24 * 3600 * 1000));
  };
  const trials = async (process: string): Promise<number> => {
    // what it knows is on the disk
    const later = await import(`../../lib/engine/graph-check.js?${process}`) as { checkGraphPath: typeof checkGraphPath };
    expect(await later.checkGraphPath(WHERE, undefined, pathToFileURL(script))).toEqual({ holds: true });
    return (await readFile(tried, "utf8")).length;
  };
  expect(await trials("first")).toBe(1);
  await age(29);
  expect(await trials("soon")).toBe(1);
  await age(31);
  expect(await trials("late")).toBe(2);
  expect(await trials("then")).toBe(2); // kept anew
});

test("what waits for a signal that has fired is called at once, and once; what was taken back is not", () => {
  const stop = new AbortController();
  const called: string[] = [];
  onAbort(stop.signal, () => called.push("before"));
  onAbort(stop.signal, () => called.push("taken back"))();
  expect(called).toEqual([]);
  stop.abort();
  onAbort(stop.signal, () => called.push("after"));
  onAbort(undefined, () => called.push("never"));
  expect(called).toEqual(["before", "after"]);
});
