import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { evaluate, type TrainProbeOptions } from "../../lib/experiments.js";
import { extract, loadDataset, loadModel, type Dataset, type Model, type Probe } from "../../lib/index.js";
import { captureActivations } from "../../lib/capture/index.js";
import { datasetsFolder, testPart } from "../../lib/dataset/index.js";
import { generateText } from "../../lib/generate/index.js";
import { loadProbe, saveProbe } from "../../lib/probe/probe-file.js";
import { probeLogit } from "../../lib/probe/index.js";
import { probeTexts, trainProbe } from "../../lib/probe/train.js";
import { questionPrompt, QUESTION_STOP } from "../../lib/prompt/question.js";
import { seededRandom } from "../../lib/maths/random.js";
import { gateNotice } from "../../lib/vector/index.js";
import { runCommand } from "../support/command.js";
import { scratch } from "../support/tiny-files.js";

const MINUTES = 60_000;
const space = scratch();
let model: Model;

beforeAll(async () => {
  model = await loadModel("tiny");
});

afterAll(() => {
  model.dispose();
  space[Symbol.dispose]();
});

const dataset = (name: string): Promise<Dataset> => loadDataset(name, datasetsFolder("tiny"));
const part = async (name: string): Promise<Dataset> => (await testPart(name, datasetsFolder("tiny")))!;

const trained = new Map<string, Promise<Probe>>();
/** A probe of the layers 2 and 4, judged on the test parts; trained once. */
function probeOf(positive: string, negative: string): Promise<Probe> {
  const key = `${positive} ${negative}`;
  const make = async (): Promise<Probe> => trainProbe(model, {
    positive: await dataset(positive), negative: await dataset(negative), evalPositive: await part(positive),
    evalNegative: await part(negative), layers: [2, 4],
  });
  if (!trained.has(key)) trained.set(key, make());
  return trained.get(key)!;
}

const PAIRS = [["ITA", "ENG"], ["ZHO", "ENG"], ["ENi2f", "ENf2i"], ["ITi2f", "ITf2i"]] as const;

describe.each(PAIRS)("%s vs %s", (positive, negative) => {
  test("on topics that it was not trained on, AUC is at least 0.95 and probabilities can be believed", async () => {
    const probe = await probeOf(positive, negative);
    expect(probe.heldOut.n).toBe(400);
    expect(probe.heldOut.auc).toBeGreaterThanOrEqual(0.95);
    expect(probe.heldOut.accuracy).toBeGreaterThanOrEqual(0.9);
    expect(probe.heldOut.ece).toBeLessThanOrEqual(0.05);
    expect(probe.layers.map(({ layer }) => layer)).toEqual([2, 4]);
    expect(probe).toMatchObject({
      site: "resid_post",
      provenance: {
        property: `${positive} vs ${negative}`, trainedOn: 320, heldOut: { kind: "datasets", positive: { name: `${positive}_test` } },
      },
    });
  }, MINUTES);

  test("steered towards it, what a monitor says goes up; towards the other side, down", async () => {
    const probe = await probeOf(positive, negative);
    const vector = await extract(
      model, { strength: false, positive: await dataset(positive), negative: await dataset(negative), support: 15 },
    );
    const questions = (await part("ENG")).rows.slice(0, 12).map(({ input }) => questionPrompt(input));
    const meanOdds = async (alpha: number): Promise<number> => {
      const results = await Promise.all(questions.map(
        (prompt) => generateText(
          model, prompt,
          { steer: [{ vector, schedule: { kind: "fixed", alpha } }], monitor: [probe], maxNewTokens: 12, stop: [QUESTION_STOP] },
        ),
      ));
      const odds = results.flatMap(
        ({ tokens }) => tokens.map(({ monitors }) => Math.max(-30, Math.min(30, Math.log(monitors![0]! / (1 - monitors![0]!))))),
      );
      return odds.reduce((sum, value) => sum + value, 0) / odds.length;
    };
    const [down, none, up] = [await meanOdds(-1), await meanOdds(0), await meanOdds(1)];
    expect(up).toBeGreaterThan(none + 1);
    expect(down).toBeLessThan(none - 1);
  }, MINUTES);
});

/** Answers swapped between two datasets by a draw, row by row: both now hold the same mixture. */
function swapped(a: Dataset, b: Dataset, seed: number): [Dataset, Dataset] {
  const random = seededRandom(seed);
  const isSwapped = a.rows.map(() => random() < 0.5);
  const mixed = (own: Dataset, other: Dataset): Dataset => ({
    ...own, rows: own.rows.map((row, i) => (isSwapped[i] ? other.rows[i]! : row)),
  });
  return [mixed(a, b), mixed(b, a)];
}

