import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { parquetWriteFile } from "hyparquet-writer";
import { writeReport, datasets, evaluate, experiment, results } from "../../lib/experiments.js";
import { loadDataset, loadSteering, SteeringVector } from "../../lib/index.js";
import { encodeSafetensors } from "../../lib/formats/safetensors.js";
import { runFile, RunStore, type RunFile } from "../../lib/results/index.js";
import { seededRandom } from "../../lib/maths/random.js";
import { temporaryFolder } from "../support/io-helpers.js";
import { aRun, someRecords } from "../support/runs.js";

const run = promisify(execFile);
const lists = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
const objects = (depth: number): string => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;

async function write(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(await temporaryFolder(), name);
  await writeFile(path, content);
  return path;
}

/** Milliseconds until a refusal with this code. */
async function refusedIn(work: Promise<unknown>, code: string, message = /./): Promise<number> {
  const begun = performance.now();
  await expect(work).rejects.toMatchObject({ name: "SteeringError", code, message: expect.stringMatching(message) });
  return performance.now() - begun;
}

describe("Parquet", () => {
  async function parquet(): Promise<Buffer> {
    const path = join(await temporaryFolder(), "rows.parquet");
    const column = (name: string) => ({ name, data: ["one", "two"], type: "STRING" as const });
    parquetWriteFile({ filename: path, columnData: [column("input"), column("output")] });
    return readFile(path);
  }

  test("a first column that cannot be read, and a second that the schema does not have: the parser waits for the second only, and the first ends a process", async () => {
    const bytes = await parquet();
    bytes.write("outpux", bytes.indexOf("output"));
    bytes.fill(0x7f, 4, 12); // the first column's first page
    const path = await write("rows.parquet", bytes);
    const program = `import { loadDataset } from ${JSON.stringify(new URL("../../lib/index.js", import.meta.url).href)};
      await loadDataset(${JSON.stringify(path)}).catch((error) => console.log(error.name, error.code));
      await new Promise((resolve) => setTimeout(resolve, 200)); console.log("alive");`;
    expect((await run(process.execPath, ["--input-type=module", "-e", program])).stdout).toBe("SteeringError E_BAD_DATASET\nalive\n");
  });

  test("damaged anywhere: refused, or read", async () => {
    const whole = await parquet();
    const random = seededRandom(5);
    const draw = (n: number): number => Math.floor(random() * n);
    const outcomes = await Promise.all(Array.from({ length: 12 }, async () => {
      const bytes = Buffer.from(whole);
      for (let k = 0; k < 3; k++) bytes[draw(bytes.length)] = draw(256);
      return loadDataset(await write("rows.parquet", bytes)).then(() => "read", (error: { name: string; code: string }) => `${error.name} ${error.code}`);
    }));
    expect(outcomes.every((outcome) => outcome === "read" || outcome === "SteeringError E_BAD_DATASET")).toBe(true);
    expect(outcomes).toContain("SteeringError E_BAD_DATASET");
  }, 60_000);
});

