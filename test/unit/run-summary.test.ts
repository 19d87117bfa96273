import { describe, expect, test } from "@jest/globals";
import { withLanguage } from "../../lib/evaluate/evaluate-run.js";
import { judgedProperty, wantedOf, wantedSide } from "../../lib/evaluate/wanted-properties.js";
import {
  evaluationHeader, evaluationRow, hitMeasure, judgeAgreement, pairedDifferences, summariseRun, unjudged, type Evaluation,
} from "../../lib/results/index.js";
import type { Probe } from "../../lib/probe/index.js";
import { aRun, someRecords } from "../support/runs.js";

const RUN = aRun({ nPrompts: 4 });
const RECORDS = [0, 1, 2, 3].flatMap((prompt) => someRecords(RUN, prompt));

/** An evaluation whose hits are given per record: h hit, m miss, u undetermined. */
function evaluation(evaluator: string, hits: string, wanted: string | null = "x", property = evaluator): Evaluation {
  const header = evaluationHeader(RUN, { evaluator, property, wanted, config: {}, versions: {} });
  const rows = [...hits].map(
    (hit, index) => evaluationRow(
      RECORDS[index]!, { [`eval_${evaluator.replaceAll("-", "_")}_hit`]: hit === "h" ? true : hit === "m" ? false : null },
    ),
  );
  return { header, rows };
}

