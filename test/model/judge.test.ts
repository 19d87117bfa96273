import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { writeFile } from "node:fs/promises";
import { EXIT } from "../../bin/exit-codes.js";
import { evaluate, experiment, type Rubric, type YesNoRubric } from "../../lib/experiments.js";
import { calibrate, extract, loadDataset, loadModel, prompts, type Model, type SteeringVector } from "../../lib/index.js";
import { readRun, writeRun } from "../../lib/results/index.js";
import { writeChatModel } from "../support/chat-model.js";
import { runCommand } from "../support/command.js";
import { aRun, someRecords } from "../support/runs.js";
import { scratch } from "../support/tiny-files.js";

const MINUTES = 60_000;
/** The same sum in batches of other shapes. */
const ROUNDING = 2e-3;
const datasets = "models/tiny/datasets";
const space = scratch();
const formality = evaluate.rubric("formality");
const answers = [
  { question: "How do I plan the picnic?", text: "the picnic is in the park", reference: "il picnic" },
  { question: "", text: "il miele", reference: "the honey is sweet" },
];

/** The embedded model with a template of turns: no good judge, but any model's verdict is the same sum. */
let judging: Model;
let tiny: Model;
let italian: SteeringVector;
beforeAll(async () => {
  writeChatModel(space.path("chat.gguf"));
  judging = await loadModel(space.path("chat.gguf"), { threads: 1, vet: false, maxSequences: 32, contextSize: 8192 });
  tiny = await loadModel("tiny", { threads: 1, maxSequences: 32, contextSize: 8192 });
  const [positive, negative] = await Promise.all(["ITA", "ENG"].map((name) => loadDataset(name, datasets)));
  italian = await extract(tiny, { positive: positive!, negative: negative!, support: 6, maxNewTokens: 12, strength: false });
}, MINUTES);
afterAll(() => {
  judging.dispose();
  tiny.dispose();
  space[Symbol.dispose]();
});

/** P(word) as a reply, over its spellings, from the model's own scores of a written-out request. */
async function replyProbability(request: string, word: string): Promise<number> {
  const spellings = [word, word.toLowerCase(), word.toUpperCase()].flatMap((each) => [each, ` ${each}`]);
  const distinct = new Map(spellings.map((each) => judging.tokenise(each, { bos: false })).map((tokens) => [tokens.join(), tokens]));
  let sum = 0;
  for (const tokens of distinct.values()) {
    sum += Math.exp((await judging.score(`Q:${request}\nA:`, tokens)).reduce((a, b) => a + b, 0));
  }
  return sum;
}

