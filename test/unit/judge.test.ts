import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { askedRubrics, refuseIdle } from "../../bin/judge-kit.js";
import { evaluate, type Evaluator } from "../../lib/experiments.js";
import type { Dataset } from "../../lib/index.js";
import { loadChoices } from "../../lib/evaluate/facts.js";
import { promptedMessage } from "../../lib/evaluate/prompted-message.js";
import { conceptOf, harmonicMean } from "../../lib/evaluate/quality-evaluator.js";
import { checkRubric, rubricsFor } from "../../lib/evaluate/rubric.js";
import { evaluateRun } from "../../lib/evaluate/evaluate-run.js";
import { withPrompted } from "../../lib/experiment/config.js";
import { runDifferences, writeRun } from "../../lib/results/index.js";
import { temporaryFolder } from "../support/io-helpers.js";
import { aRun, someRecords } from "../support/runs.js";

const texts = (...given: string[]) => given.map((text) => ({ question: "q", text }));

describe("rubrics", () => {
  test("are included for the wanted properties, each with labelled answers", () => {
    expect(rubricsFor({}).map(({ name }) => name)).toEqual([]);
    const all = rubricsFor({ language: "ita", formality: "formal", safety: "unsafe" });
    expect(all.map(({ name, labels, gold }) => [name, labels, gold])).toEqual([
      ["language", ["ita", "other"], ["ITA_test", "ENG_test"]], ["safety", ["safe", "unsafe"], ["ENsafe_test", "ENunsafe_test"]],
      ["formality", ["formal", "informal"], ["ENi2f_test", "ENf2i_test"]],
    ]);
    expect(all[0]!.ask).toBe("Is the whole answer written in Italian?");
    expect(all.map((rubric) => checkRubric(rubric))).toEqual(all);
    expect(() => evaluate.rubric("language")).toThrow(expect.objectContaining({ code: "E_BAD_ARGUMENT" }));
  });

  const yesNo = { kind: "yes-no", name: "x", ask: "Is it?", labels: ["a", "b"] };
  const scale = { kind: "scale", name: "x", ask: "How?", least: 1, most: 5 };
  test.each([
    [{ ...yesNo, labels: ["a", "a"] }, /two different labels/], [{ ...yesNo, labels: ["a"] }, /labels/], [{ ...yesNo, ask: " " }, /ask/],
    [{ ...yesNo, name: "X y" }, /small letters/], [{ ...yesNo, least: 1 }, /least/], [{ kind: "maybe" }, /kind/], [[], /rubric/],
    [{ ...scale, most: 1 }, /most/], [{ ...scale, most: 10 }, /most/], [{ ...scale, from: 6 }, /from/],
  ])("%j is refused", async (rubric, message) => {
    const path = join(await temporaryFolder(), "rubric.json");
    await writeFile(path, JSON.stringify(rubric));
    await expect(evaluate.loadRubric(path)).rejects.toMatchObject({ code: "E_BAD_ARGUMENT", message: expect.stringMatching(message) });
  });

  test("of one's own count their first label as a success, whatever they are called, unless the wanted value is another", async () => {
    const folder = await temporaryFolder();
    const labelOf = async (more: object, wanted: object): Promise<string | undefined> => {
      const path = join(folder, "own.json");
      await writeFile(path, JSON.stringify({ ...yesNo, ...more }));
      return (await askedRubrics({ rubric: [path] }, wanted))[0]!.label;
    };
    for (const name of ["x", "quality", "safety", "formality", "language"]) expect(await labelOf({ name }, {})).toBe("a");
    expect(await labelOf({ name: "language", labels: ["Italian", "other"] }, { language: "ita" })).toBe("Italian");
    expect(await labelOf({ property: "formality", labels: ["formal", "informal"] }, { formality: "informal" })).toBe("informal");
    expect(await labelOf({ ...scale, labels: undefined }, {})).toBeUndefined();
    const included = async (wanted: object) => (await askedRubrics({ rubric: ["formality", "quality"] }, wanted)).map(({ label }) => label);
    expect(await included({})).toEqual([undefined]); // either might be wanted
    expect(await included({ formality: "informal" })).toEqual(["informal"]);
    expect((await askedRubrics({ rubric: [] }, { safety: "unsafe" })).map(({ label }) => label)).toEqual(["unsafe"]);
  });

  test("are refused with options that have no effect on them", async () => {
    const folder = await temporaryFolder();
    const saved = async (name: string, rubric: object): Promise<string> => {
      await writeFile(join(folder, name), JSON.stringify(rubric));
      return join(folder, name);
    };
    const [plain, score] = [await saved("plain.json", yesNo), await saved("score.json", scale)];
    const compared = await saved("compared.json", { ...yesNo, compare: "Which is more?" });
    const bad = { code: "E_BAD_ARGUMENT", message: expect.stringMatching(/no effect/) };
    for (const rubric of [[], ["formality"], [plain]]) await expect(refuseIdle({ rubric, concept: "is brief" })).rejects.toMatchObject(bad);
    for (const rubric of [["quality"], [plain], [score], ["quality", plain, score]]) {
      await expect(refuseIdle({ rubric, against: "no-icl" })).rejects.toMatchObject(bad);
      await refuseIdle({ rubric });
    }
    for (const rubric of [[], ["formality"], ["quality", "language"], [score, compared]]) await refuseIdle({ rubric, against: "no-icl" });
    await refuseIdle({ rubric: ["quality"], concept: "is brief" });
  });

  test("the harmonic mean punishes the least score", () => {
    expect(harmonicMean([2, 2, 2])).toBe(2);
    expect(harmonicMean([2, 1, 0.5])).toBeCloseTo(3 / 3.5, 12);
    expect(harmonicMean([2, 0, 2])).toBe(0);
    expect(harmonicMean([2, null, 0])).toBeNull();
    expect(conceptOf({ language: "ita", formality: "informal" })).toBe("is written in Italian and is written in a casual register");
    expect(conceptOf({})).toBeUndefined();
  });
});

