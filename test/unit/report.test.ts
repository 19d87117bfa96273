import { writeFileSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { runData } from "../../lib/report/data.js";
import { hashOf } from "../../lib/experiment/single.js";
import { runFigures } from "../../lib/report/figures/index.js";
import { writeReport } from "../../lib/report/index.js";
import { runVectors } from "../../lib/report/norms.js";
import { checkShown, shownLength, type DrawnFigure } from "../../lib/report/page.js";
import { EvaluationStore, fromPublished, readRun, writeRun, type ResultRecord, type RunFile } from "../../lib/results/index.js";
import { saveVector } from "../../lib/vector/vector-file.js";
import { temporaryFolder } from "../support/io-helpers.js";
import { aComposition, allRecords, anEvaluation, aRun, resultsOf } from "../support/runs.js";
import { smallVector } from "../support/vectors.js";

const EVIL = "</svg><script>alert(1)</script> \"quoted\" & 'so' | on";
const NOTHING = { vectors: [], vocabulary: { missing: "none here" }, prompts: [0], subtitle: "" };

/** A run whose texts try to leave the page. */
function evilRecords(run: RunFile): ResultRecord[] {
  return allRecords(run, (prompt, { label, steer }) => ({
    question: `${EVIL} ${prompt}`, text: EVIL, gold: EVIL, deltaPerplexity: label === "icl" ? null : prompt,
    alphas: steer.map(() => [0.5, 1]), kls: steer.map(({ schedule }) => (schedule.kind === "dynamic" ? [1, 2] : null)),
  }));
}

async function written(run: RunFile, records: readonly ResultRecord[]): Promise<string> {
  const folder = join(await temporaryFolder(), "run");
  await writeRun(folder, run, records);
  return folder;
}

async function evaluated(folder: string, evaluator: string, wanted: string, hit: (record: ResultRecord) => boolean | null): Promise<void> {
  const results = await readRun(folder);
  await using store = await EvaluationStore.open(folder, { evaluator, property: evaluator, wanted, config: {}, versions: {} });
  await store.append(anEvaluation(results.run, results.records, evaluator, wanted, hit).rows.map((
    { prompt: _p, setting: _s, answer: _a, ...columns },
  ) => columns));
}

const pageOf = async (runs: string[], out?: string): Promise<{ html: string; out: string; files: string[] }> => {
  const folder = out ?? join(await temporaryFolder(), "report");
  const { page, files } = await writeReport(runs, { out: folder });
  return { html: await readFile(page, "utf8"), out: folder, files };
};

describe("a figure is left out with its reason", () => {
  const missing = (results: Parameters<typeof runData>[0]) => Object.fromEntries(runFigures(runData(results), NOTHING).map(
    (figure) => [figure.id, figure.chart ? "drawn" : figure.missing],
  ));

  test.each([
    [
      "nothing was answered", resultsOf(aRun(), []),
      {
        outcomes: "the run has no answers yet", steps: "the Dyn answers contain no α and no KL per step",
        matrices: "the run steers with one vector",
      },
    ],
    [
      "nothing was evaluated", resultsOf(aComposition(), evilRecords(aComposition())),
      { outcomes: "drawn", steps: "drawn", tokens: "drawn", "trade-off": "no answer was evaluated" },
    ],
    [
      "neither evaluated nor with ΔPPL", resultsOf(aRun(), allRecords(aRun(), () => ({}))),
      { outcomes: "no answer was evaluated, and none has a ΔPPL", tokens: "no Dyn answer contains an α per token" },
    ],
    [
      "no Dyn", resultsOf(aRun({ settings: aRun().settings.slice(0, 2) }), []),
      { steps: "the run has no Dyn setting", tokens: "the run has no Dyn setting" },
    ],
  ])("%s", (_, results, expected) => {
    expect(missing(results)).toMatchObject(expected);
  });

  test("of a vector file that is not there, is another one, or is broken", async () => {
    const folder = await temporaryFolder();
    const vector = (file: string, hash: string | null) =>
      runVectors(folder, aRun({ vectors: [{ property: "ITA", file, hash }] })).then(([found]) => found);
    await saveVector(join(folder, "good.safetensors"), smallVector());
    await writeFile(join(folder, "bad.safetensors"), "no vector");
    expect((await vector("good.safetensors", null))!.vector!.nSteps).toBe(smallVector().nSteps);
    expect((await vector("gone.safetensors", null))!.missing).toBe("its vector file gone.safetensors is missing");
    expect((await vector("good.safetensors", "sha256:0"))!.missing).toContain("differs from the one that the run steered with");
    expect((await vector("bad.safetensors", null))!.missing).toContain("cannot be read");
    expect((await vector("unknown", "unknown"))!.missing).toContain("imported");
    const elsewhere = await temporaryFolder();
    const hash = await hashOf(join(folder, "good.safetensors"));
    expect(
      (await runVectors(elsewhere, aRun({ vectors: [{ property: "ITA", file: "/gone/good.safetensors", hash }] }), [folder]))[0]!.vector,
    ).toBeDefined();
    const given = relative("", join(folder, "good.safetensors")); // as given to a run that was started here
    const deep = join(elsewhere, "1", "2", "3", "4", "5", "6", "7", "8");
    expect((await runVectors(deep, aRun({ vectors: [{ property: "ITA", file: given, hash }] })))[0]!.vector).toBeDefined();
    expect((await vector(process.platform === "win32" ? "NUL" : "/dev/zero", hash))!.missing).toContain("is missing"); // never read
  });
});

describe("the page", () => {
  test("holds texts of the model as texts, and asks for nothing from elsewhere", async () => {
    const folder = await written(aComposition(), evilRecords(aComposition()));
    await evaluated(folder, "formality", EVIL, ({ prompt }) => prompt < 2);
    const { html, out } = await pageOf([folder]);
    expect(html).toContain("&lt;/svg&gt;&lt;script&gt;alert(1)&lt;/script&gt;");
    expect(html).not.toMatch(/<script/i);
    expect(html.match(/<svg /g)!.length).toBe(html.match(/<\/svg>/g)!.length);
    expect(html.match(/<svg /g)!.length).toBeGreaterThanOrEqual(5);
    const addresses = [...html.matchAll(/(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)/g)].map(([, address]) => address!);
    expect(addresses.filter((address) => !/^(#|figures\/|tables\/|data:image\/png)/.test(address))).toEqual([]);
    expect([...html.matchAll(/https?:\/\/[^\s"]+/g)].map(([url]) => url).filter((url) => !url.startsWith("http://www.w3.org/")))
      .toEqual([]);
    for (const name of (await readdir(join(out, "figures"))).filter((each) => each.endsWith(".svg"))) {
      const svg = await readFile(join(out, "figures", name), "utf8");
      expect(svg).not.toMatch(/<script/i);
      expect(svg.match(/<\/svg>/g)).toHaveLength(1);
      expect(svg).toContain("role=\"img\"");
    }
  });

  test("is the same bytes every time, ids included, and holds no id twice", async () => {
    const folder = await written(aComposition(), evilRecords(aComposition()));
    await evaluated(folder, "formality", "formal", ({ prompt }) => prompt < 2);
    const vector = await written(aRun(), evilRecords(aRun()));
    await saveVector(join(vector, "ITA-ENG.safetensors"), smallVector());
    const [first, second] = [await pageOf([folder, vector]), await pageOf([folder, vector])];
    expect(second.html === first.html).toBe(true);
    for (const file of first.files) {
      const name = file.slice(first.out.length);
      expect((await readFile(join(second.out, name))).equals(await readFile(file))).toBe(true);
    }
    const ids = [...first.html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id!);
    expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([]);
    for (const [, target] of first.html.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(target);
    for (const [, target] of first.html.matchAll(/href="((?:figures|tables)[^"]+)"/g)) expect(first.files).toContain(join(
      first.out, decodeURI(target!),
    ));
    expect(ids.some((id) => /norms-ITA-\d/.test(id))).toBe(true); // the gradient of a legend
  });

  test("says what is not there: half of the prompts, evaluations, vectors, texts of tokens", async () => {
    const run = aRun({ vectors: [{ property: "formal", file: "gone.safetensors", hash: null }], datasets: {} });
    const folder = await written(run, evilRecords(run).slice(0, 2 * run.settings.length));
    const { html } = await pageOf([folder]);
    for (const text of [
      "This run is not complete: 2 of 7 prompts", "llama-steer evaluate", "gone.safetensors is missing",
      "the model m is not on this machine",
    ]) expect(html).toContain(text);
    const numbers = [...html.matchAll(/<strong>Figure (\d+)\./g)].map(([, number]) => Number(number));
    expect(numbers.length).toBeGreaterThan(1);
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  });

  test("shows a run with one prompt, with none, with failed answers, and an imported one", async () => {
    const one = aRun({ nPrompts: 1 });
    const failed = evilRecords(one).map(
      (record): ResultRecord => ({
        ...record, finishReason: "failed", text: "", tokens: [], alphas: [], kls: [], deltaPerplexity: null, error: "not finite",
      }),
    );
    const imported = fromPublished(
      [
        {
          prompt: "Q:q\nA:", gold: "g", output: { icl: "i", no_icl: "n", "dynamic_p0.5": "d", "edited_1.0": "e" },
          perplexity: { icl: 2, delta_no_icl: null, "delta_edited_1.0": 3 },
          additional: { "0.5_dynamic_alphas": [1, 0.5], "0.5_dynamic_kls": [1, 0.5] },
        },
      ],
      "x_ITA-ENG.json",
    );
    const folders = await Promise.all([
      written(one, evilRecords(one)), written(one, []), written(one, failed), written(imported.run, imported.records),
    ]);
    const { html } = await pageOf(folders);
    expect(html).toContain("no answer: not finite");
    expect(html).toContain("an imported run names no vector file");
    expect(html.match(/<section /g)).toHaveLength(4);
    expect(html).toContain("id=\"overview\"");
    expect(html).not.toMatch(/NaN|undefined|Infinity/);
  });

  test("a folder of runs is all of them, each once, by names of their own", async () => {
    const parent = await temporaryFolder();
    for (const name of ["a/ITA+x", "a/ITA x", "b/ITA"]) {
      await mkdir(join(parent, name), { recursive: true });
      await writeRun(join(parent, name), aRun({ nPrompts: 1 }), evilRecords(aRun({ nPrompts: 1 })));
    }
    const { html, files } = await pageOf([parent, join(parent, "b")]);
    expect([...html.matchAll(/<h2 id="(a[^"]*|b[^"]*)">/g)].map(([, id]) => id)).toEqual(["a-ITA-x", "a-ITA-x-2", "b-ITA"]);
    expect(new Set(files).size).toBe(files.length);
  });
});

describe("refusals come before work", () => {
  test("a folder that cannot be written, a reference that no run has, no run, a newer version", async () => {
    const folder = await written(aRun(), []);
    const blocked = join(await temporaryFolder(), "file");
    await writeFile(blocked, "");
    await expect(writeReport([folder], { out: blocked })).rejects.toMatchObject({ code: "E_WRITE" });
    await expect(writeReport([folder], { out: join(folder, "out"), reference: "Fixed 9" })).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT", message: expect.stringContaining("Dyn p=0.5"),
    });
    await expect(writeReport([await temporaryFolder()], { out: join(folder, "out") })).rejects.toMatchObject({ code: "E_NOT_FOUND" });
    const newer = await temporaryFolder();
    await copyFile(join(folder, "run.json"), join(newer, "run.json"));
    await writeFile(join(newer, "run.json"), JSON.stringify({ ...aRun(), formatVersion: 2 }));
    await expect(writeReport([newer], { out: join(folder, "out") })).rejects.toMatchObject({ code: "E_BAD_RUN" });
  });

  test("a run that gets answers meanwhile is reported as it was when the report began", async () => {
    const run = aRun();
    const records = allRecords(run, () => ({}));
    const folder = await written(run, records.slice(0, 2 * run.settings.length));
    const onProgress = (): void => writeFileSync(join(folder, "results.jsonl"), records.map((record) => `${JSON.stringify(record)}\n`).join(""));
    const { page } = await writeReport([folder], { out: join(folder, "report"), onProgress });
    expect(await readFile(page, "utf8")).toContain("not complete: 2 of 7 prompts are answered");
  });

  test("a page that would be too large for a browser", () => {
    const table = { id: "t", title: "t", caption: "c", columns: [], rows: [], shownColumns: ["a"], shown: [["x".repeat(1000)]] };
    const figures = [{ html: "x".repeat(100) }] as unknown as DrawnFigure[];
    expect(shownLength({ samples: "x".repeat(10), figures, tables: [{ table, files: [] }] })).toBeGreaterThan(1110);
    expect(() => checkShown(2 ** 28, 1)).not.toThrow();
    expect(() => checkShown(2 ** 28 + 1, 1)).toThrow(expect.objectContaining({
      code: "E_BAD_ARGUMENT", message: "the page of 1 runs would have 269 MB; expected at most 268: report fewer runs at once",
    }));
  });
});
