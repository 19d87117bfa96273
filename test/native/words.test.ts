import { afterAll, describe, expect, test } from "@jest/globals";
import { writeFileSync } from "node:fs";
import { extract, prompts, schedule, type ContrastTexts, type Dataset, type Model, type SteerInput } from "../../lib/index.js";
import { captureMeans, captureTexts } from "../../lib/capture/index.js";
import { datasetReference } from "../../lib/dataset/index.js";
import { gainMeasure } from "../../lib/extract/likelihood-gain.js";
import { EVERYDAY_QUESTIONS, HELD_OUT_QUESTIONS, loadContrastTexts } from "../../lib/extract/index.js";
import { delta } from "../../lib/vector/index.js";
import { loadVector } from "../../lib/vector/vector-file.js";
import { loadVocabulary } from "../support/chat-vocabularies.js";
import { tinyForFile } from "../support/file-model.js";
import { maxDifference, scratch, tolerance } from "../support/tiny-files.js";

const ROUNDING = tolerance(5e-5);
const { space, model } = await tinyForFile();
const questions = ["Why?", "How so?", "And then?", "When?"];
const WORDS = { towards: "is glad", away: "is sad", questions, maxNewTokens: 3, strength: false } as const;

describe("from words", () => {
  test("a vector is the per-step difference of the answers under both messages, as an opening paragraph for a base model", async () => {
    const vector = await extract(model, WORDS);
    const messages = (what: string): string[] =>
      [
        `You are someone who ${what}.`, `Answer every question like someone who ${what}.`,
        `You play a person who ${what}. Stay in this role.`,
      ];
    const side = async (what: string) => captureMeans(model, questions.map((question, i) =>
      ({ tokens: model.tokenise(`${messages(what)[i % 3]!}\n\nQ:${question}\nA:`), weight: 1 })), { site: "head_out", maxNewTokens: 3 });
    const expected = delta(await side("is glad"), await side("is sad"));
    expect(vector).toMatchObject({ site: "head_out", layers: [0, 1, 2], nSteps: 3 });
    expect(maxDifference(vector.data, expected.data)).toBeLessThan(ROUNDING);
    expect(Math.max(...vector.data)).toBeGreaterThan(100 * ROUNDING);
  });

  test("the file says how it was made, and how healthy the contrast is", async () => {
    const vector = await extract(model, { ...WORDS, towards: " is glad. ", strength: true });
    await vector.save(space.path("glad.safetensors"));
    const { provenance } = await loadVector(space.path("glad.safetensors"));
    expect(provenance).toEqual(vector.provenance);
    expect(provenance).toMatchObject({
      property: "is glad vs is sad", format: "qa",
      origin: { kind: "words", towards: "is glad", away: "is sad", nQuestions: 4, maxNewTokens: 3, pooling: "step" },
      health: { verdict: "weak", nPairs: 4, reason: expect.stringContaining("too few"), effect: { gain: expect.any(Number) } },
    });
    expect(provenance.health!.layers.map(({ layer }) => layer)).toEqual([0, 1, 2]);
    const prompt = model.tokenise("Q:Why?\nA:");
    const [plain, steered] = await Promise.all([[], vector.with({ kind: "fixed", alpha: 40 })].map(
      (steer) => model.generate(prompt, { steer, maxNewTokens: 4 }).result(),
    ));
    expect(steered!.text).not.toBe(plain!.text);
    for (const { relativeNorm } of provenance.health!.layers) expect(relativeNorm).toBeGreaterThan(0);
  });

  test("the strength is measured with questions that the vector was not made from", async () => {
    const made = await extract(model, { ...WORDS, questions: HELD_OUT_QUESTIONS.slice(0, 5), strength: true });
    const rows = [...HELD_OUT_QUESTIONS.slice(5), ...EVERYDAY_QUESTIONS.slice(0, 5)].map((input) => ({ input, output: "" }));
    const { name } = made.provenance.calibration!.questions;
    expect(made.provenance.calibration!.questions).toEqual(datasetReference({ name, instruction: "", rows }));
  });

  test("pooled: the mean of the steps, at any site and in the layers asked for", async () => {
    const [whole, mean] = [await extract(model, { ...WORDS, site: "resid_post", layers: [1] }),
      await extract(model, { ...WORDS, site: "resid_post", layers: [1], pooling: "mean" })];
    expect(mean).toMatchObject({ site: "resid_post", layers: [1], nSteps: 1, provenance: { origin: { kind: "words", pooling: "mean" } } });
    expect(maxDifference(mean.data, whole.pooled().data)).toBeLessThan(ROUNDING);
  });

  test("without `away`, the other side is a neutral assistant", async () => {
    const { away: _, ...alone } = WORDS;
    const vector = await extract(model, alone);
    expect(vector.provenance).toMatchObject({ property: "is glad", origin: { away: null } });
    const other = await extract(model, { ...WORDS, away: "is a helpful assistant" });
    expect(maxDifference(vector.data, other.data)).toBeGreaterThan(100 * ROUNDING);
  });

  test("the gain of a strength: how much likelier its answers are towards the description than unsteered ones", async () => {
    const vector = await extract(model, WORDS);
    const asked = ["Where?", "Who is it?"];
    const measure = gainMeasure(model, { towards: "is glad", away: "is sad" }, { questions: asked, maxNewTokens: 4 });
    const shares: number[] = [];
    const judged = async (question: string, i: number, steer: SteerInput): Promise<{ odds: number; towards: number }> => {
      const { tokens } = await model.generate(`Q:${question}\nA:`, { steer, maxNewTokens: 4 }).result();
      shares.push(new Set(tokens.map(({ token }) => token)).size / tokens.length);
      const [towards, away] = await Promise.all(["is glad", "is sad"].map(async (what) => {
        const message = [`You are someone who ${what}.`, `Answer every question like someone who ${what}.`][i]!;
        const scores = await model.score(`${message}\n\nQ:${question}\nA:`, tokens.map(({ token }) => token));
        return scores.reduce((sum, score) => sum + score, 0) / scores.length;
      }));
      return { odds: towards! - away!, towards: towards! };
    };
    const [gains, losses]: [number[], number[]] = [[], []];
    for (const [i, question] of asked.entries()) {
      const [steered, plain] = [await judged(question, i, vector.with(schedule.fixed(40))), await judged(question, i, [])];
      gains.push(steered.odds - plain.odds);
      losses.push(plain.towards - steered.towards);
    }
    const { gain, loss, variety } = await measure(vector, schedule.fixed(40));
    expect(gain).toBeCloseTo((gains[0]! + gains[1]!) / 2, 4);
    expect(loss).toBeCloseTo((losses[0]! + losses[1]!) / 2, 4);
    expect(variety).toBeCloseTo((shares[0]! / shares[1]! + shares[2]! / shares[3]!) / 2, 12);
    expect(Math.abs(gains[0]!)).toBeGreaterThan(1e-3);
    const none = await measure(vector, schedule.fixed(0));
    expect(none.gain).toBeCloseTo(0, 5);
    expect(none.loss).toBeCloseTo(0, 5);
    expect(none.variety).toBeCloseTo(1, 12);
    const tooLong = gainMeasure(model, { towards: "is glad", away: null }, { questions: asked, maxNewTokens: model.maxContext });
    expect(await tooLong(vector, schedule.fixed(1))).toEqual({ gain: NaN, loss: NaN, variety: NaN, nLost: 0 });
  });

  test.each([
    ["nothing to turn to", { ...WORDS, towards: " . " }, "towards is empty"],
    ["twice the same", { ...WORDS, away: "is glad." }, "the same"],
    ["one question", { ...WORDS, questions: ["Why?"] }, "at least two questions"],
    ["an unknown pooling", { ...WORDS, pooling: "last" as never }, "pooling"],
    ["two sources", { ...WORDS, texts: [{ positive: "a", negative: "b" }] } as never, "towards and texts exclude each other"],
    ["a mistyped option", { ...WORDS, quesions: ["Why?", "How?"] }, 'no option is called "quesions"; did you mean questions?'],
    ["nothing", {} as never, "extract has no source"],
    ["away alone", { away: "is sad" } as never, "away needs towards"],
  ])("%s is refused", async (_, options, message) => {
    await expect(extract(model, options)).rejects.toMatchObject({ code: "E_BAD_ARGUMENT", message: expect.stringContaining(message) });
  });

  test("no question to try a vector on is among those that it is made from", () => {
    expect(new Set([...EVERYDAY_QUESTIONS, ...HELD_OUT_QUESTIONS]).size).toBe(EVERYDAY_QUESTIONS.length + HELD_OUT_QUESTIONS.length);
  });
});

