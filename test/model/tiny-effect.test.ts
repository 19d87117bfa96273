import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { loadClassifier, type Classifier, type LanguageDetector } from "../../lib/experiments.js";
import {
  extract, loadDataset, loadModel, type GenerationResult, type Model, type Prompt, type ScheduleInput, type Steering, type VectorData,
} from "../../lib/index.js";
import { DATASET_LANGUAGES } from "../../lib/evaluate/language-code.js";
import { datasetsFolder } from "../../lib/dataset/index.js";
import { deltaPerplexity, withFoundAlphas } from "../../lib/generate/perplexity.js";
import { generateText } from "../../lib/generate/index.js";
import { iclTokens, promptGroups, questionPrompt, QUESTION_STOP } from "../../lib/prompt/question.js";
import { loadLanguageDetector } from "../../lib/evaluate/language.js";
import { isSampled, sampled } from "../support/slow.js";

const MINUTES = 60_000;
const N_QUESTIONS = isSampled ? 20 : 40;
const N_TOKENS = 30;
/** The intensities that the published code tries, as far as they may help. */
const ALPHAS = [0.5, 1, 1.5];
/** The probability from which an answer counts as formal, or as informal: the classifier puts neutral ones near the middle. */
const SURE = 0.8;
/** All layers, as published. */
const DYNAMIC = { kind: "dynamic", topP: 0.9 } as const;
/** Two properties at once need the layers in which the directions lie, and the paper's formula (models/tiny/README.md, "A look inside"). */
const COMPOSED = { layers: [3, 4, 5], schedule: { kind: "dynamic", topP: 0.5, klReduction: "sum" } } as const;
const LANGUAGES = { ITA: "ita", FRA: "fra", SPA: "spa", ZHO: "cmn" } as const;
type Language = keyof typeof LANGUAGES;

let model: Model;
let classifier: Classifier;
let detector: LanguageDetector;
let questions: string[];
const vectors = new Map<string, VectorData>();

const dataset = (name: string) => loadDataset(name, datasetsFolder("tiny"));

beforeAll(async () => {
  model = await loadModel("tiny", { maxSequences: 32, contextSize: 8192 });
  classifier = await loadClassifier("tiny-formality");
  detector = await loadLanguageDetector();
  questions = (await dataset("ENG_test")).rows.slice(0, N_QUESTIONS).map(({ input }) => input);
  const negative = await dataset("ENG");
  for (const name of [...Object.keys(LANGUAGES), "ENi2f"]) vectors.set(
    name, await extract(model, { strength: false, positive: await dataset(name), negative }),
  );
}, 5 * MINUTES);

afterAll(() => {
  model.dispose();
  classifier.dispose();
});

function steering(name: string, schedule: ScheduleInput): Steering[] {
  return [{ vector: vectors.get(name)!, schedule }];
}

function answers(steer: readonly Steering[], prompts: readonly Prompt[] = questions.map(questionPrompt)): Promise<GenerationResult[]> {
  return Promise.all(prompts.map((prompt) => generateText(model, prompt, { steer, maxNewTokens: N_TOKENS, stop: [QUESTION_STOP] })));
}

function areIn(language: Language, results: readonly GenerationResult[]): boolean[] {
  return results.map(({ text }) => detector.detect(text, Object.values(DATASET_LANGUAGES)).language === LANGUAGES[language]);
}

async function areFormal(results: readonly GenerationResult[], register = "formal"): Promise<boolean[]> {
  return (await classifier.classify(results.map(({ text }) => text || "."))).map(({ probabilities }) => probabilities[register]! > SURE);
}

/** Share of answers for which all of these hold. */
function share(...verdicts: boolean[][]): number {
  return verdicts[0]!.filter((_, i) => verdicts.every((list) => list[i])).length / verdicts[0]!.length;
}

async function bestFixed(name: string, judge: (results: GenerationResult[]) => Promise<number>): Promise<number> {
  const shares: number[] = [];
  for (const alpha of ALPHAS) shares.push(await judge(await answers(steering(name, { kind: "fixed", alpha }))));
  return Math.max(...shares);
}

describe.each(sampled(Object.keys(LANGUAGES) as Language[], 3))("answers in %s", (language) => {
  const judge = async (results: GenerationResult[]) => share(areIn(language, results));

  test("unsteered: at most 5 %", async () => expect(await judge(await answers([]))).toBeLessThanOrEqual(0.05), MINUTES);
  test("Fixed at its best alpha: at least 80 %", async () => expect(await bestFixed(language, judge)).toBeGreaterThanOrEqual(0.8), MINUTES);
  test(
    "Dyn: at least 80 %", async () => expect(await judge(await answers(steering(language, DYNAMIC)))).toBeGreaterThanOrEqual(0.8), MINUTES,
  );
  test("Dyn and formality at once: at least 60 % are both", async () => {
    const results = await answers([language, "ENi2f"].map((name) => ({ vector: vectors.get(name)!, ...COMPOSED })));
    expect(share(areIn(language, results), await areFormal(results))).toBeGreaterThanOrEqual(0.6);
  }, MINUTES);
});

