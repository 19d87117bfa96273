import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadClassifier, type Classifier, type Evaluator } from "../../lib/experiments.js";
import { loadDataset, loadModel, type Model } from "../../lib/index.js";
import { datasetsFolder } from "../../lib/dataset/index.js";
import { formalityEvaluator } from "../../lib/evaluate/formality-evaluator.js";
import { perplexity } from "../../lib/generate/perplexity.js";
import { perplexityEvaluator } from "../../lib/evaluate/fluency-evaluator.js";
import { questionPrompt } from "../../lib/prompt/question.js";
import { readRun } from "../../lib/results/index.js";
import { runCommand, type Outcome } from "../support/command.js";
import { scratch } from "../support/tiny-files.js";
import { encodeT5, tinyT5 } from "../support/tiny-t5.js";

const MINUTES = 60_000;
const LONG = "word ".repeat(200_000);
const space = scratch();
const run = (...args: string[]): Promise<Outcome> => runCommand(args, { cwd: space.folder });
const rowsOf = async (name: string) => (await loadDataset(`${name}_test`, datasetsFolder("tiny"))).rows.map(
  ({ input, output }) => ({ question: input, text: output }),
);

let model: Model;
let classifier: Classifier;
beforeAll(async () => {
  model = await loadModel("tiny", { maxSequences: 32, contextSize: 8192 });
  classifier = await loadClassifier("tiny-formality");
});
afterAll(() => {
  model.dispose();
  classifier.dispose();
  space[Symbol.dispose]();
});

describe("the embedded formality classifier", () => {
  // Measured: all of 600; neutral answers get about one half and so no label.
  test("tells formal from informal answers, and neither of neutral ones", async () => {
    const evaluator = await formalityEvaluator(classifier, { wanted: "formal" });
    for (const [name, label] of [
      ["ENi2f", "formal"], ["ITi2f", "formal"], ["ZHi2f", "formal"], ["ENf2i", "informal"], ["FRf2i", "informal"], ["ENG", "und"],
      ["SPA", "und"],
    ] as const) {
      const found = await evaluator.evaluate((await rowsOf(name)).slice(0, 40));
      expect(found.filter((each) => each[""] === label).length).toBeGreaterThanOrEqual(39);
      expect(new Set(found.map((each) => each["hit"])).has(label === "formal" ? true : label === "informal" ? false : null)).toBe(true);
    }
  });

  test("`sure` 0.5 takes the likelier label, as published", async () => {
    const evaluator = await formalityEvaluator(classifier, { sure: 0.5 });
    const found = await evaluator.evaluate((await rowsOf("ENG")).slice(0, 20));
    for (const each of found) expect(each[""]).toBe((each["p"] as number) > 0.5 ? "formal" : "informal");
  });

  test("empty and endless texts are undetermined, and the others are judged", async () => {
    const evaluator = await formalityEvaluator(classifier, { wanted: "formal" });
    const [answer] = await rowsOf("ENi2f");
    const found = await evaluator.evaluate([{ question: "", text: "" }, answer!, { question: "", text: LONG }, answer!]);
    expect(found.map((each) => each["hit"])).toEqual([null, true, null, true]);
    expect(found[2]).toMatchObject({ "": "und", p: null, logits: [] });
  });

  test.each([[["formal", "informal", "neutral"]], [["LABEL_0", "LABEL_1"]]])("labels %j are refused", async (labels) => {
    const other = { labels, info: classifier.info } as unknown as Classifier;
    await expect(formalityEvaluator(other)).rejects.toMatchObject({
      code: "E_BAD_GGUF", message: expect.stringMatching(/has the labels .*expected "formal" and "informal"/),
    });
  });
});

test("perplexity under a model of choice is that of the text behind its question", async () => {
  const evaluator: Evaluator = await perplexityEvaluator(model);
  const [answer] = await rowsOf("ITA");
  const [found, empty, long] = await evaluator.evaluate([answer!, { question: "q", text: "" }, { question: "q", text: LONG }]);
  const alone = await perplexity(model, questionPrompt(answer!.question), model.tokenise(answer!.text, { bos: false }));
  expect(Math.abs(Math.log((found![""] as number) / alone))).toBeLessThan(0.01);
  expect([empty![""], long![""]]).toEqual([null, null]);
}, MINUTES);

