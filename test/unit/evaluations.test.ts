import { appendFile, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "@jest/globals";
import { SteeringError } from "../../lib/errors.js";
import type { Evaluator } from "../../lib/evaluate/evaluator.js";
import { fluencyEvaluator, repetition } from "../../lib/evaluate/fluency-evaluator.js";
import { translatedEvaluator } from "../../lib/evaluate/translated-evaluator.js";
import type { TextTranslator } from "../../lib/evaluate/translation.js";
import { evaluateRun } from "../../lib/evaluate/evaluate-run.js";
import { encodeRecord, readRun, writeRun } from "../../lib/results/index.js";
import { temporaryFolder } from "../support/io-helpers.js";
import { aRun, someRecords } from "../support/runs.js";

const RUN = aRun({ nPrompts: 4 });
const RECORDS = [0, 1, 2, 3].flatMap((prompt) => someRecords(RUN, prompt));

/** Says of each text how many it has seen; remembers what it was shown. */
class Counting implements Evaluator {
  readonly name: string = "counting";
  readonly wanted: string | null = "even";
  readonly batchSize = 3;
  readonly versions = { llamaSteer: "1" };
  readonly shown: string[] = [];
  constructor(readonly config: Record<string, unknown> = { model: "a" }, private readonly failAt = Infinity) {}
  evaluate(texts: readonly { text: string }[]) {
    if (this.shown.length + texts.length > this.failAt) return Promise.reject(new Error("out of order"));
    this.shown.push(...texts.map(({ text }) => text));
    return Promise.resolve(texts.map(
      ({ text }) => ({ "": text.trim(), p: 0.5, hit: text.includes("0") ? true : text.includes("1") ? null : false }),
    ));
  }
  [Symbol.dispose](): void {}
}

let folder: string;
beforeEach(async () => {
  folder = join(await temporaryFolder(), "run");
  await writeRun(folder, RUN, RECORDS);
});
const path = (name = "counting"): string => join(folder, `eval-${name}.jsonl`);

describe("an evaluation", () => {
  test("is a line per answer behind a header, in the order of the results", async () => {
    const { evaluations } = await evaluateRun(folder, [new Counting()]);
    expect(evaluations).toHaveLength(1);
    expect(evaluations[0]!.header).toMatchObject({ evaluator: "counting", wanted: "even", config: { model: "a" }, formatVersion: 1 });
    expect(evaluations[0]!.rows).toHaveLength(RECORDS.length);
    expect(evaluations[0]!.rows[0]).toEqual({
      prompt: 0, setting: "icl", answer: expect.stringMatching(/^[0-9a-f]{16}$/), eval_counting: "text 0 好", eval_counting_p: 0.5,
      eval_counting_hit: true,
    });
    expect((await readFile(path(), "utf8")).trim().split("\n")).toHaveLength(RECORDS.length + 1);
  });

  test("judges the answer that a user sees, not the thoughts before it, and notices when it changes", async () => {
    const write = async (answer: string): Promise<void> => writeFile(join(folder, "results.jsonl"), RECORDS.map((record, i) =>
      encodeRecord(i === 1 ? { ...record, text: `<think>0</think>${record.text}`, answer } : record)).join(""));
    await write(RECORDS[1]!.text);
    const seen = new Counting();
    const { evaluations, records } = await evaluateRun(folder, [seen]);
    expect(seen.shown).toEqual(RECORDS.map(({ text }) => text));
    expect(records[1]).toMatchObject({ text: "<think>0</think>text 1 好\n", answer: "text 1 好\n" });
    expect(evaluations[0]!.rows[1]).toMatchObject({ eval_counting: "text 1 好", eval_counting_hit: null });
    await write("");
    const again = new Counting();
    await evaluateRun(folder, [again]);
    expect(again.shown.slice(0, 1)).toEqual([""]);
  });

  test("goes on where it was stopped, and ends with the same bytes", async () => {
    await evaluateRun(folder, [new Counting()]);
    const whole = await readFile(path(), "utf8");
    const second = join(await temporaryFolder(), "run");
    await writeRun(second, RUN, RECORDS);
    await expect(evaluateRun(second, [new Counting({ model: "a" }, 8)])).rejects.toThrow("out of order");
    // the process ended inside a character
    await appendFile(join(second, "eval-counting.jsonl"), Buffer.from('{"prompt":1,"eval_counting":"好').subarray(0, -1));
    const rest = new Counting();
    await evaluateRun(second, [rest]);
    expect(rest.shown).toHaveLength(RECORDS.length - 6);
    expect(await readFile(join(second, "eval-counting.jsonl"), "utf8")).toBe(whole);
  });

  test("that is whole costs nothing more", async () => {
    await evaluateRun(folder, [new Counting()]);
    const again = new Counting();
    await evaluateRun(folder, [again]);
    expect(again.shown).toEqual([]);
  });

  test("takes in the answers that a run gains later", async () => {
    const whole = await readFile(join(folder, "results.jsonl"), "utf8");
    await writeFile(join(folder, "results.jsonl"), whole.split("\n").slice(0, 10).join("\n") + "\n");
    expect((await evaluateRun(folder, [new Counting()])).evaluations[0]!.rows).toHaveLength(10);
    await writeFile(join(folder, "results.jsonl"), whole);
    expect((await evaluateRun(folder, [new Counting()])).evaluations[0]!.rows).toHaveLength(20);
  });

  test("with another model is refused by name, and replaced with `again`", async () => {
    await evaluateRun(folder, [new Counting()]);
    await expect(evaluateRun(folder, [new Counting({ model: "b" })])).rejects.toMatchObject({
      code: "E_BAD_RUN", message: expect.stringMatching(/config\.model "a" there, "b" here.*--again/),
    });
    const { evaluations } = await evaluateRun(folder, [new Counting({ model: "b" })], { again: true });
    expect(evaluations[0]!.header.config).toEqual({ model: "b" });
    expect(evaluations[0]!.rows).toHaveLength(RECORDS.length);
  });

  test("may be aborted between batches", async () => {
    const stop = new AbortController();
    const options = { signal: stop.signal, onProgress: (_name: string, done: number) => { if (done > 0) stop.abort(); } };
    await expect(evaluateRun(folder, [new Counting()], options)).rejects.toMatchObject({ code: "E_ABORTED" });
    expect((await readRun(folder)).evaluations[0]!.rows).toHaveLength(3);
  });

  test.each([
    ["a line that is not JSON", (text: string) => text.replace(/\n\{/, "\nx{"), /line 2 is not JSON/],
    ["a newer version", (text: string) => text.replace('"formatVersion":1', '"formatVersion":2'), /newer llama-steer/],
    ["another run's answers", (text: string) => text.replace(/"run":"sha256:.{5}/, '"run":"sha256:00000'), /belongs to another run/],
    [
      "a row out of order", (text: string) => text.replace('"prompt":0,"setting":"no-icl"', '"prompt":1,"setting":"no-icl"'),
      /line 3: found prompt 1, "[^"]*"; expected prompt 0, "no-icl"/,
    ],
    ["a column that is no value", (text: string) => text.replace('"eval_counting_p":0.5', '"eval_counting_p":{"a":1}'), /line 2/],
  ])("is refused with %s", async (_, change, message) => {
    await evaluateRun(folder, [new Counting()]);
    const text = await readFile(path(), "utf8");
    expect(change(text)).not.toBe(text);
    await writeFile(path(), change(text));
    await expect(readRun(folder)).rejects.toMatchObject({ code: "E_BAD_RUN", message: expect.stringMatching(message) });
    await expect(evaluateRun(folder, [new Counting()])).rejects.toMatchObject({
      code: "E_BAD_RUN", message: expect.stringMatching(/--again|newer/),
    });
    expect((await evaluateRun(folder, [new Counting()], { again: true })).evaluations[0]!.rows).toHaveLength(RECORDS.length);
  });

  test("is refused in a file that is named after another evaluator, and the message tells what helps", async () => {
    await evaluateRun(folder, [new Counting()]);
    const copy = join(folder, "eval-zzz.jsonl");
    for (const [content, message] of [
      [await readFile(path(), "utf8"), /eval-zzz\.jsonl contains the results of the evaluator "counting", whose file is eval-counting\.jsonl; delete the file, or/],
      ["stray\n", /eval-zzz\.jsonl: line 1 is not JSON.*; delete the file, or evaluate with the evaluator that it is named after and --again/],
    ] as const) {
      await writeFile(copy, content);
      await expect(readRun(folder)).rejects.toMatchObject({ code: "E_BAD_RUN", message: expect.stringMatching(message) });
      await expect(evaluateRun(folder, [new Counting()], { again: true })).rejects.toMatchObject({ code: "E_BAD_RUN" });
      const zzz = Object.assign(new Counting(), { name: "zzz" });
      const { evaluations } = await evaluateRun(folder, [zzz], { again: true });
      expect(evaluations.map(({ header }) => header.evaluator)).toEqual(["counting", "zzz"]);
      await rm(copy);
      expect((await readRun(folder)).evaluations).toHaveLength(1);
    }
  });

  test("of a newer version is not replaced by accident", async () => {
    await evaluateRun(folder, [new Counting()]);
    await writeFile(path(), (await readFile(path(), "utf8")).replace('"formatVersion":1', '"formatVersion":2'));
    await expect(evaluateRun(folder, [new Counting()])).rejects.toMatchObject({
      code: "E_BAD_RUN", message: expect.stringMatching(/newer llama-steer/),
    });
  });

  test("of answers that changed since is done again from there on", async () => {
    await evaluateRun(folder, [new Counting()]);
    const changed = RECORDS.map((record, index) => (index === 7 ? { ...record, text: "another text" } : record));
    await writeFile(join(folder, "results.jsonl"), changed.map((record) => `${JSON.stringify(record)}\n`).join(""));
    expect((await readRun(folder)).evaluations[0]!.rows).toHaveLength(7);
    const again = new Counting();
    expect((await evaluateRun(folder, [again])).evaluations[0]!.rows).toHaveLength(RECORDS.length);
    expect(again.shown).toEqual(changed.slice(7).map(({ text }) => text));
  });

  test("of answers that are not there yet is no trouble: another process may be ahead", async () => {
    await evaluateRun(folder, [new Counting()]);
    await truncate(
      join(folder, "results.jsonl"),
      (await readFile(join(folder, "results.jsonl"), "utf8")).split("\n").slice(0, 10).reduce(
        (sum, line) => sum + Buffer.byteLength(line) + 1, 0,
      ),
    );
    expect((await readRun(folder)).evaluations[0]!.rows).toHaveLength(10);
  });

  test("with `again` but as it was is not thrown away", async () => {
    await evaluateRun(folder, [new Counting()]);
    const again = new Counting();
    await evaluateRun(folder, [again], { again: true });
    expect(again.shown).toEqual([]);
  });

  test.each([
    ["a name that is no file's", { name: "My Eval" }, /evaluator/], ["batches of nothing", { batchSize: 0 }, /batchSize of 0/],
    ["too few results", { evaluate: () => Promise.resolve([]) }, /0 results for 3 texts/],
    [
      "values that cannot be kept", { evaluate: (texts: readonly object[]) => Promise.resolve(texts.map(() => ({ a: { b: 1 } }))) },
      /eval_counting_a/,
    ],
  ])("by an evaluator with %s is refused, and nothing is written", async (_, changes, message) => {
    const evaluator = Object.assign(new Counting(), changes) as unknown as Evaluator;
    await expect(evaluateRun(folder, [evaluator])).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT", message: expect.stringMatching(message),
    });
    expect((await readRun(folder)).evaluations.flatMap(({ rows }) => rows)).toEqual([]);
  });

  test("by two evaluators of one name is refused", async () => {
    await expect(evaluateRun(folder, [new Counting(), new Counting({ model: "b" })], { again: true })).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT", message: expect.stringMatching(/two evaluators are called "counting"/),
    });
  });

  test("of which not even the header was finished is none", async () => {
    await evaluateRun(folder, [new Counting()]);
    await truncate(path(), 20);
    expect((await readRun(folder)).evaluations).toEqual([]);
    expect((await evaluateRun(folder, [new Counting()])).evaluations[0]!.rows).toHaveLength(RECORDS.length);
  });
});