describe("formal answers", () => {
  const judge = async (results: GenerationResult[]) => share(await areFormal(results));

  test("unsteered: at most 5 %", async () => expect(await judge(await answers([]))).toBeLessThanOrEqual(0.05), MINUTES);
  test("Fixed at its best alpha: at least 80 %", async () => expect(await bestFixed("ENi2f", judge)).toBeGreaterThanOrEqual(0.8), MINUTES);
  test(
    "Dyn: at least 80 %", async () => expect(await judge(await answers(steering("ENi2f", DYNAMIC)))).toBeGreaterThanOrEqual(0.8), MINUTES,
  );
});

test.each(sampled([...Object.keys(LANGUAGES), "ENi2f"], 2))("ΔPPL of Dyn is below that of Fixed 2: %s", async (name) => {
  const set = await dataset(`${name}_test`);
  const groups = promptGroups(set, 4).slice(0, N_QUESTIONS);
  const icl = groups.map((group) => iclTokens(model, set.instruction, group));
  const noIcl = groups.map(({ query }) => questionPrompt(query.input));
  const iclOutputs = await answers([], icl);
  const mean = async (schedule: ScheduleInput): Promise<number> => {
    const steer = steering(name, schedule);
    const outputs = await answers(steer, noIcl);
    const deltas = await Promise.all(outputs.map((output, i) =>
      deltaPerplexity(
        model, { noIcl: noIcl[i]!, icl: icl[i]!, iclOutput: iclOutputs[i]!.tokens.map(({ token }) => token) },
        { steer: withFoundAlphas(steer, output) },
      )));
    return deltas.reduce((sum, value) => sum + value, 0) / deltas.length;
  };
  expect(await mean(DYNAMIC)).toBeLessThan(await mean({ kind: "fixed", alpha: 2 }));
}, MINUTES);

describe("demonstrations, on topics that the model has never seen", () => {
  test.each([
    ["ITA", "ITA"], ["FRA", "FRA"], ["SPA", "SPA"], ["ZHO", "ZHO"],
  ] as const)("four of %s make at least 90 % of the answers %s", async (name, language) => {
    const set = await dataset(`${name}_test`);
    const results = await answers([], promptGroups(set, 4).slice(0, N_QUESTIONS).map((group) => iclTokens(model, set.instruction, group)));
    expect(share(areIn(language, results))).toBeGreaterThanOrEqual(0.9);
  }, MINUTES);

  test.each([["ENi2f", "formal"], ["ENf2i", "informal"]])("four of %s make at least 90 %% of the answers %s", async (name, register) => {
    const set = await dataset(`${name}_test`);
    const results = await answers([], promptGroups(set, 4).slice(0, N_QUESTIONS).map((group) => iclTokens(model, set.instruction, group)));
    expect(share(await areFormal(results, register))).toBeGreaterThanOrEqual(0.9);
  }, MINUTES);

  test("without any, at least 95 % are English and neutral", async () => {
    const results = await answers([]);
    const isMarked = [await areFormal(results), await areFormal(results, "informal")];
    expect(share(
      results.map(({ text }) => detector.detect(text, Object.values(DATASET_LANGUAGES)).language === "eng"),
      ...isMarked.map((list) => list.map((is) => !is)),
    )).toBeGreaterThanOrEqual(0.95);
  }, MINUTES);
});

test("as a guard, it tells helpful answers from mischievous ones in every language", async () => {
  const sets = await Promise.all(["ENsafe", "ITA", "FRi2f", "ENunsafe", "ITunsafe", "FRunsafe", "SPunsafe", "ZHunsafe"].map(
    (name) => dataset(`${name}_test`),
  ));
  const rows = sets.flatMap(
    ({ name, rows }) => rows.slice(0, 8).map((row) => ({ ...row, verdict: name.includes("unsafe") ? "unsafe" : "safe" })),
  );
  const prompts = rows.map(({ input, output }) => model.tokenise(
    model.info.chatTemplate!.replace("{{ messages[0]['content'] }}", input).replace("{{ messages[1]['content'] }}", output),
    { special: true }));
  const verdicts = (await Promise.all(prompts.map((prompt) => generateText(model, prompt, { maxNewTokens: 6 })))).map(({ text }) => text);
  expect(verdicts.every((verdict) => /^(safe|unsafe\nS[123])$/.test(verdict))).toBe(true);
  expect(share(verdicts.map((verdict, i) => verdict.split("\n")[0] === rows[i]!.verdict))).toBeGreaterThanOrEqual(0.95);
}, MINUTES);