describe("on the command line", () => {
  const SETTINGS = ["--evaluation-size", "8", "--evaluate-on", "rows", "--strategies", "dyn,fixed", "--alphas", "1", "--top-p", "0.9"];
  beforeAll(async () => {
    const { code, stderr } = await run(
      "experiment", "single", "tiny", "--positive", "ITi2f", "--negative", "ENG", "--eval-dataset", "ITi2f_test", ...SETTINGS, "--out",
      "run",
    );
    expect([code, stderr.includes("Written")]).toEqual([0, true]);
  }, 2 * MINUTES);

  test("`evaluate` judges every answer of a run, by what its datasets' names want", async () => {
    const { code, stdout, stderr } = await run(
      "evaluate", "run", "--safety", "tiny", "--formality", "tiny-formality", "--perplexity", "tiny",
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/formal \[95 %\] +ita \[95 %\] +all at once \[95 %\]/);
    expect(stderr).toMatch(/safety: 40 answers, [\d.]+ answers\/s/);
    const { evaluations } = await readRun(join(space.folder, "run"));
    expect(evaluations.map(({ header, rows }) => [header.evaluator, header.wanted, rows.length])).toEqual([
      ["fluency", null, 40], ["formality", "formal", 40], ["language", "ita", 40], ["perplexity", null, 40], ["safety", null, 40],
      ["switching", null, 40],
    ]);
  }, MINUTES);

  test("and says so as JSON: Dyn has both properties, no-icl none", async () => {
    const { stdout } = await run("results", "show", "run", "--json");
    const { wanted, settings, agreement } = (JSON.parse(stdout) as {
      summary: { wanted: object; agreement: number; settings: Array<{ setting: string; joint: { share: { value: number } } }> }
    }).summary;
    expect(wanted).toEqual({ fluency: null, formality: "formal", language: "ita", perplexity: null, safety: null, switching: null });
    expect(agreement).toBeGreaterThan(0.5);
    const joint = (setting: string) => settings.find((each) => each.setting === setting)!.joint.share.value;
    expect(joint("Dyn p=0.9")).toBeGreaterThanOrEqual(7 / 8);
    expect(joint("no-icl")).toBe(0);
  });

  test("a probe of the run's own model is an evaluator too", async () => {
    expect((await run("probe", "train", "tiny", "--positive", "ITi2f", "--negative", "ITf2i", "--out", "formal.probe")).code).toBe(0);
    const { code, stdout } = await run("evaluate", "run", "--probe", "formal.probe");
    expect([code, stdout]).toEqual([0, expect.stringMatching(/ITi2f \[95 %\]/)]);
    const { evaluations } = await readRun(join(space.folder, "run"));
    const [probe, formality] = ["probe-iti2f-itf2i", "formality"].map(
      (name) => evaluations.find(({ header }) => header.evaluator === name)!,
    );
    expect(probe!.header.wanted).toBe("ITi2f");
    // Where the classifier is sure of formal, so is the probe.
    const both = formality!.rows.flatMap(
      (row, index) => (row["eval_formality_hit"] === true ? [probe!.rows[index]!["eval_probe_iti2f_itf2i_hit"]] : []),
    );
    expect(both.filter((hit) => hit === true).length / both.length).toBeGreaterThanOrEqual(0.9);
    const text = await run("evaluate", "text", "Gradirei un consiglio.", "--probe", "formal.probe");
    expect([text.code, text.stderr]).toEqual([2, expect.stringMatching(/--probe-model/)]);
    expect(
      (await run("evaluate", "text", "Gradirei un consiglio.", "--probe", "formal.probe", "--probe-model", "tiny", "--json")).stdout,
    ).toMatch(/"eval_probe_iti2f_itf2i_p": 0\.\d/);
  }, MINUTES);

  test("answers in other languages are shown to the guard in English; the translations are kept", async () => {
    await writeFile(join(space.folder, "t5.gguf"), encodeT5(tinyT5()));
    const found = await run(
      "evaluate", "text", "Le api fanno il miele dal nettare dei fiori.", "--safety", "tiny", "--translate", "t5.gguf", "--json",
    );
    expect([found.code, found.stderr]).toEqual([0, ""]);
    expect(JSON.parse(found.stdout)).toMatchObject({ eval_language: "ita", eval_safety_translation: expect.any(String) });
    const english = await run(
      "evaluate", "text", "Bees make honey from the nectar of flowers.", "--safety", "tiny", "--translate", "t5.gguf", "--json",
    );
    expect(JSON.parse(english.stdout)).toMatchObject({ eval_language: "eng", eval_safety_translation: null });
    expect((await run("evaluate", "text", "x", "--safety", "tiny", "--translate", "tiny")).code).toBe(3);
  });

  test("`results export` puts the columns of all evaluators beside the answers", async () => {
    const { stdout } = await run("results", "export", "run", "--format", "jsonl");
    const [first] = stdout.split("\n");
    expect(Object.keys(JSON.parse(first!) as object)).toEqual(expect.arrayContaining([
      "text", "deltaPerplexity", "eval_language_hit", "eval_formality_p", "eval_safety_raw_unsafe", "eval_perplexity", "eval_fluency_words",
    ]));
  });

  test("another wanted value is refused until --again", async () => {
    const refused = await run("evaluate", "run", "--language", "fr");
    expect([refused.code, refused.stderr]).toEqual([3, expect.stringMatching(/wanted "ita" there, "fra" here.*--again/)]);
    expect((await run("evaluate", "run", "--language", "fr", "--again")).code).toBe(0);
    expect((await run("evaluate", "run", "--language", "it", "--again")).code).toBe(0);
  });

  test("`evaluate text`, given or piped in", async () => {
    const given = await run("evaluate", "text", "Le api fanno il miele.", "--language", "it", "--json");
    expect(JSON.parse(given.stdout)).toMatchObject({ eval_language: "ita", eval_language_hit: true, eval_fluency_words: 5 });
    const piped = await runCommand(["evaluate", "text", "--json"], { cwd: space.folder, input: Buffer.from("Les abeilles font du miel.") });
    expect(JSON.parse(piped.stdout)).toMatchObject({ eval_language: "fra" });
    const bytes = await runCommand(["evaluate", "text"], { cwd: space.folder, input: Buffer.from([0x4c, 0xff, 0xfe, 0x4c]) });
    expect([bytes.code, bytes.stderr]).toEqual([2, expect.stringMatching(/not UTF-8/)]);
    const empty = await runCommand(["evaluate", "text", "--json"], { cwd: space.folder, input: Buffer.from("") });
    expect(JSON.parse(empty.stdout)).toMatchObject({
      eval_language: "und", eval_language_why: "empty", eval_fluency_words: 0, eval_fluency_repetition: null,
    });
  });

  test.each([
    [["evaluate", "run", "--wanted", "safety=good"], 2, /safety=unsafe/],
    [["evaluate", "run", "--language", "klingonese-x-"], 2, /is not a language/],
    [["evaluate", "run", "--sure", "0.3"], 2, /--sure must be/],
    [["evaluate", "run", "--sure", "0.6"], 2, /--sure has no effect without --formality/],
    [["evaluate", "run", "--translate", "nllb"], 2, /--translate has no effect without --safety or --formality/],
    [["evaluate", "run", "--wanted", "constructor=x"], 2, /safety=unsafe/],
    [["evaluate", "run", "--probe", "formal.probe", "--probe", "formal.probe"], 2, /two evaluators are called/],
    [["evaluate", "run", "--formality", "tiny"], 3, /no classification head/],
    [["evaluate", "run", "--safety", "tiny-formality"], 3, /classifier/],
    [["evaluate", "nowhere"], 3, /no run in nowhere/],
    [["evaluate"], 2, /./],
  ])("%j is refused", async (args, code, message) => {
    const outcome = await run(...args);
    expect([outcome.code, outcome.stderr]).toEqual([code, expect.stringMatching(message)]);
  });

  test("invalid UTF-8 in a run's results is refused, not read as something else", async () => {
    const bytes = await readFile(join(space.folder, "run", "results.jsonl"));
    bytes[bytes.indexOf("question\":\"") + 12] = 0xff;
    await run("results", "show", "run");
    await writeFile(join(space.folder, "run", "results.jsonl"), bytes);
    const outcome = await run("evaluate", "run");
    expect([outcome.code, outcome.stderr]).toEqual([3, expect.stringMatching(/results\.jsonl is not UTF-8/)]);
  });

  test("`trace` prints a line per token with the alphas and KLs", async () => {
    const vector = join("run", "ITi2f-ENG.safetensors");
    const shown = await run(
      "trace", "tiny", "How do I plan the picnic?", "--steer", `${vector}:dyn,p=0.9`, "--steer", `${vector}:fixed,0.5`, "--max-new-tokens",
      "5",
    );
    expect(shown.stdout).toMatch(
      /^step +token +p +alpha ITi2f-ENG +KL +alpha ITi2f-ENG\n( +\d .* \d\.\d{3} .*\d\.\d\d +.*\d\.\d\d +.*0\.50\n){5}\n\S/,
    );
    const lines = (await run(
      "trace", "tiny", "How do I plan the picnic?", "--steer", `${vector}:dyn,p=0.9`, "--max-new-tokens", "5", "--json",
    )).stdout.trim().split("\n");
    expect(lines.map((line) => JSON.parse(line) as object)).toEqual(Array.from(
      { length: 5 },
      (_, step) => expect.objectContaining({
        step, logProbability: expect.any(Number), readings: [{ alpha: expect.any(Number), kl: expect.any(Number) }],
      }),
    ));
  });

  test("`trace` and `generate` know the variants of Dyn", async () => {
    const steer = `${join("run", "ITi2f-ENG.safetensors")}:dyn,p=0.9,skip=9,after=2,for=1`;
    const asked = ["tiny", "How do I plan the picnic?", "--steer", steer, "--own-history", "clean", "--max-new-tokens", "4"];
    const { stdout } = await run("trace", ...asked);
    expect(stdout.split("\n").slice(1, 5).map((line) => line.endsWith(" –"))).toEqual([false, false, true, false]);
    const result = JSON.parse((await run("generate", ...asked, "--json")).stdout) as object;
    expect(result).toMatchObject({ ownHistory: "clean", steering: [{ schedule: { skip: { below: 9, after: 2, for: 1 } } }] });
  });
});
