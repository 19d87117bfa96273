import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { parquetWriteFile } from "hyparquet-writer";
import { datasets, experiment } from "../../lib/experiments.js";
import { loadDataset, loadSteering, SteeringVector } from "../../lib/index.js";
import { encodeSafetensors } from "../../lib/formats/safetensors.js";
import { seededRandom } from "../../lib/maths/random.js";
import { lists, refusedIn } from "../support/hostile-files.js";
import { temporaryFolder } from "../support/io-helpers.js";

const run = promisify(execFile);

async function write(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(await temporaryFolder(), name);
  await writeFile(path, content);
  return path;
}

describe("Parquet", () => {
  async function parquet(): Promise<Buffer> {
    const path = join(await temporaryFolder(), "rows.parquet");
    const column = (name: string) => ({ name, data: ["one", "two"], type: "STRING" as const });
    parquetWriteFile({ filename: path, columnData: [column("input"), column("output")] });
    return readFile(path);
  }

  test("a first column that cannot be read, and a second that the schema does not have: the parser waits for the second only, and the "
    + "first ends a process", async () => {
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
      return loadDataset(await write("rows.parquet", bytes)).then(
        () => "read", (error: { name: string; code: string }) => `${error.name} ${error.code}`,
      );
    }));
    expect(outcomes.every((outcome) => outcome === "read" || outcome === "SteeringError E_BAD_DATASET")).toBe(true);
    expect(outcomes).toContain("SteeringError E_BAD_DATASET");
  }, 60_000);
});

describe("JSON datasets", () => {
  const rows = (n: number): object[] => Array.from(
    { length: n }, (_, i) => ({ input: `question number ${i} about something`, output: `an answer that is somewhat longer ${i}` }),
  );

  test("of 24 MB with one bad row, or cut off, are refused by line in seconds", async () => {
    const many = rows(200_000);
    const text = JSON.stringify([...many, { input: "q", output: "" }], null, 1);
    const last = text.split("\n").length;
    // the line was looked for with YAML's parser: 15 s on a fast machine
    expect(
      await refusedIn(loadDataset(await write("bad.json", text)), "E_BAD_DATASET", new RegExp(`line ${last - 4}: "output" must be a text`)),
    ).toBeLessThan(15_000);
    expect(
      await refusedIn(
        loadDataset(await write("cut.json", text.slice(0, text.lastIndexOf("{") + 1))), "E_BAD_DATASET",
        new RegExp(`line ${last - 4}: it is not JSON`),
      ),
    ).toBeLessThan(15_000);
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
    for (const indent of [0, 1, "\t"]) expect((await loadDataset(await write("odd.json", JSON.stringify(odd, null, indent)))).rows)
      .toEqual(odd);
  });

  test("a signal stops loading and every importer, in this process and in another", async () => {
    const signal = AbortSignal.abort();
    const [json, csv] = [await write("rows.json", JSON.stringify(rows(2))), await write("rows.csv", "input,output\nq,a\n")];
    for (const path of [json, csv]) {
      const stopped = [loadDataset(path, undefined, { signal }), datasets.importAlpaca(path, { signal }), datasets.importBeaverTails(
        path, { safe: true, signal },
      ),
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

describe("plans", () => {
  const names = (n: number): string => Array.from({ length: n }, (_, i) => `m${i}`).join(",");
  const bomb = [
    "a: &a [x,x,x,x,x,x,x,x,x]",
    ...[..."bcdefghijkl"].map((name, i) => `${name}: &${name} [${Array(9).fill(`*${"abcdefghijkl"[i]}`).join(",")}]`), "models: *l",
  ].join("\n");

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
    const plan = await experiment.loadPlan(
      await write(
        "plan.yaml",
        `models: [${names(3000)}]\nseeds: [${Array.from({ length: 3000 }, (_, i) => i)
          .join(",")}]\nsingle: [{positive: ITA, negative: ENG}]`,
      ),
    );
    expect(() => experiment.planRuns(plan)).toThrow(/9000000 runs .* at most 10000/);
    expect(await refusedIn(experiment.checkPlan(plan), "E_BAD_ARGUMENT", /9000000 runs/)).toBeLessThan(1000);
  });

  test("of a thousand runs are checked in a second: each dataset is read once", async () => {
    const plan = await experiment.loadPlan(
      await write("plan.yaml", `models: [${names(400)}]\nseeds: [1, 2, 3]\nsingle: [{positive: ITA, negative: ENG}]`),
    );
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
    expect(
      await refusedIn(SteeringVector.load(await write("v.safetensors", header("[".repeat(2 ** 24)))), "E_BAD_VECTOR", /length of a header/),
    ).toBeLessThan(3000);
    // an object without a text
    await refusedIn(
      SteeringVector.load(await write("x.safetensors", header('{"layer.0":{"dtype":{"toString":null,"valueOf":null}}}'))), "E_BAD_VECTOR",
      /expected F32/,
    );
    const origin = { kind: "icl", positive: {}, negative: {}, supportIndices: new Array(1_000_000).fill(0.5) };
    const metadata = {
      format: "llama-steer-vector", format_version: "2", operation: "add", hook_site: "resid_post", layer_base: "0",
      provenance: JSON.stringify({ property: "p", origin }),
    };
    const file = encodeSafetensors({ tensors: new Map([["layer.0", { shape: [1, 1], data: new Float32Array(1) }]]), metadata });
    expect(await refusedIn(SteeringVector.load(await write("w.safetensors", file)), "E_BAD_VECTOR", /provenance/)).toBeLessThan(3000);
  });

  test("a steering file that is too long or too deep is refused", async () => {
    await refusedIn(loadSteering(await write("s.json", " ".repeat(2 ** 21))), "E_BAD_SPEC", /bytes/);
    await refusedIn(loadSteering(await write("s.json", lists(20_000))), "E_BAD_SPEC", /nested/);
  });
});