describe("JSON datasets", () => {
  const rows = (n: number): object[] => Array.from({ length: n }, (_, i) => ({ input: `question number ${i} about something`, output: `an answer that is somewhat longer ${i}` }));

  test("of 24 MB with one bad row, or cut off, are refused by line in seconds", async () => {
    const many = rows(200_000);
    const text = JSON.stringify([...many, { input: "q", output: "" }], null, 1);
    const last = text.split("\n").length;
    expect(await refusedIn(loadDataset(await write("bad.json", text)), "E_BAD_DATASET", new RegExp(`line ${last - 4}: "output" must be a text`))).toBeLessThan(15_000); // the line was looked for with YAML's parser: 15 s on a fast machine
    expect(await refusedIn(loadDataset(await write("cut.json", text.slice(0, text.lastIndexOf("{") + 1))), "E_BAD_DATASET", new RegExp(`line ${last - 4}: it is not JSON`))).toBeLessThan(15_000);
  }, 60_000);

  test.each([
    ['[\n{"input": "q", "output": "a"},\n{]\n]', /line 3: it is not JSON/],
    ['[\n{"input": "a\nb", "output": "c"}]', /line [23]: it is not JSON/],
    ['[\n{"input": "q",\n\n"output": tru},\n{}]', /line 4: it is not JSON/],
    ['[{"input": "q", "output": "a"}\n', /line 1: it is not JSON: it ends inside its list/],
    ['[{"input": "q", "output": "a"}]\n]', /line 2: it is not JSON: something follows/],
    ['[{"input": "q", "output": "a"}\n{}]', /line 2: it is not JSON/],
    ["[,]", /line 1: it is not JSON/],
    ['[{"input": "q[{,", "output": "\\"]}"},\n5]', /line 2: expected an object of columns, found the number 5/],
    ['{"input": "q"}', /expected a list of rows, found an object/],
    ["[".repeat(200_000), /line 1: it is not JSON/],
    [lists(5000), /line 1: expected an object of columns/],
  ].map(([text, message]) => [String(text).slice(0, 40), text, message] as const))("%j is refused by line", async (_, text, message) => {
    await refusedIn(loadDataset(await write("rows.json", text as string)), "E_BAD_DATASET", message as RegExp);
  });

  test("with brackets, commas and quotes in their texts are read as JSON.parse reads them", async () => {
    const odd = ['a,"b', "]}[{", "\\", "\\\\\"", "\n", "\u2028", ""].map((text) => ({ input: `q${text}`, output: `${text}a` }));
    for (const indent of [0, 1, "\t"]) expect((await loadDataset(await write("odd.json", JSON.stringify(odd, null, indent)))).rows).toEqual(odd);
  });

  test("a signal stops loading and every importer, in this process and in another", async () => {
    const signal = AbortSignal.abort();
    const [json, csv] = [await write("rows.json", JSON.stringify(rows(2))), await write("rows.csv", "input,output\nq,a\n")];
    for (const path of [json, csv]) {
      const stopped = [loadDataset(path, undefined, { signal }), datasets.importAlpaca(path, { signal }), datasets.importBeaverTails(path, { safe: true, signal }),
        datasets.importPairs(path, path, { signal }), datasets.importColumns(path, { input: "input", output: "output" }, { signal })];
      for (const work of stopped) await refusedIn(work, "E_ABORTED");
    }
    const slow = await write("slow.json", JSON.stringify(rows(100_000)));
    await refusedIn(loadDataset(slow, undefined, { signal: AbortSignal.timeout(50) }), "E_ABORTED"); // starting a process takes longer
  });

  test("what is not a regular file is refused, instead of waited for", async () => {
    const path = join(await temporaryFolder(), "pipe.json");
    await run("mkfifo", [path]);
    expect(await refusedIn(loadDataset(path), "E_NOT_FOUND", /not a regular file/)).toBeLessThan(5000);
  });
});

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
    ["a vector that is not there", changed({ settings: [{ label: "x", prompt: "no-icl", steer: [{ vector: 99, schedule: { kind: "fixed", alpha: 1 } }] }] }), /vector that the run does not have/],
    ["no vectors", changed({ vectors: [] }), /vectors/],
    ["a million bad settings", changed({ settings: new Array(1_000_000).fill(1) }), /settings: the list has 1000000 items; expected 1 to 10000/],
    ["bad settings within bounds", changed({ settings: new Array(9_000).fill({ label: "x", prompt: "icl", steer: new Array(90).fill(0) }) }), /settings\.0\.steer\.0|settings\.0/],
    ["more bytes than any", inConfig(`"${"x".repeat(2 ** 23)}"`), /bytes/],
  ])("with %s is refused at once by every reader", async (_, change, message) => {
    const folder = await folderWith(change);
    const out = join(await temporaryFolder(), "out");
    using evaluator = await evaluate.language({ wanted: "ita" });
    const readers = [() => results.read(folder), () => writeReport([folder], { out }), () => evaluate.run(folder, [evaluator]), () => results.merge(out, [folder])];
    for (const read of readers) expect(await refusedIn(read(), "E_BAD_RUN", message)).toBeLessThan(3000);
  });

  test("a line of results of brackets alone is refused before it is parsed", async () => {
    const folder = await folderWith((json) => json);
    await writeFile(join(folder, "results.jsonl"), `${"[".repeat(2 ** 24)}\n`);
    expect(await refusedIn(results.read(folder), "E_BAD_RUN", /line 1 has 16777216 characters/)).toBeLessThan(3000);
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
    return { ...aRun(), vectors, settings: Array.from({ length: nSettings }, (_, i) => ({ label: `Fixed ${i}`, prompt: "no-icl", steer })), nPrompts: 1 };
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
    await refusedIn(results.write(out, { ...aRun(), config: JSON.parse(objects(200)) as RunFile["config"] }, []), "E_BAD_ARGUMENT", /nested/);
    expect(existsSync(out)).toBe(false);
  }, 60_000);

  test("a line of results or of an evaluation that could not be read again is not written", async () => {
    const folder = await folderWith((json) => json);
    const before = await readdir(folder);
    const [record] = someRecords(aRun(), 0);
    const out = join(await temporaryFolder(), "run");
    await refusedIn(results.write(out, aRun(), [{ ...record!, text: "x".repeat(2 ** 23) }]), "E_BAD_ARGUMENT", /the answer to prompt 0 in "icl" takes \d+ characters/);
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

describe("plans", () => {
  const names = (n: number): string => Array.from({ length: n }, (_, i) => `m${i}`).join(",");
  const bomb = ["a: &a [x,x,x,x,x,x,x,x,x]", ...[..."bcdefghijkl"].map((name, i) => `${name}: &${name} [${Array(9).fill(`*${"abcdefghijkl"[i]}`).join(",")}]`), "models: *l"].join("\n");

  test.each([
    ["an alias of nothing", "models: [*nope]\n", /Unresolved alias/],
    ["a bomb of aliases", bomb, /Excessive alias count/],
    ["deep lists", `models: ${lists(20_000)}`, /./],
    ["lists without an end", "[".repeat(100_000), /./],
    ["more bytes than any", "#".repeat(3_000_000), /bytes/],
    ["ten thousand slips", `models: [${"1,".repeat(10_000)}1]`, /models\.9 \(1\)[^]*and 9991 more/],
  ])("with %s are refused by name", async (_, text, message) => {
    await refusedIn(experiment.loadPlan(await write("plan.yaml", text)), "E_BAD_ARGUMENT", message);
  });

  test("of more runs than anybody waits for are refused before they are made", async () => {
    const plan = await experiment.loadPlan(await write("plan.yaml", `models: [${names(3000)}]\nseeds: [${Array.from({ length: 3000 }, (_, i) => i).join(",")}]\nsingle: [{positive: ITA, negative: ENG}]`));
    expect(() => experiment.planRuns(plan)).toThrow(/9000000 runs .* at most 10000/);
    expect(await refusedIn(experiment.checkPlan(plan), "E_BAD_ARGUMENT", /9000000 runs/)).toBeLessThan(1000);
  });

  test("of a thousand runs are checked in a second: each dataset is read once", async () => {
    const plan = await experiment.loadPlan(await write("plan.yaml", `models: [${names(400)}]\nseeds: [1, 2, 3]\nsingle: [{positive: ITA, negative: ENG}]`));
    const begun = performance.now();
    expect((await experiment.checkPlan(plan)).left).toHaveLength(1200);
    expect(performance.now() - begun).toBeLessThan(10_000);
  });

  test("stop at a signal", async () => {
    const path = await write("plan.yaml", "models: [tiny]\nsingle: [{positive: ITA, negative: ENG}]");
    const signal = AbortSignal.abort();
    await refusedIn(experiment.loadPlan(path, { signal }), "E_ABORTED");
    await refusedIn(experiment.checkPlan(await experiment.loadPlan(path), undefined, { signal }), "E_ABORTED");
  });
});

describe("files of vectors", () => {
  test("with a header of brackets alone, or a million bad entries, are refused at once", async () => {
    const header = (text: string): Buffer => {
      const bytes = Buffer.alloc(8 + text.length, text);
      bytes.writeBigUInt64LE(BigInt(text.length));
      bytes.write(text, 8);
      return bytes;
    };
    expect(await refusedIn(SteeringVector.load(await write("v.safetensors", header("[".repeat(2 ** 24)))), "E_BAD_VECTOR", /length of a header/)).toBeLessThan(3000);
    await refusedIn(SteeringVector.load(await write("x.safetensors", header('{"layer.0":{"dtype":{"toString":null,"valueOf":null}}}'))), "E_BAD_VECTOR", /expected F32/); // an object without a text
    const origin = { kind: "icl", positive: {}, negative: {}, supportIndices: new Array(1_000_000).fill(0.5) };
    const metadata = { format: "llama-steer-vector", format_version: "2", operation: "add", hook_site: "resid_post", layer_base: "0", provenance: JSON.stringify({ property: "p", origin }) };
    const file = encodeSafetensors({ tensors: new Map([["layer.0", { shape: [1, 1], data: new Float32Array(1) }]]), metadata });
    expect(await refusedIn(SteeringVector.load(await write("w.safetensors", file)), "E_BAD_VECTOR", /provenance/)).toBeLessThan(3000);
  });

  test("a steering file that is too long or too deep is refused", async () => {
    await refusedIn(loadSteering(await write("s.json", " ".repeat(2 ** 21))), "E_BAD_SPEC", /bytes/);
    await refusedIn(loadSteering(await write("s.json", lists(20_000))), "E_BAD_SPEC", /nested/);
  });
});
