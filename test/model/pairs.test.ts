import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { LanguageDetector } from "../../lib/experiments.js";
import {
  loadDataset, loadModel, type Dataset, type ExtractPairsOptions, type Model, type PairMethod, type PairsOrigin, type Pooling,
  type SteeringVector, type VectorData,
} from "../../lib/index.js";
import { captureTexts } from "../../lib/capture/index.js";
import { chatTokens } from "../../lib/prompt/index.js";
import { generateText } from "../../lib/generate/index.js";
import { DATASET_LANGUAGES } from "../../lib/evaluate/language-code.js";
import { datasetsFolder } from "../../lib/dataset/index.js";
import { extractPairs } from "../../lib/extract/pairs.js";
import { loadLanguageDetector } from "../../lib/evaluate/language.js";
import { loadVector } from "../../lib/vector/vector-file.js";
import { PAIR_METHODS } from "../../lib/vector/index.js";
import { questionPrompt, QUESTION_STOP } from "../../lib/prompt/question.js";
import { seededRandom } from "../../lib/maths/random.js";
import { runCommand } from "../support/command.js";
import { maxDifference, scratch } from "../support/tiny-files.js";

const MINUTES = 60_000;
const N_QUESTIONS = 20;
const space = scratch();
let model: Model;
let detector: LanguageDetector;
let questions: string[];

const dataset = (name: string): Promise<Dataset> => loadDataset(name, datasetsFolder("tiny"));

beforeAll(async () => {
  model = await loadModel("tiny", { maxSequences: 32, contextSize: 8192 });
  detector = await loadLanguageDetector();
  questions = (await dataset("ENG_test")).rows.slice(0, N_QUESTIONS).map(({ input }) => input);
});

afterAll(() => {
  model.dispose();
  space[Symbol.dispose]();
});

const extracted = async (options: Partial<ExtractPairsOptions> = {}): Promise<SteeringVector> => extractPairs(
  model, { positive: await dataset("ITA"), negative: await dataset("ENG"), ...options },
);

/** How many of the answers to questions that no pair has are in Italian. */
async function inItalian(vector?: VectorData, alpha = 1): Promise<number> {
  const steer = vector ? [{ vector, schedule: { kind: "fixed", alpha } as const }] : [];
  const answers = await Promise.all(questions.map(
    (question) => generateText(model, questionPrompt(question), { steer, maxNewTokens: 30, stop: [QUESTION_STOP] }),
  ));
  return answers.filter(({ text }) => detector.detect(text, Object.values(DATASET_LANGUAGES)).language === "ita").length;
}

describe("Italian minus English, of held-out questions", () => {
  test("unsteered: no answer is in Italian", async () => expect(await inItalian()).toBe(0), MINUTES);

  test.each<[PairMethod, Pooling]>([
    ["mean", "mean"], ["pca", "mean"], ["probe", "mean"], ["mean", "step"], ["pca", "step"], ["probe", "step"],
  ])("%s of %s rows, at its own length: at least 90 %% of the answers", async (method, pooling) => {
    expect(await inItalian(await extracted({ method, pooling }))).toBeGreaterThanOrEqual(0.9 * N_QUESTIONS);
  }, MINUTES);

  test("one pair in eight suffices; the other way round there is no effect", async () => {
    expect(await inItalian(await extracted({ nPairs: 20 }))).toBeGreaterThanOrEqual(0.9 * N_QUESTIONS);
    expect(await inItalian(await extracted(), -1)).toBe(0);
  }, MINUTES);
});

test("in the chat's form: the mean difference of rows behind the chat's own tokens", async () => {
  const vector = await extracted({ format: "chat", nPairs: 10, seed: 3 });
  const [ita, eng] = [await dataset("ITA"), await dataset("ENG")];
  const mean = async ({ rows }: Dataset): Promise<Float64Array> => {
    const sum = new Float64Array(vector.data.length);
    const texts = await Promise.all(rows.map(
      async ({ input, output }) => ({
        prompt: await chatTokens(model, [{ role: "user", content: input }]), answer: model.tokenise(output, { bos: false }),
      }),
    ));
    for await (const { means } of captureTexts(model, texts, { site: "resid_post" })) means.forEach(
      (value, j) => { sum[j]! += value / rows.length; },
    );
    return sum;
  };
  const whole = await extracted({ format: "chat" });
  const [a, b] = [await mean(ita), await mean(eng)];
  const largest = Math.max(...whole.data.map(Math.abs));
  // quantised weights, and batches of other rows
  expect(maxDifference(whole.data, a.map((value, j) => value - b[j]!))).toBeLessThan(1e-3 * largest);
  expect(vector.provenance).toMatchObject({ format: "chat", origin: { kind: "pairs", nPairs: 10 } });
}, MINUTES);