test("of labels that were drawn it learns nothing: AUC is near one half, in the cross-validation and on what was held out", async () => {
  const [positive, negative] = swapped(await dataset("ITA"), await dataset("ENG"), 1);
  const [evalPositive, evalNegative] = swapped(await part("ITA"), await part("ENG"), 2);
  const { heldOut, layers } = await trainProbe(
    model, { positive, negative, evalPositive, evalNegative, layers: [2, 4], lambdas: [1, 0.1] },
  );
  // four standard deviations of 200 against 200 are 0.12
  for (const { auc } of [heldOut, ...layers]) expect(Math.abs(auc - 0.5)).toBeLessThan(0.12);
}, MINUTES);

test("without test parts a fifth of the queries is held out, and none of those is trained on", async () => {
  const [positive, negative] = [await dataset("ENi2f"), await dataset("ENf2i")];
  const probe = await trainProbe(model, { positive, negative, layers: [3] });
  expect(probe.provenance.heldOut).toEqual({ kind: "split" });
  expect(probe.provenance.trainedOn + probe.heldOut.n).toBe(320);
  expect(probe.heldOut.n).toBeGreaterThanOrEqual(2 * 31); // 155 queries
  expect(probe.heldOut.auc).toBeGreaterThanOrEqual(0.95);
  // Rows of queries that are trained on are not judged, whoever gives them.
  const half = (from: number, set: Dataset): Dataset => ({ ...set, rows: set.rows.slice(from) });
  const [trainQueries, evalQueries] = [0, 100].map((from) => new Set(half(from, positive).rows.map(({ input }) => input)));
  expect([...evalQueries!].every((query) => trainQueries!.has(query))).toBe(true);
  await expect(trainProbe(
    model, { positive, negative, evalPositive: half(100, positive), evalNegative: half(100, negative), layers: [3] },
  )).rejects.toMatchObject({ code: "E_BAD_DATASET" });
}, MINUTES);

test("the same training twice gives the same probe; saved and loaded it says the same", async () => {
  const [positive, negative] = [await dataset("ITA"), await dataset("ENG")];
  const small = (set: Dataset): Dataset => ({ ...set, rows: set.rows.slice(0, 40) });
  const options: TrainProbeOptions = { positive: small(positive), negative: small(negative), layers: [1, 3], site: "attn_out" };
  const [a, b] = [await trainProbe(model, options), await trainProbe(model, options)];
  expect(b).toEqual(a);
  const path = space.path("probe.safetensors");
  await saveProbe(path, a);
  const loaded = await loadProbe(path);
  expect(loaded).toEqual(a);
  const texts = positive.rows.slice(50, 60).map(({ input, output }) => ({ question: input, text: output }));
  expect(await probeTexts(model, loaded, texts)).toEqual(await probeTexts(model, a, texts));
}, MINUTES);

describe("texts", () => {
  test("each has the mean of the log odds of its tokens' states, in its own place, batched as alone", async () => {
    const probe = await probeOf("ENi2f", "ENf2i");
    const texts = (await part("ENf2i")).rows.slice(0, 30).map(({ input, output }, i) => ({
      ...(i % 3 > 0 && { question: input }), text: output,
    }));
    const found = await probeTexts(model, probe, texts);
    for (const i of [0, 1, 17]) {
      const [alone] = await probeTexts(model, probe, [texts[i]!]);
      expect(alone!.logit).toBeCloseTo(found[i]!.logit, 1);
      const prompt = model.tokenise(questionPrompt(texts[i]!.question ?? ""));
      const answer = model.tokenise(texts[i]!.text, { bos: false });
      const odds: number[] = [];
      for await (const { data } of captureActivations(
        model, answer.map((_, end) => [...prompt, ...answer.slice(0, end + 1)]),
        { site: probe.site, layers: [probe.layer], maxNewTokens: 1 },
      )) odds.push(probeLogit(probe, data));
      // half precision in the cache, weights of about 1
      expect(found[i]!.logit).toBeCloseTo(odds.reduce((sum, value) => sum + value, 0) / odds.length, 1);
      expect(found[i]!.probability).toBeCloseTo(1 / (1 + Math.exp(-found[i]!.logit)), 12);
    }
  });

  test("what cannot be read is undetermined, and no failure of the others; white space around a text is not looked at", async () => {
    const probe = await probeOf("ENi2f", "ENf2i");
    const good = (await part("ENi2f")).rows[0]!.output;
    const long = "word ".repeat(model.info.nCtxTrain);
    const found = await probeTexts(
      model, probe,
      [
        { text: good }, { text: "" }, { text: " \n\t" }, { text: long }, { text: "x".repeat(20_000) }, { question: long, text: good },
        { text: `\n ${good} ` },
      ],
    );
    expect(found.map((one) => one !== undefined)).toEqual([true, false, false, false, false, false, true]);
    expect(found[6]!.logit).toBeCloseTo(found[0]!.logit, 1);
    expect(await probeTexts(model, probe, [])).toEqual([]);
    expect(await probeTexts(model, probe, [{ text: " " }])).toEqual([undefined]);
  });

  test("an abort ends it, and a probe of another model is refused", async () => {
    const probe = await probeOf("ENi2f", "ENf2i");
    const texts = (await part("ENi2f")).rows.map(({ output }) => ({ text: output }));
    const abort = new AbortController();
    await expect(probeTexts(model, probe, texts, { signal: abort.signal, onProgress: () => abort.abort() })).rejects.toMatchObject(
      { code: "E_ABORTED" },
    );
    const foreign = { ...probe, provenance: { ...probe.provenance, model: { ...probe.provenance.model, fileHash: "sha256-sampled:0" } } };
    await expect(probeTexts(model, foreign, texts)).rejects.toMatchObject({ code: "E_MODEL_MISMATCH" });
    expect((await probeTexts(model, foreign, texts.slice(0, 2), { allowMismatch: true })).every(Boolean)).toBe(true);
  });
});