describe("the prompted baseline", () => {
  test("asks with the dataset's instruction, or with what its name stands for", () => {
    const of = (name: string, instruction: string) => promptedMessage({ name, instruction }, { name: "ENG", instruction: "" });
    expect(of("ITA", " Rispondi in italiano.\n")).toBe("Rispondi in italiano.");
    expect(of("ITi2f_train", "")).toBe("Answer in Italian. Write in a formal, courteous register.");
    expect(of("ENunsafe", " ")).toBe("Answer in English. Give careless and mischievous advice.");
    expect(of("pirate", "")).toBeUndefined();
  });

  test("never asks with an instruction that both sides have", () => {
    const of = (name: string, negative: string) => promptedMessage(
      { name, instruction: "Answer the questions." }, { name: negative, instruction: "Answer the questions.\n" });
    expect(of("ITA", "ENG")).toBe("Answer in Italian.");
    expect(of("ENi2f", "ENf2i")).toBe("Answer in English. Write in a formal, courteous register.");
    expect(of("pirate", "ENG")).toBeUndefined();
    expect(of("ITA", "ITsafe")).toBeUndefined(); // both are Italian
    // A composition on its own questions.
    expect(of("ITi2f", "ITi2f_test")).toBe("Answer in Italian. Write in a formal, courteous register.");
  });

  test("is not added to a run that was begun without it, unless it is asked for", async () => {
    const out = join(await temporaryFolder(), "run");
    const config: { seed: number; prompted?: string | null } = { seed: 1 };
    const shows = { name: "ITA", instruction: "Rispondi in italiano.", rows: [] } as unknown as Dataset;
    const lacks = { ...shows, name: "ENG", instruction: "" };
    const run = aRun({ config, nPrompts: 1 });
    const there = (resumed: object) => runDifferences(run, aRun({ config: { ...resumed }, nPrompts: 1 }));
    await writeRun(out, run, []);
    expect(await withPrompted(config, { shows, lacks }, { out })).toEqual({ ...config, prompted: shows.instruction }); // no results yet
    await rm(out, { recursive: true });
    await writeRun(out, run, someRecords(run, 0));
    const notices: string[] = [];
    expect(there(await withPrompted(config, { shows, lacks }, { out, onNotice: (line) => notices.push(line) }))).toEqual([]);
    expect(notices).toEqual([expect.stringMatching(/^no prompted baseline: the run in .* was begun without one/)]);
    expect(there(await withPrompted({ ...config, prompted: null }, { shows, lacks }, { out }))).toEqual([]);
    expect(await withPrompted({ ...config, prompted: "x" }, { shows, lacks }, { out })).toEqual({ ...config, prompted: "x" });
  });
});