describe("from words, with a chat template", () => {
  const MARK = "{{ '<' + m.role + '>' + m.content }}";
  const templates = {
    system: `{% for m in messages %}${MARK}{% endfor %}`,
    none: `{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}${MARK}{% endfor %}`,
    dropped: `{% for m in messages %}{% if m.role != 'system' %}${MARK}{% endif %}{% endfor %}`,
  };
  const folder = scratch();
  afterAll(() => folder[Symbol.dispose]());
  const load = (name: keyof typeof templates): Promise<Model> =>
    loadVocabulary(
      folder, name, { kind: "spm", metadata: { "tokenizer.chat_template": templates[name] } }, { flashAttention: false, kvType: "f32" },
    );

  test.each(["system", "none", "dropped"] as const)("a message goes where the template takes it: %s", async (name) => {
    const chat = await load(name);
    try {
      const vector = await extract(chat, { ...WORDS, questions: ["Hi", "Yo"], maxNewTokens: 1 });
      expect(vector.provenance.format).toBe("chat");
      const prompt = (message: string, question: string): Promise<number[]> => (name === "system"
        ? prompts.tokens(chat, question, { format: "chat", system: message }) : prompts.tokens(
          chat, `${message}\n\n${question}`, { format: "chat" },
        ));
      const side = async (what: string) => captureMeans(chat, [
        { tokens: await prompt(`You are someone who ${what}.`, "Hi"), weight: 1 },
        { tokens: await prompt(`Answer every question like someone who ${what}.`, "Yo"), weight: 1 },
      ], { site: "head_out", maxNewTokens: 1 });
      expect(maxDifference(vector.data, delta(await side("is glad"), await side("is sad")).data)).toBeLessThan(ROUNDING);
    } finally {
      chat.dispose();
    }
  });
});

