import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readFile, writeFile } from "node:fs/promises";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { datasetsFolder, loadDataset, saveDataset, type Dataset } from "../../lib/dataset/index.js";
import { evaluate, loadEmbedder } from "../../lib/experiments.js";
import { answerByMethods } from "../../lib/experiment/methods/answer.js";
import { settingOf, strengthsOf } from "../../lib/experiment/methods/candidates.js";
import { METHODS } from "../../lib/experiment/methods/config.js";
import { loadPlan } from "../../lib/experiment/plan.js";
import { runPlan } from "../../lib/experiment/run-plan.js";
import { loadModel, type Model } from "../../lib/index.js";
import { mean } from "../../lib/maths/index.js";
import { loadProbe } from "../../lib/probe/index.js";
import { promptTokens } from "../../lib/prompt/index.js";
import { loadVector } from "../../lib/vector/index.js";
import { differencesTable, frontTable, interferenceTable } from "../../lib/report/comparison-tables.js";
import { runData } from "../../lib/report/data.js";
import { readRun, unsteeredLabel, outcomesOf, type RunResults } from "../../lib/results/index.js";
import { ggufBytes } from "../support/gguf-writer.js";
import { readGguf } from "../support/gguf-reader.js";
import { findPullable } from "../../lib/models/pull.js";
import { modelPath } from "../../lib/models/registry.js";
import { runCommand, type Outcome } from "../support/command.js";
import { isSampled } from "../support/slow.js";
import { scratch } from "../support/tiny-files.js";

const MINUTES = 60_000;
const space = scratch();
afterAll(() => space[Symbol.dispose]());
const run = (...args: string[]): Promise<Outcome> => runCommand([...args, "--threads", "1"], { cwd: space.folder });
const FOLDER = datasetsFolder("tiny");