describe("the table", () => {
  // Per prompt: icl, no-icl, Dyn, Fixed, Start.
  const language = evaluation("language", "hmhhu hmhmm hmuhm hmhhm".replaceAll(" ", ""));
  const formality = evaluation("formality", "hmhhh hmmhm hmhum hmhhm".replaceAll(" ", ""));
  const results = { run: RUN, records: RECORDS, evaluations: [formality, language, evaluation("fluency", "uuuuuuuuuuuuuuuuuuuu", null)] };
  const row = (setting: string) => summariseRun(results).find((each) => each.setting === setting)!;

  test("shares per property; undetermined answers are no hits", () => {
    expect(row("Dyn p=0.5").properties["language"]).toMatchObject({ share: { value: 3 / 4 }, undetermined: 1 });
    expect(row("Dyn p=0.5").properties["formality"]).toMatchObject({ share: { value: 3 / 4 }, undetermined: 0 });
    expect(row("Start -1.5").properties["language"]).toMatchObject({ share: { value: 0 }, undetermined: 1 });
    expect(Object.keys(row("icl").properties)).toEqual(["formality", "language"]);
  });

  test("jointly: both on the same answer", () => {
    expect(row("Dyn p=0.5").joint).toMatchObject({ share: { value: 2 / 4 }, undetermined: 1 });
    expect(row("Fixed 1").joint).toMatchObject({ share: { value: 2 / 4 }, undetermined: 1 });
    expect(summariseRun({ ...results, evaluations: [language] })[0]!.joint).toBeNull();
  });

  test("several judges of one property count once: the one of its name, else a probe, else the first", () => {
    const probe = evaluation("probe-it", "hhhhhhhhhhhhhhhhhhhh", "ITA", "language");
    const joint = (evaluations: Evaluation[]) => summariseRun({ ...results, evaluations }).map((each) => each.joint?.share.value);
    expect(joint([formality, language, probe])).toEqual(joint([formality, language]));
    expect(joint([language, probe])).toEqual([undefined, undefined, undefined, undefined, undefined]);
    expect(joint([formality, probe])[2]).toBe(3 / 4); // formality's share, where the probe says yes to all
    const judge = evaluation("judge-language", "mmmmmmmmmmmmmmmmmmmm", "ita", "language");
    expect(joint([formality, judge, probe])).toEqual(joint([formality, probe])); // as their files are sorted
    expect(joint([formality, judge])[2]).toBe(0);
  });

  test("in a comparison of methods, the judges of its plan count, whoever else judges the same or more", () => {
    const config = { properties: [
      { name: "italian", judge: { language: "it" } }, { name: "formal", positive: "ENi2f", negative: "ENf2i", judge: "probe" },
    ] };
    const probe = evaluation("probe-formal", "hhhmm hhhmm hhhmm hhhmm".replaceAll(" ", ""), "formal", "formality");
    const others = [
      evaluation("brevity", "mmmmmmmmmmmmmmmmmmmm", "brief"), formality,
      evaluation("judge-formality", "mmmmmmmmmmmmmmmmmmmm", "formal", "formality"),
    ];
    const joint = (evaluations: Evaluation[]) =>
      summariseRun({ ...results, run: { ...RUN, config }, evaluations }).map((each) => each.joint?.share.value);
    expect(joint([...others, language, probe])).toEqual(joint([language, probe]));
    expect(joint([language, probe])[2]).toBe(3 / 4);
    expect(new Set(joint([...others, language]))).toEqual(new Set([undefined])); // while a judge is missing, nothing is counted without it
    expect(unjudged({ run: { ...RUN, config }, evaluations: [...others, language] })).toEqual(["formal"]);
    const earlier = evaluation("probe-eni2f-enf2i", "hhhmm hhhmm hhhmm hhhmm".replaceAll(" ", ""), "formal", "formal");
    expect(joint([...others, language, earlier])).toEqual(joint([language, probe]));
    expect(judgeAgreement([...others, language, probe]).map(({ property, judges }) => [property, ...judges])).toEqual(
      [["formality", "formality", "judge-formality"], ["formality", "formality", "probe-formal"],
        ["formality", "judge-formality", "probe-formal"]]);
  });

  test("the judge of a planned property judges what its datasets' names tell, otherwise what the plan calls it", () => {
    const formal = { name: "polite", positive: "ENi2f", negative: "ENf2i", judge: "probe" } as const;
    expect([formal, { ...formal, negative: "yours", positive: "mine" }].map(judgedProperty))
      .toEqual(["formality", "polite"]);
  });

  test("answers that are not evaluated yet are left out of the shares", () => {
    const half = { ...language, rows: language.rows.slice(0, 10) };
    const table = summariseRun({ ...results, evaluations: [half] });
    expect(table[2]!.properties["language"]).toMatchObject({ n: 2, share: { value: 1 } });
    expect(summariseRun({ ...results, evaluations: [{ ...language, rows: [] }] })[2]!.properties).toEqual({});
  });

  test("ΔPPL: mean, median and quartiles", () => {
    // Fixed 1 is the fourth setting: 3 + prompt / 3.
    expect(row("Fixed 1").deltaPerplexity).toMatchObject({
      n: 4, mean: { value: expect.closeTo(3.5) }, median: { value: expect.closeTo(3.5) },
      quartiles: [expect.closeTo(3.25), expect.closeTo(3.75)],
    });
    expect(row("icl").deltaPerplexity).toBeNull();
  });

  test("paired differences: prompt by prompt, against one setting", () => {
    const byDelta = pairedDifferences(results, "no-icl", (index) => RECORDS[index]!.deltaPerplexity ?? undefined);
    // Every prompt differs by exactly the settings' distance, so the interval has no width.
    expect(byDelta.find(({ setting }) => setting === "Fixed 1")).toEqual({
      setting: "Fixed 1", n: 4, difference: { value: expect.closeTo(2), low: expect.closeTo(2), high: expect.closeTo(2) },
      p: 2 / 16, pHolm: (3 * 2) / 16, // all four have the same sign; three settings have a ΔPPL
    });
    expect(byDelta.find(({ setting }) => setting === "icl")).toEqual({
      setting: "icl", n: 0, difference: null, p: null, pHolm: null,
    });
    const byHit = pairedDifferences(results, "no-icl", hitMeasure([language, formality]));
    expect(byHit.find(({ setting }) => setting === "Dyn p=0.5")!.difference!.value).toBe(0.5);
    expect(byHit.map(({ setting }) => setting)).not.toContain("no-icl");
  });
});