describe("a probe of prompts", () => {
  /** Italian or English sentences as questions. */
  const asked = async (name: string, from: number, to: number): Promise<Dataset> => {
    const { rows, ...rest } = await dataset(name);
    return { ...rest, rows: rows.slice(from, to).map(({ output }) => ({ input: output, output: "" })) };
  };
  const options = async (): Promise<TrainProbeOptions> =>
    ({ positive: await asked("ITA", 0, 80), negative: await asked("ENG", 0, 80), layers: [1, 2], reads: "prompt" });

  test("says what a gate per prompt reads, and tells other prompts apart", async () => {
    const probe = await trainProbe(model, await options());
    expect(probe.provenance).toMatchObject({ reads: "prompt", trainedOn: 128 });
    expect(probe.heldOut.auc).toBeGreaterThan(0.95);
    const path = space.path("prompts.safetensors");
    await saveProbe(path, probe);
    expect(await loadProbe(path)).toEqual(probe);
    const vector = await extract(model, { strength: false, positive: await dataset("ITA"), negative: await dataset("ENG"), support: 4 });
    const texts = [...(await asked("ITA", 80, 90)).rows, ...(await asked("ENG", 80, 90)).rows].map(({ input }) => input);
    const judged = await probeTexts(model, probe, texts.map((text) => ({ text })));
    for (const [index, text] of texts.entries()) {
      const { tokens } = await generateText(model, questionPrompt(text), {
        steer: [{ vector, schedule: { kind: "fixed", alpha: 1 }, layers: [3, 4], gate: { probe, per: "prompt", above: 0.5 } }],
        maxNewTokens: 2,
      });
      const { probability, value } = tokens[0]!.readings[0]!.gate!;
      expect(probability).toBeCloseTo(judged[index]!.probability, 2);
      expect(value).toBe(index < 10 ? 1 : 0);
    }
  }, MINUTES);

  test("reads no answers, and needs different questions", async () => {
    const { positive, negative, ...how } = await options();
    const probe = await trainProbe(model, { positive, negative, ...how });
    const answered = (set: Dataset): Dataset => ({ ...set, rows: set.rows.map(({ input }, i) => ({ input, output: `answer ${i}` })) });
    const other = await trainProbe(model, { positive: answered(positive), negative: answered(negative), ...how });
    expect(other.weights).toEqual(probe.weights);
    await expect(trainProbe(model, { ...how, positive: await dataset("ITA"), negative: await dataset("ENG") })).rejects.toMatchObject(
      { code: "E_BAD_DATASET", message: expect.stringMatching(/ask the same queries/) },
    );
    await expect(probeTexts(model, probe, [{ question: "Why?", text: "Because." }])).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
    expect(() => evaluate.probe(model, probe)).toThrow(expect.objectContaining({ code: "E_BAD_ARGUMENT" }));
  }, MINUTES);

  test("and one of answers are named where a gate reads the other thing", async () => {
    const [prompts, answers] = [{ reads: "prompt" }, {}].map((more) =>
      ({ provenance: { property: "a vs b", ...more } }) as unknown as Probe);
    const of = (probe: Probe, per: "prompt" | "token") => gateNotice({ probe, per });
    expect(of(prompts!, "prompt") ?? of(answers!, "token")).toBeUndefined();
    expect(of(answers!, "prompt")).toMatch(/"a vs b" was trained on answers.*--reads prompt/);
    expect(of(prompts!, "token")).toMatch(/was trained on prompts.*add per=prompt/);
  });
});