describe("a judge", () => {
  test("reads its verdict off the probabilities of the words, asked both ways", async () => {
    const judge = await evaluate.Judge.of(judging, { leastMass: 0 });
    const [verdict] = await judge.judge(answers, formality);
    const { question, text } = answers[0]!;
    const head = `Read this question and an answer to it.\n\nQuestion:\n${question}\n\nAnswer:\n${text}\n\n`;
    const share = async (ask: string): Promise<{ yes: number; mass: number }> => {
      const request = `${head}${ask} Reply with one word, Yes or No.`;
      const [yes, no] = [await replyProbability(request, "Yes"), await replyProbability(request, "No")];
      return { yes: yes / (yes + no), mass: yes + no };
    };
    const [plain, opposite] = [await share(formality.ask), await share(formality.opposite!)];
    expect(verdict!.value).toBeCloseTo((plain.yes + 1 - opposite.yes) / 2, 2);
    expect(Math.abs(verdict!.value - (plain.yes + 1 - opposite.yes) / 2)).toBeLessThan(ROUNDING);
    expect(Math.abs(Math.log(verdict!.mass / Math.min(plain.mass, opposite.mass)))).toBeLessThan(0.02);
  }, MINUTES);

  test("gives the opposite verdict to the opposite question, and the opposite preference to swapped answers", async () => {
    const judge = await evaluate.Judge.of(judging, { leastMass: 0 });
    const { ask, opposite, labels, ...rest } = formality;
    const turned: YesNoRubric = { ...rest, ask: opposite!, opposite: ask, labels: [labels[1], labels[0]] };
    const [plain, back] = [await judge.judge(answers, formality), await judge.judge(answers, turned)];
    plain.forEach((verdict, index) => expect(Math.abs(verdict!.value + back[index]!.value - 1)).toBeLessThan(ROUNDING));
    const swapped = answers.map(({ question, text, reference }) => ({ question, text: reference, reference: text }));
    const [one, other] = [await judge.compare(answers, formality), await judge.compare(swapped, formality)];
    one.forEach((verdict, index) => expect(Math.abs(verdict!.value + other[index]!.value - 1)).toBeLessThan(ROUNDING));
    expect(new Set([...plain, ...one].map((verdict) => verdict!.value.toFixed(6))).size).toBeGreaterThan(2);
  }, MINUTES);

  test("expects a score on a scale, by the scores' probabilities", async () => {
    const judge = await evaluate.Judge.of(judging, { leastMass: 0 });
    const rubric: Rubric = { kind: "scale", name: "clear", ask: "How clear is the answer?", least: 1, most: 3, from: 2 };
    const request = "Read this answer.\n\nAnswer:\nil miele\n\nHow clear is the answer? Reply with one number from 1 to 3.";
    const found = await Promise.all(["1", "2", "3"].map((score) => replyProbability(request, score)));
    const expected = (found[0]! + 2 * found[1]! + 3 * found[2]!) / (found[0]! + found[1]! + found[2]!);
    const [, verdict] = await judge.judge(answers, rubric);
    expect(Math.abs(verdict!.value - expected)).toBeLessThan(ROUNDING);
    const [, row] = await (await evaluate.judge(judging, rubric, { leastMass: 0 })).evaluate(answers);
    expect(row).toEqual({ "": verdict!.value, mass: verdict!.mass, hit: verdict!.value >= 2 });
  }, MINUTES);

  test("leaves what it cannot judge undetermined: empty and endless texts, equal answers, too little probability", async () => {
    const judge = await evaluate.Judge.of(judging, { leastMass: 0 });
    const odd = ["", "word ".repeat(9_000)].map((text) => ({ question: "q", text }));
    expect(await judge.judge(odd, formality)).toEqual([null, null]);
    const same = [{ question: "q", text: " a", reference: "a " }, { question: "q", text: "a" }];
    expect(await judge.compare(same, formality)).toEqual([null, null]);
    const evaluator = await evaluate.judge(judging, formality, { leastMass: 0, wanted: "informal" });
    const [row, empty] = await evaluator.evaluate([answers[0]!, { question: "", text: "" }]);
    expect(empty).toEqual({ "": "und", p: null, mass: null, hit: null });
    expect(row).toMatchObject({ "": row!["p"] as number >= 0.5 ? "formal" : "informal", hit: (row!["p"] as number) < 0.5 });
    expect(evaluator).toMatchObject({ name: "judge-formality", property: "formality", wanted: "informal" });
  }, MINUTES);

  test("must be an instruct model that gives verdicts", async () => {
    await expect(evaluate.Judge.of(tiny)).rejects.toMatchObject({ code: "E_BAD_GGUF", message: expect.stringMatching(/no chat template/) });
    await expect(evaluate.Judge.of(judging)).rejects.toMatchObject({
      code: "E_BAD_GGUF", message: expect.stringMatching(/does not judge: .* % of the probability; expected at least 50 %/),
    });
    const { compare: _, ...without } = formality;
    for (const [rubric, options] of [
      [without, { against: "no-icl" }], [formality, { wanted: "sad" }],
      [{ kind: "scale", name: "x", ask: "How?", least: 0, most: 1 }, { wanted: "x" }],
    ] as const) {
      const made = evaluate.judge(judging, rubric as Rubric, { ...options, leastMass: 0 });
      await expect(made).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
    }
  }, MINUTES);

  test("has three scores and their harmonic mean for quality", async () => {
    const evaluator = await evaluate.quality(judging, { concept: "is brief", leastMass: 0 });
    const [row] = await evaluator.evaluate(answers);
    const scores = ["concept", "instruct", "fluency"].map((name) => row![name] as number);
    expect(row![""]).toBeCloseTo(3 / (1 / scores[0]! + 1 / scores[1]! + 1 / scores[2]!), 9);
    for (const score of scores) expect(Math.abs(score - 1)).toBeLessThanOrEqual(1);
  }, MINUTES);
});