describe("layers by held-out questions", () => {
  const scores = async (options: Partial<ExtractPairsOptions>): Promise<{
    layers: readonly number[]; found: NonNullable<PairsOrigin["layerScores"]>
  }> => {
    const { layers, provenance: { origin } } = await extracted({ layers: { best: 2 }, ...options });
    return { layers, found: (origin as PairsOrigin).layerScores! };
  };

  test("languages can be told apart in every layer; the lower ones are kept", async () => {
    const { layers, found } = await scores({});
    expect(found).toEqual([0, 1, 2, 3, 4].map((layer) => ({ layer, accuracy: 1, auc: 1 })));
    expect(layers).toEqual([0, 1]);
  }, MINUTES);

  test("by the last token whether advice was safe: better the later the layer", async () => {
    const { layers, found } = await scores({ positive: await dataset("ENsafe"), negative: await dataset("ENunsafe"), pooling: "last" });
    expect(found.map(({ auc }) => auc)).toEqual(found.map(({ auc }) => auc).sort((a, b) => a - b));
    expect(layers).toEqual([3, 4]);
  }, MINUTES);

  // Had the held-out pairs any part in their directions, a probe would know them: it has more weights than there are texts.
  // 32 pairs of two languages, sides by lot: the AUC is about the share that lies as in training, 0.5 ± 0.09.
  test.each(PAIR_METHODS)("%s: of sides that are drawn by lot nothing is known", async (method) => {
    const [ita, eng] = [await dataset("ITA"), await dataset("ENG")];
    const random = seededRandom(5);
    const isSwapped = ita.rows.map(() => random() < 0.5);
    const lot = (name: string, a: Dataset, b: Dataset): Dataset => ({
      name, instruction: "", rows: a.rows.map((row, i) => (isSwapped[i] ? b.rows[i]! : row)),
    });
    const { found } = await scores({ positive: lot("heads", ita, eng), negative: lot("tails", eng, ita), method });
    for (const { auc } of found) expect(Math.abs(auc - 0.5)).toBeLessThan(0.27);
  }, MINUTES);
});

test("the command line: extract, then generate in Italian", async () => {
  const run = (args: string[]): ReturnType<typeof runCommand> => runCommand(args, { cwd: space.folder });
  const extract = ["extract", "tiny", "--positive", "ITA", "--negative", "ENG"];
  const made = await run([
    ...extract, "--method", "pca", "--pooling", "step", "--max-new-tokens", "8", "--n-pairs", "40", "--best-layers", "3", "--out",
    "it.safetensors", "--json",
  ]);
  expect({ code: made.code, result: JSON.parse(made.stdout) as unknown }).toEqual({ code: 0, result: expect.objectContaining({
    path: "it.safetensors", site: "resid_post", nLayers: 3, nSteps: 8, width: 192,
    provenance: expect.objectContaining({
      format: "qa",
      origin: expect.objectContaining({ kind: "pairs", method: "pca", pooling: "step", nPairs: 40, layerScores: expect.any(Array) }),
    }),
  }) });
  const whole = await run([...extract, "--method", "mean", "--out", "all.safetensors"]);
  expect({ code: whole.code, stdout: whole.stdout }).toEqual({ code: 0, stdout: "all.safetensors\n" });
  expect(maxDifference((await loadVector(space.path("all.safetensors"))).data, (await extracted()).data)).toBeLessThan(1e-3);
  const generated = await run(["generate", "tiny", questions[0]!, "--steer", "all.safetensors:fixed,1", "--quiet"]);
  expect(detector.detect(generated.stdout, Object.values(DATASET_LANGUAGES)).language).toBe("ita");
}, MINUTES);
