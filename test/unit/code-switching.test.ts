import { readFile } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import { EvaluationKit, type KitOptions } from "../../bin/evaluation-kit.js";
import { evaluate } from "../../lib/experiments.js";
import { likeliestSequence } from "../../lib/evaluate/code-switching.js";
import { foreignTo } from "../../lib/evaluate/scripts.js";

const texts = (...given: string[]) => given.map((text) => ({ question: "q", text }));

describe("code-switching", () => {
  test("the language of a word is read off its neighbours, too", () => {
    const [it, en, unsure] = [{ ita: 0.9, eng: 0.1 }, { ita: 0.1, eng: 0.9 }, { ita: 0.45, eng: 0.55 }];
    const of = (words: ReadonlyArray<Record<string, number>>, change: number) => likeliestSequence(words, ["ita", "eng"], change);
    expect(of([it!, it!, unsure!, it!], 0.1)).toEqual(["ita", "ita", "ita", "ita"]);
    expect(of([it!, it!, en!, en!, en!], 0.1)).toEqual(["ita", "ita", "eng", "eng", "eng"]);
    // One odd word: two changes cost 2 · ln(0.9 / 0.1) = 4.4 nats, the word gives ln 9 = 2.2.
    expect(of([it!, it!, en!, it!, it!], 0.1)).toEqual(["ita", "ita", "ita", "ita", "ita"]);
    expect(of([it!, it!, en!, it!, it!], 0.5)).toEqual(["ita", "ita", "eng", "ita", "ita"]);
    expect(of([], 0.1)).toEqual([]);
  });

  test("the likeliest of all sequences is found", () => {
    const words = [0.2, 0.6, 0.55, 0.9, 0.3, 0.35, 0.7, 0.1].map((p) => ({ a: p, b: (1 - p) * 0.7, c: (1 - p) * 0.3 }));
    const languages = ["a", "b", "c"];
    const value = (path: readonly string[]): number => path.reduce((sum, language, index) =>
      sum + Math.log(words[index]![language as "a"]) + (index === 0 ? 0 : Math.log(language === path[index - 1] ? 0.8 : 0.1)), 0);
    const all = words.reduce<string[][]>((paths) => paths.flatMap((path) => languages.map((each) => [...path, each])), [[]]);
    const best = Math.max(...all.map(value));
    expect(value(likeliestSequence(words, languages, 0.2))).toBeCloseTo(best, 12);
  });

  test("is refused, and left out by `evaluate`, for a language whose words are not known", async () => {
    await expect(evaluate.codeSwitching({ wanted: "id" })).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT", message: expect.stringMatching(/eld.* does not know Indonesian/),
    });
    const given = { rubric: [], probe: [], quiet: true, detector: "franc" } as unknown as KitOptions;
    const { signal } = new AbortController();
    await using kit = await EvaluationKit.open(given, signal);
    const namesFor = async (language: string) => (await kit.evaluators({ language }, undefined, signal)).map(({ name }) => name);
    expect(await namesFor("ind")).toEqual(["language", "fluency"]);
    expect(await namesFor("ita")).toEqual(["language", "fluency", "switching"]);
  });

  test("counts the words that are not in the wanted language", async () => {
    const evaluator = await evaluate.codeSwitching({ wanted: "it" });
    expect(await readFile("docs/method.md", "utf8")).toContain(`probability of ${String(evaluator.config["switch"])}: Viterbi's path`);
    const italian = "Le api raccolgono il nettare dai fiori e lo portano nell'alveare, dove diventa miele durante l'estate";
    const english = "while the bees collect nectar from the flowers and carry it back to their hive";
    const [pure, mixed, foreign, empty, chinese] = await evaluator.evaluate(
      texts(`${italian}.`, `${italian}, ${english}.`, `${english}.`, " 12, 13!", `${italian} 蜜蜂采集花蜜`),
    );
    expect(pure).toMatchObject({ "": 0, switches: 0 });
    expect(mixed![""]).toBeCloseTo(15 / ((pure!["words"] as number) + 15), 1);
    expect(mixed!["switches"]).toBe(1);
    expect(foreign![""]).toBe(1);
    expect(empty).toEqual({ "": null, words: 0, switches: null });
    expect(chinese![""]).toBeGreaterThan(0.05);
  });

  test.each([
    ["it", "La casa è grande привет мир как дела и il cane dorme", 5 / 12, 2],
    ["it", "La casa è grande γεια и il cane dorme", 2 / 9, 2],
    ["it", "Привет мир, как у вас дела сегодня?", 1, 0],
    ["it", "私は東京に住んでいます。今日は天気がいいです。", 1, undefined],
    ["it", "안녕하세요 오늘 날씨가 좋습니다", 1, 0],
    ["zh", "안녕하세요 오늘 날씨가 좋습니다", 1, 0],
    ["ko", "안녕하세요 오늘 날씨가 좋습니다", 0, 0],
    ["ru", "Привет мир, как у вас дела сегодня?", 0, 0],
  ])("in %s: %s: counts the words of a script that no candidate is written in", async (wanted, text, share, switches) => {
    const [found] = await (await evaluate.codeSwitching({ wanted })).evaluate(texts(text));
    expect(found![""]).toBeCloseTo(share, 12);
    if (switches !== undefined) expect(found!["switches"]).toBe(switches);
  });

  test("does not take what scripts share, or a few letters of another one, for another script", () => {
    const isForeign = foreignTo(["ita", "cmn"]);
    expect(["perché", "µ", "ª", "l'estate", "x²", "cafe\u0301", "蜜蜂", "αabc"].filter(isForeign)).toEqual([]);
    expect(["привет", "ひと", "한국", "λόγος", "приvет"].filter((word) => !isForeign(word))).toEqual([]);
    expect(foreignTo(["jpn"])("カメラー")).toBe(false);
    expect(foreignTo(["ita", "zxx"])("привет")).toBe(false); // a language without a script
  });
});