describe("from texts", () => {
  const personas: ContrastTexts = {
    positive: ["happy", "glad"], negative: ["sad", "blue"], openings: ["I see", "So it", "He"], template: "Be {}!",
  };

  test("personas and openings: the mean difference of the last tokens", async () => {
    const vector = await extract(model, { texts: personas, format: "raw", name: "mood", strength: false });
    const texts = personas.openings.flatMap((opening) => personas.positive.flatMap((_, i) => ["positive", "negative"].map((side) => ({
      prompt: model.tokenise(`Be ${personas[side as "positive"][i]!}!`), answer: model.tokenise(opening, { bos: false }),
    }))));
    const rows: Float64Array[] = [];
    for await (const { means } of captureTexts(model, texts, { site: "resid_post", pooling: "last" })) rows.push(means);
    const expected = rows[0]!.map((_, at) => rows.reduce((sum, row, i) => sum + (i % 2 === 0 ? 1 : -1) * row[at]!, 0) / (rows.length / 2));
    expect(vector).toMatchObject({
      site: "resid_post", layers: [0, 1], nSteps: 1, provenance: { property: "happy vs sad", format: "raw" },
    });
    expect(maxDifference(vector.data, expected)).toBeLessThan(ROUNDING);
    expect(vector.provenance).toMatchObject({
      origin: { kind: "pairs", pooling: "last", nPairs: 6, positive: { name: "mood positive" } }, health: { nPairs: 6 },
    });
  });

  test("pairs of whole texts equal personas that make the same texts", async () => {
    const whole = await extract(
      model, { texts: [{ positive: "abc", negative: "abd" }, { positive: "xbc", negative: "xbd" }], method: "pca", strength: false },
    );
    expect(whole.provenance).toMatchObject({ property: "texts", format: "raw", origin: { method: "pca", nPairs: 2 } });
    const datasets = (["c", "d"] as const).map((end): Dataset =>
      ({ name: end, instruction: "", rows: ["a", "x"].map((lead) => ({ input: lead, output: `${lead}b${end}` })) }));
    const how = { method: "pca", format: "raw", pooling: "last", strength: false } as const;
    const same = await extract(model, { ...how, positive: datasets[0]!, negative: datasets[1]! });
    expect(maxDifference(whole.data, same.data)).toBeLessThan(ROUNDING);
  });

  test.each<[string, unknown, RegExp]>([
    ["sides of different lengths", { ...personas, negative: ["sad"] }, /2 positive and 1 negative personas/],
    ["no openings", { positive: ["a"], negative: ["b"], openings: [] }, /openings: the list has 0 items/],
    ["a template without its place", { ...personas, template: "Be!" }, /template: expected a text with \{\}/],
    ["an empty text", [{ positive: " ", negative: "b" }], /0\.positive: expected a text that is not empty/],
    ["an unknown key", { ...personas, suffixes: [] }, /suffixes/],
    ["the same twice", { ...personas, negative: personas.positive }, /the same/],
    ["nothing", null, /expected \{ positive, negative, openings/],
  ])("%s: refused", async (_, texts, message) => {
    await expect(extract(model, { texts: texts as never })).rejects.toMatchObject({
      code: "E_BAD_DATASET", message: expect.stringMatching(message),
    });
  });

  test("a file of them", async () => {
    const path = space.path("mood.json");
    writeFileSync(path, JSON.stringify(personas));
    expect(await loadContrastTexts(path)).toEqual(personas);
    writeFileSync(path, "{");
    await expect(loadContrastTexts(path)).rejects.toMatchObject({ code: "E_BAD_DATASET", message: expect.stringContaining("mood.json") });
  });
});