describe("what is wanted, by the datasets' names", () => {
  const single = (positive: string, negative: string) => wantedOf({
    ...RUN, datasets: { positive: { name: positive, hash: "" }, negative: { name: negative, hash: "" } },
  });
  const composed = (name: string) => wantedOf({ ...RUN, kind: "compose", datasets: { composed: { name, hash: "" } } });
  test.each([
    [single("ITA_train", "ENG_train"), { language: "ita" }],
    [single("ENi2f", "ENf2i"), { formality: "formal" }],
    [single("ENf2i", "ENG"), { formality: "informal" }],
    [single("ITunsafe", "ENsafe"), { language: "ita", safety: "unsafe" }],
    [single("mine", "yours"), {}],
    [composed("ZHi2f_test"), { language: "cmn", formality: "formal" }],
    [composed("ENi2f"), { formality: "formal" }],
  ])("case %#", (found, expected) => expect(found).toEqual(expected));
});

describe("what is wanted in a comparison of methods, by its plan", () => {
  const planned = (...properties: object[]) => wantedOf({
    ...RUN, kind: properties.length > 1 ? "compose" : "single", config: { properties: properties.map((each) => ({ name: "x", ...each })) },
    datasets: { positive: { name: "FRA_train", hash: "" }, negative: { name: "ENG_train", hash: "" } },
  });
  const FORMAL = { positive: "ENi2f", negative: "ENf2i" };
  test.each<[string, object[], object]>([
    ["the language detector and a probe of two languages",
      [{ judge: { language: "it" } }, { ...FORMAL, judge: { probe: [["ENi2f", "ENf2i"], ["ITi2f", "ITf2i"]] } }],
      { language: "ita", formality: "formal" }],
    ["a language that is steered towards in words", [{ judge: { language: "zh-cn" } }], { language: "cmn" }],
    ["a probe of the property's own datasets", [{ ...FORMAL, judge: "probe" }], { formality: "formal" }],
    ["only what is judged, whatever the datasets are called", [{ judge: { brevity: 12 } }], {}],
    ["a probe that tells two properties apart at once", [{ judge: { probe: [["ITunsafe", "ENsafe"]] } }], {}],
    ["a probe whose pairs differ in what they show", [{ judge: { probe: [["ITA", "ENG"], ["FRA", "ENG"]] } }], {}],
    ["a probe of files", [{ judge: { probe: [["data/ITA/shows.json", "data/ENG/lacks.json"]] } }], {}],
  ])("%s", (_, properties, expected) => expect(planned(...properties)).toEqual(expected));

  test("a plan that cannot be read is refused", () => {
    expect(() => planned({ judge: { lenght: 12 } })).toThrow(expect.objectContaining({ code: "E_BAD_RUN" }));
    expect(planned({ judge: "probe" })).toEqual({});
  });
});

test.each([
  ["ENi2f", "ENf2i", { formality: "formal" }, "positive"], ["ENi2f", "ENf2i", { formality: "informal" }, "negative"],
  ["ITA", "ENG", { language: "ita" }, "positive"],
  ["ENG", "ITA", { language: "ita" }, "negative"], ["ITA", "ENG", { formality: "formal" }, undefined],
  ["mine", "yours", { language: "ita" }, undefined],
  ["ITunsafe", "ENsafe", { safety: "unsafe" }, "positive"], ["ITA", "FRA", { language: "spa" }, undefined],
] as const)("a probe of %s and %s, where %j is wanted: %s", (positive, negative, wanted, side) => {
  const provenance = { positive: { name: `${positive}_train`, hash: "" }, negative: { name: negative, hash: "" } } as Probe["provenance"];
  expect(wantedSide({ provenance }, wanted)).toEqual(side === undefined ? {} : { wanted: side, property: Object.keys(wanted)[0] });
});

test("a run that says which language it wants is judged in passing, without a file", async () => {
  const run = aRun({ nPrompts: 1, datasets: { positive: { name: "ITA", hash: "" }, negative: { name: "ENG", hash: "" } } });
  const records = someRecords(run, 0).map(
    (record, index) => ({ ...record, text: index === 2 ? "Le api fanno il miele dal nettare dei fiori." : "Bees make honey." }),
  );
  const results = await withLanguage({ run, records, timings: [], isComplete: true, evaluations: [] });
  expect(summariseRun(results).map(({ properties }) => properties["language"]!.share.value)).toEqual([0, 0, 1, 0, 0]);
  const nameless = aRun({ datasets: { positive: { name: "mine", hash: "" } } });
  expect(await withLanguage({ ...results, run: nameless, evaluations: [] })).toHaveProperty("evaluations", []);
});