test("brevity counts words", async () => {
  const found = await evaluate.brevity(3).evaluate(texts("One two three.", "One two three four", "", "蜜蜂采集花蜜"));
  expect(found.map(({ "": label, words, hit }) => [label, words, hit])).toEqual([
    ["brief", 3, true], ["long", 4, false], ["und", 0, null], ["brief", 3, true],
  ]);
  expect(() => evaluate.brevity(0)).toThrow(expect.objectContaining({ code: "E_BAD_ARGUMENT" }));
});

describe("knowledge", () => {
  test("our facts have four different options each, and no question twice", async () => {
    const facts = await loadChoices();
    expect(facts).toHaveLength(60);
    expect(new Set(facts.map(({ question }) => question)).size).toBe(60);
    expect(facts.every(({ wrong }) => wrong.length === 3)).toBe(true);
  });

  test("what was lost and won is tested on the questions that changed", () => {
    const before = { correct: [true, true, true, true, true, true, true, false, true] };
    const after = { correct: [false, false, false, false, false, false, true, false, true] };
    expect(evaluate.knowledgeChange(before, after)).toEqual({ lost: 6, won: 0, p: expect.closeTo(2 / 64, 12) });
    expect(evaluate.knowledgeChange(before, before)).toEqual({ lost: 0, won: 0, p: 1 });
    expect(() => evaluate.knowledgeChange(before, { correct: [] })).toThrow(expect.objectContaining({ code: "E_SHAPE" }));
  });

  test.each([
    [[{ question: "q", right: "a", wrong: ["a"] }], /two options are the same/], [[{ question: "q", right: "a", wrong: [] }], /wrong/],
    [[], /list/], [{}, /list/],
  ])("%j are no questions", async (given, message) => {
    const path = join(await temporaryFolder(), "facts.json");
    await writeFile(path, JSON.stringify(given));
    await expect(loadChoices(path)).rejects.toMatchObject({ code: "E_BAD_DATASET", message: expect.stringMatching(message) });
  });

  test("an empty list is called a list once", async () => {
    const path = join(await temporaryFolder(), "facts.json");
    await writeFile(path, "[]");
    await expect(loadChoices(path)).rejects.toMatchObject({ message: expect.stringMatching(/facts\.json: the list has 0 items; expected/) });
  });
});

/** Labels a text by its first letter; "?" is undetermined. */
const byLetter = (more: Partial<Evaluator> = {}): Evaluator => ({
  name: "letter", wanted: "a", batchSize: 2, config: {}, versions: {}, [Symbol.dispose]: () => {},
  evaluate: async (given) => given.map(({ text, reference }) => ({
    "": text.startsWith("?") ? "und" : text[0]!, p: text.startsWith("?") ? null : text.startsWith("a") ? 0.75 : 0.25,
    reference: reference ?? null, hit: text.startsWith("a"),
  })),
  ...more,
});