test("knowledge is that of the likeliest option per byte, and steering can cost it", async () => {
  const rows = (await loadDataset("ENG_test", datasets)).rows.slice(0, 6);
  const italianRows = (await loadDataset("ITA_test", datasets)).rows;
  const questions = rows.map(({ input, output }) =>
    ({ question: input, right: output, wrong: [italianRows.find((row) => row.input === input)!.output] }));
  const perByte = async (question: string, option: string): Promise<number> =>
    (await tiny.score(prompts.question(question), tiny.tokenise(` ${option}`, { bos: false }))).reduce((a, b) => a + b, 0)
      / Buffer.byteLength(option);
  const margins: number[] = [];
  for (const { question, right, wrong } of questions) margins.push(await perByte(question, right) - await perByte(question, wrong[0]!));
  const known = await evaluate.knowledge(tiny, { questions, format: "qa" });
  expect(known.correct).toEqual(margins.map((margin) => margin > 0));
  expect(known.share.value).toBe(margins.filter((margin) => margin > 0).length / 6);
  expect(known.margin).toBeCloseTo(margins.reduce((a, b) => a + b) / 6, 3);
  const steered = await evaluate.knowledge(tiny, { questions, format: "qa", steer: italian.with({ kind: "fixed", alpha: 1.5 }) });
  expect(steered.margin).toBeLessThan(known.margin - 0.05); // the wrong options are the right answers in Italian
  expect(steered.share.value).toBeLessThan(known.share.value);
  const none = await evaluate.knowledge(tiny, { questions, format: "qa", steer: italian.with({ kind: "fixed", alpha: 0 }) });
  expect(Math.abs(none.margin - known.margin)).toBeLessThan(1e-4);
}, MINUTES);