test("what cannot be trained is refused", async () => {
  const [positive, negative] = [await dataset("ITA"), await dataset("ENG")];
  const refusal = (options: Partial<TrainProbeOptions>) => trainProbe(model, { positive, negative, layers: [3], ...options }).then(
    () => "no error", ({ code }: { code: string }) => code,
  );
  expect(await refusal({ negative: { ...positive, name: "other" } })).toBe("E_BAD_DATASET");
  expect(await refusal({ evalPositive: positive })).toBe("E_BAD_ARGUMENT");
  expect(await refusal({ folds: 1 })).toBe("E_BAD_ARGUMENT");
  expect(await refusal({ lambdas: [] })).toBe("E_BAD_ARGUMENT");
  expect(await refusal({ lambdas: [0] })).toBe("E_BAD_ARGUMENT");
  expect(await refusal({ layers: [] })).toBe("E_BAD_ARGUMENT");
  expect(await refusal({ layers: [5] })).toBe("E_SHAPE"); // the last
  expect(
    await refusal({
      positive: { ...positive, rows: positive.rows.slice(0, 3) }, negative: { ...negative, rows: negative.rows.slice(0, 3) },
    }),
  ).toBe("E_BAD_DATASET");
  expect(await refusal({ signal: AbortSignal.abort() })).toBe("E_ABORTED");
}, MINUTES);

test("on the command line: train, inspect, judge, monitor", async () => {
  const run = (...args: string[]) => runCommand(args, { cwd: space.folder });
  const train = await run(
    "probe", "train", "tiny", "--positive", "ENi2f", "--negative", "ENf2i", "--out", "formal.safetensors", "--layers", "2-3", "--json",
    "--quiet",
  );
  expect(train).toMatchObject({ code: 0, stderr: "" });
  const made = JSON.parse(train.stdout) as Probe & { path: string };
  expect(made).toMatchObject({ path: "formal.safetensors", site: "resid_post", heldOut: { n: 400 }, provenance: { seed: 32, folds: 5 } });
  expect(made.layers.map(({ layer }) => layer)).toEqual([2, 3]);
  const inspected = await run("probe", "inspect", "formal.safetensors");
  expect(inspected.stdout).toMatch(/^2 +100\.0 % +1\.0000.*\n3 +100\.0 %/m);
  expect(inspected.stdout).toMatch(/held out, 400 texts of ENi2f_test and ENf2i_test: accuracy 100\.0 %, AUC 1\.0000/);
  const { rows: [row] } = await part("ENi2f");
  const text = await run("probe", "text", "tiny", "formal.safetensors", row!.output, "--question", row!.input, "--json");
  const [expected] = await probeTexts(
    model, await loadProbe(space.path("formal.safetensors")), [{ question: row!.input, text: row!.output }],
  );
  expect(JSON.parse(text.stdout)).toMatchObject({ property: "ENi2f vs ENf2i", probability: expect.closeTo(expected!.probability, 3) });
  const none = await run("probe", "text", "tiny", "formal.safetensors", " ", "--json");
  expect(JSON.parse(none.stdout)).toMatchObject({ probability: null, logit: null });
  const generated = await run(
    "generate", "tiny", row!.input, "--monitor", "formal.safetensors", "--monitor", "formal.safetensors", "--max-new-tokens", "4", "--json",
  );
  const { monitor, tokens } = JSON.parse(generated.stdout) as { monitor: object[]; tokens: Array<{ monitors: number[] }> };
  expect(monitor).toEqual([0, 1].map(() => ({ probe: "formal.safetensors", property: "ENi2f vs ENf2i" })));
  expect(tokens).toHaveLength(4);
  for (const { monitors: [a, b] } of tokens) expect([a === b, a! >= 0 && a! <= 1]).toEqual([true, true]);
  expect(await run("probe", "train", "tiny", "--positive", "ENi2f", "--negative", "ENi2f", "--out", "x.safetensors")).toMatchObject({
    code: 3, stderr: expect.stringContaining("E_BAD_DATASET"),
  });
}, MINUTES);