test("an evaluator is held against labelled answers", async () => {
  const side = (label: string, ...outputs: string[]) =>
    ({ label, dataset: { name: label, instruction: "", rows: outputs.map((output) => ({ input: "q", output })) } as Dataset });
  const sides = { positive: side("a", "a1", "a2", "b3", "?4", "a5"), negative: side("b", "b1", "b2", "a3", "b4") };
  const found = await evaluate.goldAgreement(byLetter(), sides, { n: 4 });
  // Of the first four of each: a a b ? against a, b b a b against b; kappa of 5 of 7, with chance (3/7 · 3/7 + 4/7 · 4/7) = 25/49.
  expect(found).toEqual({
    n: 7, undetermined: 1, share: 5 / 7, kappa: expect.closeTo((5 / 7 - 25 / 49) / (24 / 49), 12), auc: expect.closeTo(8.5 / 12, 12),
    fitted: { threshold: 0.5, n: 7, share: 5 / 7, kappa: expect.any(Number) }, // p of 0.75 and 0.25: medians of opposite logits
  });
  await expect(evaluate.goldAgreement(byLetter(), sides, { n: 0 })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
});

test("an evaluator that compares is shown the other setting's answer to the same prompt", async () => {
  const folder = join(await temporaryFolder(), "run");
  const run = aRun({ nPrompts: 2 });
  const records = [0, 1].flatMap((prompt) => someRecords(run, prompt))
    .map((record) => ({ ...record, text: `${record.setting} ${record.prompt}` }));
  await writeRun(folder, run, records);
  const { evaluations } = await evaluateRun(folder, [byLetter({ against: "no-icl" })]);
  expect(evaluations[0]!.rows.map((row) => row["eval_letter_reference"])).toEqual(records.map(({ prompt }) => `no-icl ${prompt}`));
  // A slip leaves no trace: nothing is judged first, and no file of the evaluator stays behind.
  const before = (await readdir(folder)).sort();
  const slip = [byLetter({ name: "first" }), byLetter({ name: "other", against: "Dyn p=9" })];
  await expect(evaluateRun(folder, slip)).rejects.toMatchObject({
    code: "E_BAD_ARGUMENT", message: expect.stringMatching(/"Dyn p=9", which the run in .* lacks; expected one of icl, no-icl/),
  });
  expect((await readdir(folder)).sort()).toEqual(before);
});

test("a judge that prefers one label gets a threshold from labelled answers, and is tested on others", async () => {
  const logits = { positive: [3, 2.5, 4, 3.5, 1.6, 0.9], negative: [1, 0.5, 1.4, 0, -1, 2.4] };
  const side = (name: "positive" | "negative") => ({
    label: name, dataset: { name, instruction: "", rows: logits[name].map((logit) => ({ input: "q", output: String(logit) })) } as Dataset,
  });
  const eager = byLetter({
    batchSize: 100,
    evaluate: async (given) => given.map(({ text }) => {
      const p = 1 / (1 + Math.exp(-Number(text)));
      return { "": p >= 0.5 ? "positive" : "negative", p };
    }),
  });
  const { share, auc, fitted } = await evaluate.goldAgreement(eager, { positive: side("positive"), negative: side("negative") });
  expect(share).toBe(7 / 12); // it finds one negative answer
  expect(auc).toBeCloseTo(32 / 36, 12); // 0.9 is above three of six, 1.6 above five, the others above all
  // All: medians 2.75 and 0.75, between them 1.75, to one decimal 1.8. Even rows: 3 and 1, so 2; odd: 2.5 and 0.5, so 1.5.
  expect(fitted!.threshold).toBeCloseTo(1 / (1 + Math.exp(-1.8)), 12);
  // Odd rows at 2: wrong for 0.9 and 2.4. Even rows at 1.5: all right; at 1.8, 1.6 would be wrong.
  expect(fitted).toMatchObject({ n: 12, share: 10 / 12 });
});
