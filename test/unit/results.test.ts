import { appendFile, readdir, readFile, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { MAX_THREADS } from "../../lib/engine/threads.js";
import { readRun, RunStore, summariseRun, type RunFile } from "../../lib/results/index.js";
import { temporaryFolder } from "../support/io-helpers.js";
import { carryOut, resultsIn, TIMING, wholeRun } from "../support/run-folders.js";
import { aRun, someRecords } from "../support/runs.js";

describe("a run's folder", () => {
  test("holds what was asked for, and every answer as a line", async () => {
    const { folder, bytes } = await wholeRun();
    const { run, records, timings, isComplete } = await readRun(folder);
    expect(run).toEqual(aRun());
    expect(records).toEqual([0, 1, 2, 3, 4, 5, 6].flatMap((prompt) => someRecords(run, prompt)));
    expect(bytes.toString().trimEnd().split("\n").map((line) => JSON.parse(line) as unknown)).toEqual(records);
    expect(timings).toEqual([TIMING, TIMING, TIMING, TIMING]);
    expect(isComplete).toBe(true);
    expect((await readdir(folder)).sort()).toEqual(["results.jsonl", "run.json", "timings.jsonl"]);
  });

  test("cut off at any byte, ends with the same bytes, nothing that was whole done again", async () => {
    const { folder, bytes } = await wholeRun();
    const perPrompt = aRun().settings.length;
    for (let length = 0; length <= bytes.length; length += 37) {
      await truncate(resultsIn(folder), length);
      const lines = bytes.subarray(0, length).toString("latin1").split("\n").length - 1;
      const whole = Math.floor(lines / (2 * perPrompt)) + (length === bytes.length ? 1 : 0); // groups of two prompts, the last of one
      expect(await carryOut(folder, aRun())).toEqual([[0, 1], [2, 3], [4, 5], [6]].slice(whole));
      expect((await readFile(resultsIn(folder))).equals(bytes)).toBe(true);
    }
  });

  test("is read while it is not complete, without what is torn", async () => {
    const folder = join(await temporaryFolder(), "run");
    await carryOut(folder, aRun(), 1);
    // inside a character
    await appendFile(resultsIn(folder), Buffer.concat([Buffer.from('{"prompt":2,"setting":"icl","ques'), Buffer.from("好").subarray(0, 2)]));
    const { records, isComplete } = await readRun(folder);
    expect(records).toEqual([0, 1].flatMap((prompt) => someRecords(aRun(), prompt)));
    expect(isComplete).toBe(false);
  });

  test("refuses another run, and names what differs", async () => {
    const { folder, bytes } = await wholeRun();
    const others: Array<[Partial<RunFile>, RegExp]> = [
      [{ config: { alphas: [1, 2], positive: "ITA" } }, /config\.alphas \[1\] there, \[1,2\] here/],
      [{ config: { positive: "ITA" } }, /config\.alphas \[1\] there, nothing here/],
      [{ model: { name: "m", fingerprint: { fileHash: "sha256:9", nLayer: 2 } } }, /model\.fileHash "sha256:1" there, "sha256:9" here/],
      [{ datasets: { positive: { name: "ITA_train", hash: "sha256:3" } } }, /datasets\.positive\.hash "sha256:2" there, "sha256:3" here/],
      [{ nPrompts: 8 }, /nPrompts 7 there, 8 here/], [{ parallel: 1 }, /parallel/],
      [{ versions: { llamaSteer: "2", llamaCpp: "2" } }, /versions\.llamaSteer/],
      [{ shard: { index: 0, count: 2 } }, /shard none there, 0\/2 here/],
    ];
    for (const [changes, message] of others) await expect(RunStore.open(folder, aRun(changes))).rejects.toMatchObject({
      code: "E_BAD_RUN", message: expect.stringMatching(message),
    });
    await expect(carryOut(folder, aRun({ machine: { ...aRun().machine, cpu: "other" } }))).resolves.toEqual([]);
    expect((await readFile(resultsIn(folder))).equals(bytes)).toBe(true);
  });

  test("is one process's at a time", async () => {
    const folder = join(await temporaryFolder(), "run");
    {
      await using _ = await RunStore.open(folder, aRun());
      await expect(RunStore.open(folder, aRun())).rejects.toMatchObject({
        code: "E_BUSY", message: expect.stringMatching(/is working on this run already/),
      });
      await writeFile(join(folder, "run.lock"), `${process.ppid} elsewhere`);
      await expect(RunStore.open(folder, aRun())).rejects.toMatchObject({ code: "E_BUSY", message: expect.stringMatching(/on elsewhere/) });
    }
    const old = new Date(Date.now() - 120_000);
    for (const holder of [`${process.ppid} elsewhere`, `${process.ppid}`, ""]) { // long untouched: gone, or standing still
      await writeFile(join(folder, "run.lock"), holder);
      await utimes(join(folder, "run.lock"), old, old);
      await (await RunStore.open(folder, aRun()))[Symbol.asyncDispose]();
    }
    await writeFile(join(folder, "run.lock"), "");
    await expect(RunStore.open(folder, aRun())).rejects.toMatchObject({ code: "E_BUSY" });
  });

  test("that was taken over is not written to, nor its lock removed", async () => {
    const folder = join(await temporaryFolder(), "run");
    const store = await RunStore.open(folder, aRun());
    await writeFile(join(folder, "run.lock"), `${process.ppid} elsewhere token`);
    await expect(store.append(someRecords(aRun(), 0), TIMING)).rejects.toMatchObject({
      code: "E_BUSY", message: expect.stringMatching(/taken over/),
    });
    await store[Symbol.asyncDispose]();
    expect(await readFile(resultsIn(folder), "utf8")).toBe("");
    expect(await readFile(join(folder, "run.lock"), "utf8")).toContain("elsewhere");
  });

  test("begun otherwise but without a result, is begun anew", async () => {
    const folder = join(await temporaryFolder(), "run");
    await carryOut(folder, aRun({ config: { positive: "FRA" } }), 0);
    await carryOut(folder, aRun());
    expect((await readRun(folder)).run).toEqual(aRun());
  });

  test.each([
    ["a line that is no JSON", (lines: string[]) => { lines[3] = "{"; }, /line 4 is not JSON/],
    [
      "a line that is missing", (lines: string[]) => { lines.splice(2, 1); },
      /line 3: found prompt 0, "Fixed 1"; expected prompt 0, "Dyn p=0.5"/,
    ],
    ["a line that is there twice", (lines: string[]) => { lines.splice(2, 0, lines[2]!); }, /line 4: /],
    ["a field that is missing", (lines: string[]) => { lines[0] = lines[0]!.replace('"tokens"', '"tokns"'); }, /line 1: tokens: /],
    ["lines beyond the end", (lines: string[]) => { lines.splice(-1, 0, lines[0]!); }, /line 36: too many results; the run has 35/],
  ])("%s is refused, not passed over", async (_, damage, message) => {
    const { folder, bytes } = await wholeRun();
    const lines = bytes.toString().split("\n");
    damage(lines);
    await writeFile(resultsIn(folder), lines.join("\n"));
    for (const read of [() => readRun(folder), () => RunStore.open(folder, aRun())]) await expect(read()).rejects.toMatchObject({
      code: "E_BAD_RUN", message: expect.stringMatching(message),
    });
  });

  test("of a newer version, without run.json, or damaged, is refused", async () => {
    const { folder } = await wholeRun();
    const path = join(folder, "run.json");
    const text = await readFile(path, "utf8");
    await writeFile(path, text.replace('"formatVersion": 1', '"formatVersion": 2'));
    await expect(readRun(folder)).rejects.toMatchObject({
      code: "E_BAD_RUN", message: expect.stringMatching(/newer llama-steer \(format 2/),
    });
    await writeFile(path, text.slice(0, 100));
    await expect(readRun(folder)).rejects.toMatchObject({ code: "E_BAD_RUN", message: expect.stringMatching(/is not JSON/) });
    await writeFile(path, text.replace('"nPrompts": 7', '"nPrompts": "7"'));
    await expect(readRun(folder)).rejects.toMatchObject({ code: "E_BAD_RUN", message: expect.stringMatching(/nPrompts/) });
    for (const threads of [-1, 1.5, MAX_THREADS + 1]) {
      await writeFile(path, text.replace('"threads": 2', `"threads": ${threads}`));
      await expect(readRun(folder)).rejects.toMatchObject({ code: "E_BAD_RUN", message: expect.stringMatching(/machine\.threads/) });
    }
    for (const threads of [0, MAX_THREADS]) { // 0: unknown, of a run that was imported
      await writeFile(path, text.replace('"threads": 2', `"threads": ${threads}`));
      expect((await readRun(folder)).run.machine.threads).toBe(threads);
    }
    await expect(readRun(join(folder, "no"))).rejects.toMatchObject({ code: "E_NOT_FOUND" });
    const other = await temporaryFolder();
    await writeFile(resultsIn(other), "");
    await expect(RunStore.open(other, aRun())).rejects.toMatchObject({
      code: "E_BAD_RUN", message: expect.stringMatching(/results without run.json/),
    });
    await writeFile(join(other, "file"), "");
    await expect(RunStore.open(join(other, "file"), aRun())).rejects.toMatchObject({ code: "E_WRITE" });
  });
});

test("the table of a run: per setting answers, failures and the median ΔPPL", () => {
  const run = aRun({ nPrompts: 3 });
  const records = [0, 1, 2].flatMap((prompt) => someRecords(run, prompt));
  records[3] = { ...records[3]!, finishReason: "failed", deltaPerplexity: null, text: "" };
  const table = summariseRun({ run, records, evaluations: [] });
  expect(table.map(({ setting, answers, failed, deltaPerplexity }) => [setting, answers, failed, deltaPerplexity?.median.value])).toEqual([
    ["icl", 3, 0, undefined], ["no-icl", 3, 0, 1 + 1 / 3], ["Dyn p=0.5", 3, 0, 2 + 1 / 3], ["Fixed 1", 3, 1, 3.5],
    ["Start -1.5", 3, 0, 4 + 1 / 3],
  ]);
});