test("repetition is the share of word trigrams that came before", async () => {
  expect(repetition("a b c a b c a")).toBeCloseTo(1 - 3 / 5); // abc bca cab abc bca
  expect(repetition("one two three four")).toBe(0);
  expect(repetition("one two three")).toBeNull();
  expect(repetition("")).toBeNull();
  const [long] = await fluencyEvaluator().evaluate([{ question: "", text: "word ".repeat(200_000) }]);
  expect(long).toMatchObject({ words: 200_000, characters: 1_000_000, repetition: expect.closeTo(1, 4) });
  const [endless] = await fluencyEvaluator().evaluate([{ question: "", text: "x".repeat(1_000_000) }]);
  expect(endless).toMatchObject({ characters: 1_000_000 });
  const [columns] = await fluencyEvaluator().evaluate([{ question: "", text: "Le api fanno, 好!" }]);
  expect(columns).toEqual({ words: 4, characters: 16, repetition: 0 });
});

test("shown in English: only what is in another language is translated, language by language", async () => {
  const asked: Array<[string | undefined, readonly string[]]> = [];
  const translator: TextTranslator = {
    name: "upper", dispose: () => {},
    translate: (texts, { from } = {}) => {
      asked.push([from, texts]);
      return Promise.resolve(texts.map((text) => text.toUpperCase()));
    },
  };
  const inner = new Counting();
  const evaluator = await translatedEvaluator(
    {
      name: inner.name, wanted: null, config: inner.config, versions: {}, batchSize: 9, evaluate: (texts) => inner.evaluate(texts),
      [Symbol.dispose]: () => {},
    },
    translator,
  );
  expect(evaluator.config).toEqual({ model: "a", translator: "upper" });
  const tooLong: TextTranslator = {
    ...translator,
    translate: (texts) => (texts.some((text) => text.length > 500) ? Promise.reject(new SteeringError(
      "E_CONTEXT_FULL", "text 1 is too long",
    )) : Promise.resolve(texts.map(() => "done"))),
  };
  const some = await (await translatedEvaluator(fluencyEvaluator(), tooLong)).evaluate(
    ["Le api fanno il miele dal nettare.", "Le api fanno il miele. ".repeat(40), "Mi piace molto andare al mare."].map(
      (text) => ({ question: "", text }),
    ),
  );
  expect(some.map(({ translation, words }) => [translation, words])).toEqual([["done", 1], ["", 0], ["done", 1]]);
  const texts = [
    "Le api fanno il miele dal nettare.", "Bees make honey from nectar.", "", "Les abeilles font du miel avec le nectar.",
    "Mi piace molto andare al mare.",
  ];
  const found = await evaluator.evaluate(texts.map((text) => ({ question: "", text })));
  expect(asked).toEqual([["ita", [texts[0], texts[4]]], ["fra", [texts[3]]]]);
  expect(inner.shown).toEqual([texts[0]!.toUpperCase(), texts[1], "", texts[3]!.toUpperCase(), texts[4]!.toUpperCase()]);
  expect(found.map((each) => each["translation"])).toEqual([
    texts[0]!.toUpperCase(), null, null, texts[3]!.toUpperCase(), texts[4]!.toUpperCase(),
  ]);
});