describe("whether an answer keeps the content", () => {
  let model: Model;
  let kept: Awaited<ReturnType<typeof evaluate.kept>>;
  beforeAll(async () => {
    model = await loadModel("tiny", { threads: 1, contextSize: 4096, maxSequences: 32 });
    kept = await evaluate.kept(model, { datasets: FOLDER });
  }, MINUTES);
  afterAll(() => model.dispose());

  test("is told across languages and styles, on answers that nothing was fitted to", async () => {
    expect(kept.gold.auc).toBeGreaterThan(0.75); // measured 0.83: a model of 2 million parameters
    const [eng, ita] = await Promise.all(["ENG_test", "ITA_test"].map((name) => loadDataset(name, FOLDER)));
    const of = async (other: (index: number) => number): Promise<number> => {
      const texts = eng!.rows.slice(0, 40).map(({ output }, index) =>
        ({ question: "", text: ita!.rows[other(index)]!.output, reference: output }));
      const found = await kept.evaluate(texts);
      return found.reduce((sum, { "": p }) => sum + (p as number), 0) / found.length;
    };
    const [same, different] = [await of((index) => index), await of((index) => (index + 1) % 40)];
    expect(same - different).toBeGreaterThan(0.05); // measured 0.13
  });

  test("is certain for the same text; an empty answer keeps nothing, and without a reference there is no telling", async () => {
    const text = "Bees make honey from nectar.";
    const found = await kept.evaluate([
      { question: "", text, reference: text }, { question: "", text: "", reference: text }, { question: "", text, reference: "" },
      { question: "", text: "honey ".repeat(5000), reference: text },
    ]);
    expect(found[0]!["cosine"]).toBeCloseTo(1, 9);
    expect(found[0]![""]).toBeGreaterThan(0.9);
    expect(found.slice(1).map(({ "": p }) => p)).toEqual([0, null, null]);
  });

  test("needs datasets with the same questions, which are told by their text and not by their row", async () => {
    const [eng, ita] = await Promise.all(["ENG", "ITA"].map((name) => loadDataset(name, FOLDER)));
    const of = async (folder: string, own: Dataset["rows"]): Promise<typeof kept> => {
      await saveDataset(space.path(folder), { ...eng!, rows: eng!.rows.slice(0, 40) });
      await saveDataset(space.path(folder), { ...ita!, rows: own });
      return evaluate.kept(model, { datasets: space.path(folder), layer: 2 });
    };
    for (const n of [1, 15]) {
      await expect(of(`few-${n}`, ita!.rows.slice(0, n))).rejects.toMatchObject({
        code: "E_BAD_DATASET", message: expect.stringMatching(`no two of ENG, ITA in .*few-${n} share 24 questions`),
      });
    }
    const [whole, moved] = [await of("whole", ita!.rows.slice(0, 40)), await of("moved", ita!.rows.slice(0, 40).reverse())];
    expect(moved.gold).toEqual(whole.gold);
    const others = ita!.rows.slice(0, 40).map(({ input, output }) => ({ input: `${input}!`, output }));
    for (const [odd, datasets] of [["ENi2f", ["ENG", "ITA"]], ["ENG", ["ITA", "ENi2f"]]] as const) {
      for (const name of ["ENG", "ITA", "ENi2f"]) {
        const rows = name === odd ? others : name === "ITA" ? ita!.rows.slice(0, 40) : eng!.rows.slice(0, 40);
        await saveDataset(space.path(`odd-${odd}`), { ...eng!, name, rows });
      }
      const { gold } = await evaluate.kept(model, { datasets: space.path(`odd-${odd}`), layer: 2 });
      expect(gold).toEqual({ ...whole.gold, datasets: [...datasets], auc: gold.auc, accuracy: gold.accuracy });
      if (odd === "ENi2f") expect(gold).toEqual(whole.gold);
    }
  }, MINUTES);

  test("is read from the layer that is named; what belongs to embedding models is refused, and the other way round", async () => {
    const named = await evaluate.kept(model, { datasets: FOLDER, layer: 1, against: "icl" });
    expect([named.config["layer"], named.gold.layer, named.against]).toEqual([1, 1, "icl"]);
    expect(named.gold.auc).toBeLessThanOrEqual(kept.gold.auc); // the default is the best
    await expect(evaluate.kept(model, { layer: 99 })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT", message: /layer 99/ });
    await expect(evaluate.kept(model, { prefix: "x" })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
    const { metadata, tensors } = readGguf(await readFile(modelPath(findPullable("tiny-formality"))));
    writeFileSync(space.path("embedder.gguf"), ggufBytes({ ...metadata, "bert.pooling_type": 1 }, tensors));
    using embedder = await loadEmbedder(space.path("embedder.gguf"), { threads: 1, vet: false });
    await expect(evaluate.kept(embedder, { layer: 1 })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
    const byEmbedder = await evaluate.kept(embedder, { datasets: FOLDER, prefix: "clustering: " });
    expect(byEmbedder.config).toMatchObject({ pooling: "mean", prefix: "clustering: ", against: "no-icl" });
    expect((await byEmbedder.evaluate([{ question: "", text: "a bee", reference: "a bee" }]))[0]!["cosine"]).toBeCloseTo(1, 5);
  }, MINUTES);
});

describe("the comparison of methods in its smallest form", () => {
  let outcome: Outcome;
  let italian: RunResults;
  const folder = join(space.folder, "claims", "tiny", "italian");
  const again = (): Promise<Outcome> => run("experiment", "plan", "claims-tiny", "--out", "claims");
  beforeAll(async () => {
    outcome = await again();
    italian = await readRun(folder);
  }, 3 * MINUTES);

  test("says how long it takes, chooses the strengths on other questions, and answers in every method", () => {
    expect({ code: outcome.code, stderr: outcome.code === 0 ? "" : outcome.stderr }).toEqual({ code: 0, stderr: "" });
    expect(outcome.stderr).toMatch(/italian: about [\d.]+ minutes from its beginning[^\n]*rows\/s/);
    expect(outcome.stderr.match(/has the best score on 2 validation questions/g)).toHaveLength(7 + 3);
    const { run: { settings, config }, records } = italian;
    const kinds = ["no-icl", "prompted", "Fixed", "Start", "Dim", "Dyn", "Budget", "Answer", "Gated"];
    expect(settings.map(({ label }) => label.split(" ")[0])).toEqual(kinds);
    const strengths = config["strengths"] as Record<string, { chosen: number; tried: Array<{ strength: number; score: number }> }>;
    for (const [method, { chosen, tried }] of Object.entries(strengths)) {
      const best = Math.max(...tried.map(({ score }) => score));
      const at = tried.findIndex(({ score }) => score === best);
      expect(tried[at]!.strength).toBe(chosen);
      // The first or the last is chosen only after three further ones on its side; a p_top of 1 is the largest.
      expect(tried.length === 7 || (method === "dynamic" && chosen === 1) || (at > 0 && at < tried.length - 1)).toBe(true);
      expect(tried.every(({ strength }, index) => index < 2
        || Math.sign(strength - tried[index - 1]!.strength) === Math.sign(tried[1]!.strength - tried[0]!.strength))).toBe(true);
    }
    expect(new Set(records.map(({ question }) => question)).size).toBe(4);
    const unsteered = unsteeredLabel(settings)!;
    for (const { setting, deltaPerplexity, klPerToken } of records) {
      if (setting === unsteered) expect([deltaPerplexity, klPerToken]).toEqual([0, undefined]);
      else if (setting !== "prompted") expect(klPerToken).toBeGreaterThan(0);
    }
    const steered = (label: string) => records.filter(({ setting }) => setting.startsWith(label)).map(({ alphas }) => alphas);
    expect(steered("Gated").every(([first]) => first![0]! > 0 && first!.slice(1).every((alpha) => alpha === 0))).toBe(true);
  });

  test("tries the strengths of each method from weak to strong", async () => {
    using model = await loadModel("tiny", { threads: 1, contextSize: 4096, maxSequences: 32 });
    const vector = await loadVector(join(folder, "italian.safetensors"));
    const probe = await loadProbe(join(folder, "gate-italian.safetensors"));
    const gate = { probe: "gate", layers: vector.layers.filter((each) => each > probe.layer) };
    const { rows } = await loadDataset("ITA_test", FOLDER);
    for (const [nVectors, method] of [...METHODS.map((each) => [1, each] as const), [2, "dynamic"] as const, [2, "budget"] as const]) {
      const parts = { vectors: Array<typeof vector>(nVectors).fill(vector), gate };
      const settings = strengthsOf(method, nVectors).map((strength) => settingOf(method, strength, parts));
      const answers = await Promise.all(rows.slice(0, 6).map(async ({ input }, index) => {
        const noIcl = await promptTokens(model, input, {});
        const prompt = { question: input, gold: "", stop: [], noIcl, icl: noIcl, iclLanguage: undefined };
        return answerByMethods(model, index, prompt, {
          settings, vectors: parts.vectors.map((each) => ({ vector: each })), probes: new Map([["gate", probe]]), maxNewTokens: 12,
          measuresKl: false,
        });
      }));
      const added = settings.map((_, index) => mean(answers.map((all) => mean(all[index]!.alphas.map(mean)))));
      expect({ method, added }).toEqual({ method, added: added.toSorted((a, b) => a - b) });
      expect(new Set(added).size).toBe(added.length);
    }
  }, 2 * MINUTES);

  test("measures content, score and KL, and has a front and an interference matrix in the report", async () => {
    expect(outcomesOf(italian).map(({ name }) => name)).toEqual(["content kept", "score", "KL per token", "perplexity"]);
    expect(outcome.stdout).toMatch(/content kept \[95 %\] +score \[95 %\] +KL per token \[95 %\]/);
    expect(outcome.stdout).toMatch(/against prompted on the same prompts[^\n]*\nsetting +effect +score +ΔPPL +area \[95 %\]/);
    expect(outcome.stdout).toMatch(/alone +ita +formal +words\n/);
    const data = runData(italian);
    const compared = (reference: string): string[] => differencesTable(data, reference)!.columns;
    expect(compared("prompted")).toEqual(expect.arrayContaining(["content kept p (Holm)", "score"]));
    expect(compared("prompted")).not.toContain("KL per token"); // the prompted answer has none
    expect(compared(data.run.settings.at(-1)!.label)).toContain("KL per token p (Holm)");
    expect(frontTable(data)!.rows.map(([group]) => group)).toEqual(
      ["all", "No ICL", "Prompted", "Dyn", "Fixed", "Start", "Dim", "Budget", "Answer budget", "Gated"]);
    const two = await readRun(join(space.folder, "claims", "tiny", "italian-formal"));
    expect(interferenceTable(runData(two))!.rows.map(([setting]) => setting)).toEqual(["prompted", "italian alone", "formal alone"]);
  });

  test("keeps what its plan judged when it is evaluated again", async () => {
    const two = join(space.folder, "claims", "tiny", "italian-formal");
    const before = await readRun(two);
    const again = await run("evaluate", two, "--brevity", "6", "--formality", "tiny-formality");
    expect(again).toMatchObject({ code: 0, stdout: expect.stringMatching(/\nformality and probe-formal agree on \d+ % of \d+ answers/) });
    const headers = (results: RunResults) => results.evaluations.map(({ header }) => header);
    const after = await readRun(two);
    expect(headers(after)).toEqual(expect.arrayContaining(headers(before)));
    expect(headers(after).map(({ evaluator }) => evaluator)).toEqual(expect.arrayContaining(["brevity", "formality"]));
    const scores = (results: RunResults) => results.records.map((_, index) => outcomesOf(results)[1]!.measure(index));
    expect(scores(after)).toEqual(scores(before));
  }, MINUTES);

  test("reports each answer, also those of further strengths", async () => {
    const file = space.path("progress.json");
    const properties = [{ name: "italian", positive: "ITA", negative: "ENG", judge: { language: "it" } }];
    writeFileSync(file, JSON.stringify({ models: ["tiny"], methods: [{
      name: "italian", properties, questions: "ITA_test",
      message: "Answer in Italian.", methods: ["budget"], evaluationSize: 1, validation: 2, maxNewTokens: 4, support: 4, judges: ["itself"],
    }] }));
    const seen: Array<{ done: number; total: number }> = [];
    const onProgress = (done: number, total: number): void => { seen.push({ done, total }); };
    const load = (): Promise<Model> => loadModel("tiny", { threads: 1, contextSize: 4096, maxSequences: 32 });
    await runPlan(await loadPlan(file), { out: space.path("progress"), load, onRun: () => ({ onProgress }) });
    const [budget] = Object.values((await readRun(join(space.path("progress"), "tiny", "italian"))).run.config["strengths"] as object) as [
      { tried: unknown[] },
    ];
    expect(budget.tried.length).toBeGreaterThan(4); // else this test would see nothing
    const choosing = seen.slice(0, 2 * (1 + budget.tried.length));
    expect(choosing.map(({ done }) => done)).toEqual(choosing.map((_, index) => Math.min(index + 1, choosing[index]!.total - 1)));
    expect(choosing.at(-1)).toEqual({ done: choosing.length - 1, total: choosing.length });
    expect(seen.at(-1)).toEqual({ done: 3, total: 3 }); // no-icl, prompted and the method
  }, MINUTES);

  test("is resumed to the byte, and refuses another comparison in its folder", async () => {
    const files = ["results.jsonl", "run.json", "strengths.json", "eval-kept.jsonl"].map((name) => join(folder, name));
    const before = await Promise.all(files.map((file) => readFile(file, "utf8")));
    await refuses(before[2]!);
    if (isSampled) return;
    // The state after a power cut: half of the answers, and the strengths of two methods.
    const { length } = italian.run.settings;
    await writeFile(files[0]!, `${before[0]!.split("\n").slice(0, 2 * length + 1).join("\n")}\n`);
    await Promise.all(["language", "kept", "fluency"].map((name) => writeFile(join(folder, `eval-${name}.jsonl`), "")));
    const strengths = JSON.parse(before[2]!) as { methods: object };
    const four = Object.fromEntries(Object.entries(strengths.methods).slice(0, 4));
    await writeFile(files[2]!, JSON.stringify({ ...strengths, methods: four }));
    expect((await again()).code).toBe(0);
    expect(await Promise.all(files.map((file) => readFile(file, "utf8")))).toEqual(before);

    async function refuses(kept: string): Promise<void> {
      await writeFile(files[2]!, kept.replace('"support": 4', '"support": 5'));
      expect(await again()).toMatchObject({ stderr: expect.stringMatching(/italian holds another comparison/) });
      await writeFile(files[2]!, kept);
    }
  }, 3 * MINUTES);
});