describe("the prompted baseline", () => {
  const settings = {
    positive: "ITA", negative: "ENG", evalDataset: "ITA_test", support: 4, evaluationSize: 2, maxNewTokens: 6, iclExamples: 2,
    strategies: ["fixed"], alphas: [1], topP: [0.5],
  } as const;

  test("stands in every experiment: what asks for the property before the question, with its ΔPPL", async () => {
    const results = await experiment.single(tiny, { ...settings, strategies: [...settings.strategies], alphas: [1], topP: [0.5] }, {
      out: space.path("run"), datasets,
    });
    const instruction = "Answer in Italian."; // both datasets have the instruction "Answer the questions."
    expect(results!.run.config["prompted"]).toBe(instruction);
    expect(results!.run.settings.map(({ label }) => label)).toEqual(["icl", "no-icl", "prompted", "Fixed 1"]);
    const of = (setting: string) => results!.records.find((each) => each.setting === setting && each.prompt === 0)!;
    const asked = `${instruction}\n\nQ:${of("icl").question}\nA:`;
    const answer = await tiny.generate(asked, { maxNewTokens: 6, stop: ["Q:"] }).result();
    expect(of("prompted").tokens).toEqual(answer.tokens.map(({ token }) => token));
    const reference = of("icl").tokens.filter((token) => !tiny.isEndOfGeneration(token));
    const expected = await evaluate.perplexity(tiny, asked, reference) - of("icl").perplexity!;
    expect(Math.abs(of("prompted").deltaPerplexity! - expected)).toBeLessThan(0.02 * (1 + Math.abs(expected)));
    expect((await readRun(space.path("run"))).records).toEqual(results!.records);
  }, MINUTES);

  test("has the wording that is asked for, or is left out", async () => {
    const small = { ...settings, strategies: ["fixed" as const], alphas: [1], topP: [0.5], support: 2, evaluationSize: 1, maxNewTokens: 2 };
    const own = await experiment.single(tiny, { ...small, prompted: "il miele" }, { out: space.path("own"), datasets });
    expect(own!.run.config["prompted"]).toBe("il miele");
    const none = await experiment.single(tiny, { ...small, prompted: null }, { out: space.path("none"), datasets });
    expect(none!.run).toMatchObject({ settings: [{}, {}, { label: "Fixed 1" }] });
    expect(none!.run.config).not.toHaveProperty("prompted"); // as in runs that older versions began
    expect((await experiment.single(tiny, small, { out: space.path("none"), datasets }))!.records).toEqual(none!.records);
    await expect(experiment.single(tiny, { ...small, prompted: " " }, { out: space.path("empty"), datasets })).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT", message: expect.stringMatching(/prompted .*expected a message/),
    });
    const { code, stderr } = await runCommand([
      "experiment", "single", "tiny", "--positive", "ITA", "--negative", "ENG", "--eval-dataset", "ITA_test", "--support", "2",
      "--evaluation-size", "1", "--max-new-tokens", "2", "--icl-examples", "2", "--strategies", "fixed", "--alphas", "1", "--top-p", "0.5",
      "--threads", "1", "--out", "own", "--prompted", "none",
    ], { cwd: space.folder });
    expect([code === 0, stderr]).toEqual([false, expect.stringMatching(/config\.prompted "il miele" there, nothing here/)]);
  }, MINUTES);

  test("stands beside a comparison and a calibration", async () => {
    const question = "How do I plan the picnic?";
    const asked = await experiment.compare(tiny, [question], [
      { label: "plain", steer: [] }, { label: "prompted", steer: [], prompted: "il miele" },
    ], { maxNewTokens: 4, format: "qa", system: "the honey" });
    const written = (text: string) => tiny.generate(text, { maxNewTokens: 4, stop: ["Q:"] }).text();
    expect(asked.map(({ text }) => text)).toEqual([
      await written(`the honey\n\nQ:${question}\nA:`), await written(`the honey\n\nil miele\n\nQ:${question}\nA:`),
    ]);
    const questions = await loadDataset("ITA_test", datasets);
    const evaluators = [await evaluate.language({ wanted: "it" })];
    const options = { vector: italian, questions, evaluators, candidates: [1], n: 2, maxNewTokens: 5 };
    const { baselines, tried } = await calibrate(tiny, options);
    expect(baselines.map(({ label, message }) => [label, message])).toEqual([
      ["unsteered", undefined], ["prompted", "Answer in Italian."],
    ]);
    expect(baselines[0]!.found).toBe(0);
    expect(tried).toHaveLength(1);
    expect((await calibrate(tiny, { ...options, prompted: null })).baselines.map(({ label }) => label)).toEqual(["unsteered"]);
  }, MINUTES);

  test("is explained where nothing says what to ask for", async () => {
    const rows = (await loadDataset("ITA", datasets)).rows.slice(0, 12);
    for (const [name, word] of [["mine", "miele"], ["yours", "honey"]] as const) {
      await writeFile(space.path(`${name}.json`), JSON.stringify(rows.map(({ input, output }) => ({ input, output: `${output} ${word}` }))));
    }
    const notices: string[] = [];
    const results = await experiment.single(tiny, {
      ...settings, positive: space.path("mine.json"), negative: space.path("yours.json"), evalDataset: "ITA_test", evaluationSize: 1,
      strategies: ["fixed"], alphas: [1], topP: [0.5], maxNewTokens: 2,
    }, { out: space.path("unnamed"), datasets, onNotice: (line) => notices.push(line) });
    expect(results!.run.config).not.toHaveProperty("prompted");
    expect(notices.join("\n")).toMatch(/no prompted baseline: .*mine has no instruction of its own, .*--prompted/);
  }, MINUTES);
});

test("`evaluate` refuses what has no effect, and a setting that the run lacks, before it loads a judge", async () => {
  const run = aRun({ nPrompts: 1 });
  await writeRun(space.path("judged"), run, someRecords(run, 0));
  const refused = async (...options: string[]): Promise<string> => {
    const { code, stdout, stderr } = await runCommand(["evaluate", "judged", "--judge", "none.gguf", ...options], { cwd: space.folder });
    expect([code, stdout]).toEqual([EXIT.usage, ""]);
    return stderr;
  };
  expect(await refused("--rubric", "formality", "--concept", "is brief")).toMatch(/--concept has no effect without --rubric quality/);
  expect(await refused("--rubric", "formality", "--against", "no_icl")).toMatch(/--against .*"no_icl".* judged lacks; expected .* no-icl/);
}, MINUTES);
