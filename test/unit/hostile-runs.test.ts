import { spawnSync, type SpawnSyncReturns } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { appendFile, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { packageRoot } from "#native/prebuilt";
import { writeReport, evaluate, results } from "../../lib/experiments.js";
import { runFile, RunStore, type RunFile } from "../../lib/results/index.js";
import { runCommand } from "../support/command.js";
import { lists, refusedIn } from "../support/hostile-files.js";
import { temporaryFolder } from "../support/io-helpers.js";
import { aRun, someRecords } from "../support/runs.js";

const objects = (depth: number): string => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;

describe("run.json", () => {
  async function folderWith(text: (json: string) => string): Promise<string> {
    const folder = join(await temporaryFolder(), "run");
    const whole = aRun();
    await results.write(folder, whole, [0, 1, 2, 3, 4, 5, 6].flatMap((prompt) => someRecords(whole, prompt)));
    await writeFile(join(folder, "run.json"), text(JSON.stringify(whole)));
    return folder;
  }
  const changed = (changes: object) => (json: string): string => JSON.stringify({ ...JSON.parse(json) as object, ...changes });
  const inConfig = (value: string) => (json: string): string => json.replace('"config":{', `"config":{"z":${value},`);

  test.each([
    ["prompts beyond counting", changed({ nPrompts: 9e15 }), /nPrompts/],
    ["prompts beyond memory", changed({ nPrompts: 2e9 }), /nPrompts/],
    ["fewer prompts than none", changed({ nPrompts: -3 }), /nPrompts/],
    ["a group beyond memory", changed({ parallel: 4e9 }), /parallel/],
    ["shards beyond memory", changed({ shard: { index: 0, count: 3e8 } }), /shard/],
    ["a shard that is not one of them", changed({ shard: { index: 9, count: 2 } }), /shard: the index/],
    ["deep objects", inConfig(objects(20_000)), /nested/],
    ["deep lists", inConfig(lists(20_000)), /nested/],
    ["no setting", changed({ settings: [] }), /settings/],
    ["a setting twice", changed({ settings: [aRun().settings[0], aRun().settings[0]] }), /two settings are called/],
    [
      "a vector that is not there",
      changed({ settings: [{ label: "x", prompt: "no-icl", steer: [{ vector: 99, schedule: { kind: "fixed", alpha: 1 } }] }] }),
      /vector that the run does not have/,
    ],
    ["no vectors", changed({ vectors: [] }), /vectors/],
    [
      "a million bad settings", changed({ settings: new Array(1_000_000).fill(1) }),
      /settings: the list has 1000000 items; expected 1 to 10000/,
    ],
    [
      "bad settings within bounds",
      changed({ settings: new Array(9_000).fill({ label: "x", prompt: "icl", steer: new Array(90).fill(0) }) }),
      /settings\.0\.steer\.0|settings\.0/,
    ],
    ["more bytes than any", inConfig(`"${"x".repeat(2 ** 23)}"`), /bytes/],
  ])("with %s is refused at once by every reader", async (_, change, message) => {
    const folder = await folderWith(change);
    const out = join(await temporaryFolder(), "out");
    using evaluator = await evaluate.language({ wanted: "ita" });
    const readers = [
      () => results.read(folder), () => writeReport([folder], { out }), () => evaluate.run(folder, [evaluator]),
      () => results.merge(out, [folder]),
    ];
    for (const read of readers) expect(await refusedIn(read(), "E_BAD_RUN", message)).toBeLessThan(3000);
  });

  test("a line of results of brackets alone is refused before it is parsed", async () => {
    const folder = await folderWith((json) => json);
    await writeFile(join(folder, "results.jsonl"), `${"[".repeat(2 ** 24)}\n`);
    expect(await refusedIn(results.read(folder), "E_BAD_RUN", /line 1 has 16777216 characters/)).toBeLessThan(3000);
  });

  test("`evaluate` refuses a run with a bad line before it opens a model", async () => {
    const folders = [await folderWith((json) => json), await folderWith((json) => json)];
    await appendFile(join(folders[1]!, "results.jsonl"), "{}\n");
    const { code, stderr } = await runCommand(["evaluate", ...folders, "--safety", "none.gguf"], { cwd: folders[0]! });
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/line 36: too many results/);
  });

  test.each([
    ["a byte order mark", (text: string) => `\ufeff${text}`], ["Windows line ends", (text: string) => text.replaceAll("\n", "\r\n")],
  ])("a shard that got %s on its way is not merged, but read", async (_, change) => {
    const folder = await folderWith(changed({ shard: { index: 0, count: 1 } }));
    const path = join(folder, "results.jsonl");
    await writeFile(path, change(await readFile(path, "utf8")));
    expect((await results.read(folder)).isComplete).toBe(true);
    await refusedIn(results.merge(join(folder, "out"), [folder]), "E_BAD_RUN", /has a byte order mark or Windows line ends/);
  });

  test("a vector that changed after a merge was checked is not copied", async () => {
    const folder = await folderWith(changed({ shard: { index: 0, count: 1 } }));
    const vector = join(folder, aRun().vectors[0]!.file);
    await writeFile(vector, "1");
    const merge = await results.planMerge(join(folder, "out"), [folder]);
    await writeFile(vector, "2");
    await refusedIn(merge.write(), "E_BAD_RUN", /has changed since the merge checked it/);
    expect(existsSync(join(folder, "out"))).toBe(false);
  });

  test("an evaluation's deep header is refused", async () => {
    const folder = await folderWith((json) => json);
    using evaluator = await evaluate.language({ wanted: "ita" });
    await evaluate.run(folder, [evaluator]);
    const path = join(folder, "eval-language.jsonl");
    await writeFile(path, (await readFile(path, "utf8")).replace('"config":{', `"config":{"z":${objects(20_000)},`));
    await refusedIn(results.read(folder), "E_BAD_RUN", /line 1: more than 100 lists or objects are nested/);
  });

  test("an evaluator may want what is not a language, and the report says so", async () => {
    const folder = await folderWith((json) => json);
    using language = await evaluate.language({ wanted: "ita" });
    await evaluate.run(folder, [{ ...language, wanted: "not a code", evaluate: (texts) => language.evaluate(texts) }]);
    const out = join(await temporaryFolder(), "report");
    await writeReport([folder], { out });
    expect(await readFile(join(out, "index.html"), "utf8")).toContain("not a code");
    expect(evaluate.languageName("not a code")).toBe("not a code");
  }, 60_000);

  test("a signal stops reading and merging", async () => {
    const folder = await folderWith((json) => json);
    const signal = AbortSignal.abort();
    await refusedIn(results.read(folder, { signal }), "E_ABORTED");
    await refusedIn(results.merge(join(folder, "out"), [folder], { signal }), "E_ABORTED");
    await refusedIn(results.planMerge(join(folder, "out"), [folder], { signal }), "E_ABORTED");
    await refusedIn(results.readPublished(join(folder, "run.json"), { signal }), "E_ABORTED");
  });

  /** A run of as many settings as there may be, each of `n` vectors. */
  function largeRun(n: number, nSettings = 10_000): RunFile {
    const vectors = Array.from({ length: n }, (_, i) => ({ property: `p${i}`, file: `p${i}.safetensors`, hash: null }));
    const steer = vectors.map((_, vector) => ({ vector, schedule: { kind: "fixed" as const, alpha: 0.25 } }));
    return {
      ...aRun(), vectors, settings: Array.from({ length: nSettings }, (_, i) => ({ label: `Fixed ${i}`, prompt: "no-icl", steer })),
      nPrompts: 1,
    };
  }

  test("of the most settings is written and read, or refused before its folder is made", async () => {
    const [folder, out] = [await temporaryFolder(), join(await temporaryFolder(), "run")];
    const run = largeRun(4);
    await results.write(join(folder, "written"), run, []);
    expect((await results.read(join(folder, "written"))).run).toEqual(run);
    await (await RunStore.open(join(folder, "begun"), run))[Symbol.asyncDispose]();
    expect((await results.read(join(folder, "begun"))).run).toEqual(run);

    const large = largeRun(13, 8194);
    const message = /8194 settings of 13 vectors take \d+ bytes in run\.json; the limit is 8388608/;
    await refusedIn(results.write(out, large, []), "E_BAD_ARGUMENT", message);
    await refusedIn(RunStore.open(out, large), "E_BAD_ARGUMENT", message);
    const { format: _, formatVersion: _version, ...fields } = large;
    expect(() => runFile(fields)).toThrow(message);
    await refusedIn(
      results.write(out, { ...aRun(), config: JSON.parse(objects(200)) as RunFile["config"] }, []), "E_BAD_ARGUMENT", /nested/,
    );
    expect(existsSync(out)).toBe(false);
  }, 60_000);

  test("a line of results or of an evaluation that could not be read again is not written", async () => {
    const folder = await folderWith((json) => json);
    const before = await readdir(folder);
    const [record] = someRecords(aRun(), 0);
    const out = join(await temporaryFolder(), "run");
    await refusedIn(
      results.write(out, aRun(), [{ ...record!, text: "x".repeat(2 ** 23) }]), "E_BAD_ARGUMENT",
      /the answer to prompt 0 in "icl" takes \d+ characters/,
    );
    expect(existsSync(out)).toBe(false);
    using evaluator = await evaluate.language({ wanted: "ita" });
    const long = { ...evaluator, evaluate: async (texts: readonly unknown[]) => texts.map(() => ({ "": "x".repeat(2 ** 23) })) };
    await refusedIn(evaluate.run(folder, [long]), "E_BAD_ARGUMENT", /the evaluation of prompt 0 in "icl" takes \d+ characters/);
    expect((await results.read(folder)).evaluations).toEqual([expect.objectContaining({ rows: [] })]);
    expect((await readdir(folder)).filter((name) => !before.includes(name))).toEqual(["eval-language.jsonl"]);
  });

  test("what we write is held to the same bounds", () => {
    let thrown: unknown;
    try {
      aRun({ nPrompts: 2e9 });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ name: "SteeringError", code: "E_BAD_ARGUMENT", message: expect.stringMatching(/nPrompts/) });
  });
});

(process.platform === "linux" ? test : test.skip)("runs and datasets may be more than the files that a process may open", async () => {
  const folder = await temporaryFolder();
  const files = {
    "runs/N/run.json": JSON.stringify(aRun()), "runs/N/results.jsonl": "",
    "data/DN/DN_train.json": JSON.stringify([{ input: "Hi", output: "Ciao" }]),
  };
  for (let index = 0; index < 600; index++) for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name.replaceAll("N", String(index)));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
  const limited = (...args: string[]): SpawnSyncReturns<string> => spawnSync(
    "sh", ["-c", 'ulimit -n 300; exec "$@"', "sh", process.execPath, join(packageRoot, "dist", "bin", "llama-steer.js"), ...args],
    { cwd: folder, encoding: "utf8" },
  );
  expect(limited("evaluate", "runs", "--judge", "none", "--against", "none")).toMatchObject({ stderr: expect.stringMatching(/--against/) });
  const { status, stdout } = limited("datasets", "list", "--datasets", "data");
  expect([status, stdout.split("\n").filter((line) => / 1 train/.test(line)).length]).toEqual([0, 600]);
}, 180_000);
