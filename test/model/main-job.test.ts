import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Answer, SettingSummary } from "../../lib/experiments.js";
import { extract, loadDataset, loadModel, type Model, type VectorData } from "../../lib/index.js";
import { compare, summarise } from "../../lib/experiment/compare.js";
import { describeWithModel } from "../support/real-model.js";
import { isSampled } from "../support/slow.js";
import type { IclOrigin } from "../../lib/vector/index.js";

const NAME = "gemma3-270m";
const MINUTES = 60_000;
const describeModel = await describeWithModel(NAME);

const N_QUESTIONS = isSampled ? 10 : 20;

// Measured on this model: 0, 18 and 12 of 20. Processors round differently, so the bars leave a few answers of room.
describeModel(`the main job on ${NAME}: Italian answers to ${N_QUESTIONS} held-out English questions`, () => {
  let model: Model;
  let vector: VectorData;
  let answers: Answer[];
  let summary: Record<string, SettingSummary>;

  beforeAll(async () => {
    model = await loadModel(NAME);
    vector = await extract(model, { strength: false, positive: await loadDataset("ITA"), negative: await loadDataset("ENG") });
    const questions = (await loadDataset("ITA_test")).rows.slice(0, N_QUESTIONS).map((row) => row.input);
    answers = await compare(model, questions, [
      { label: "unsteered", steer: [] },
      { label: "fixed", steer: [{ vector, schedule: { kind: "fixed", alpha: 1.5 } }] },
      { label: "dynamic", steer: [{ vector, schedule: { kind: "dynamic", topP: 0.5 } }] },
    ], { maxNewTokens: 30 });
    summary = Object.fromEntries(summarise(answers, "ita").map((entry) => [entry.setting, entry]));
  }, 10 * MINUTES);

  afterAll(() => model.dispose());

  test("the vector has a direction for every layer and step", () => {
    expect(vector.layers).toHaveLength(model.info.nLayer);
    expect(vector.nSteps).toBe(30);
    expect((vector.provenance.origin as IclOrigin).supportIndices).toHaveLength(30);
  });

  test("unsteered answers are not Italian", () => expect(summary["unsteered"]!.hits).toBeLessThanOrEqual(1));
  test("Fixed 1.5 makes most of them Italian", () => expect(summary["fixed"]!.hits).toBeGreaterThanOrEqual(0.7 * N_QUESTIONS));
  test("Dyn p=0.5 makes many of them Italian", () => expect(summary["dynamic"]!.hits).toBeGreaterThanOrEqual(0.4 * N_QUESTIONS));

  test("Dyn intervenes most at the start and less than Fixed overall", () => {
    const dynamic = answers.filter((answer) => answer.setting === "dynamic").map(
      (answer) => answer.tokens.map(({ readings }) => readings[0]!),
    );
    const readings = dynamic.flat();
    expect(readings.every(({ alpha, kl }) => kl! > -1e-6 && alpha >= 0 && alpha <= 2)).toBe(true);
    const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    const early = mean(dynamic.flatMap((answer) => answer.slice(0, 3).map(({ alpha }) => alpha)));
    const late = mean(dynamic.flatMap((answer) => answer.slice(10).map(({ alpha }) => alpha)));
    expect(early).toBeGreaterThan(late);
    expect(mean(readings.map(({ alpha }) => alpha))).toBeLessThan(1);
  });
});
