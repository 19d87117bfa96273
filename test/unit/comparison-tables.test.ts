import { describe, expect, test } from "@jest/globals";
import { comparedMethods } from "../../bin/methods-table.js";
import { agreementTable, differencesTable, frontTable, interferenceTable } from "../../lib/report/comparison-tables.js";
import { runData, tradeOffRows } from "../../lib/report/data.js";
import { tradeOffFigure } from "../../lib/report/figures/trade-off.js";
import { groupFronts } from "../../lib/report/front.js";
import { groupedSettings } from "../../lib/report/strategy.js";
import { overviewRow, overviewTable, settingsTable, type Table } from "../../lib/report/tables.js";
import { parseSchedule } from "../../lib/steering/index.js";
import {
  evaluationRow, hitMeasure, judgeAgreement, pairedDifferences, toPublished, unpublished, type RunSetting,
} from "../../lib/results/index.js";
import { aComposition, allRecords, anEvaluation, aRun, resultsOf } from "../support/runs.js";

const prompted: RunSetting = { label: "prompted", prompt: "prompted", steer: [] };
const withPrompted = (settings: readonly RunSetting[]): RunSetting[] => [...settings.slice(0, 2), prompted, ...settings.slice(2)];
const run = aComposition({ settings: withPrompted(aComposition().settings), nPrompts: 10 });
/** Median ΔPPL by setting, and how many of the ten prompts are hits. */
const COSTS: Record<string, number> = {
  "no-icl": 4, prompted: 2, "ITA alone": 3, "Dyn p=0.5": 1, "Fixed 1+1.5": 2, "Fixed 2+1": 30,
};
const HITS: Record<string, number> = { icl: 9, prompted: 5, "ITA alone": 2, "Dyn p=0.5": 4, "Fixed 1+1.5": 8, "Fixed 2+1": 7 };
const records = allRecords(
  run, (prompt, { label }) => ({ deltaPerplexity: label === "icl" ? null : COSTS[label]! + (prompt % 2 ? 0.5 : -0.5) }),
);
const formality = anEvaluation(run, records, "formality", "formal", ({ prompt, setting }) => prompt < (HITS[setting] ?? 0));
const data = runData(resultsOf(run, records, [formality]));
const cell = (table: Table, row: string, column: string) => table.rows.find(([name]) => name === row)![table.columns.indexOf(column)];

describe("the prompted baseline", () => {
  test("has a group, a row in every table, and no key in the published schema", () => {
    expect(groupedSettings(run).map(({ group }) => group)).toEqual(["ICL", "No ICL", "Prompted", "One alone", "Dyn", "Fixed"]);
    expect(cell(settingsTable(data), "prompted", "formal")).toBe(0.5);
    expect(cell(overviewTable([overviewRow("r", data)]), "r", "prompted")).toBe("prompted: 50 % (ΔPPL 2.00)");
    expect(cell(differencesTable(data, "Dyn p=0.5")!, "prompted", "formal")).toBeCloseTo(0.1, 12);
    expect(tradeOffRows(data)!.rows.map(({ setting }) => setting)).toContain("prompted");
    expect(unpublished(run)).toContain("prompted");
    expect(Object.keys(toPublished(run, records)[0]!.output)).toHaveLength(run.settings.length - unpublished(run).length);
  });
});

describe("paired differences", () => {
  test("of hits have McNemar's exact test, and Holm's correction for the number of settings", () => {
    const found = pairedDifferences(data, "Dyn p=0.5", (index) => Number(formality.rows[index]!["eval_formality_hit"] === true));
    const of = (setting: string) => found.find((each) => each.setting === setting)!;
    expect(of("Fixed 1+1.5")).toMatchObject({ n: 10, p: 2 / 16 }); // prompts 4 to 7
    expect(of("icl").p).toBe(2 / 32);
    expect(of("no-icl").p).toBe(2 / 16);
    expect(of("prompted").p).toBe(1);
    expect(of("icl").pHolm).toBe((6 * 2) / 32); // the least of six
    expect(found.every(({ p, pHolm }) => pHolm! >= p! && pHolm! <= 1)).toBe(true);
  });

  test("of ΔPPL have a permutation test; a setting without values has none", () => {
    const found = pairedDifferences(data, "no-icl", (index) => data.records[index]!.deltaPerplexity ?? undefined);
    expect(found.find(({ setting }) => setting === "Dyn p=0.5")).toMatchObject({ n: 10, p: 2 / 1024, difference: { value: -3 } });
    expect(found.find(({ setting }) => setting === "icl")).toEqual({ setting: "icl", n: 0, difference: null, p: null, pHolm: null });
    const table = differencesTable(data, "no-icl")!;
    expect(cell(table, "Dyn p=0.5", "ΔPPL p (Holm)")).toBeCloseTo((5 * 2) / 1024, 12);
    expect(table.shown.find(([name]) => name === "Dyn p=0.5")!.at(-1)).toBe("−3.00 [−3.00, −3.00], p 0.010");
  });
});

describe("the front of effect against ΔPPL", () => {
  // Points: Dyn (1, 0.4), Fixed 1+1.5 (2, 0.8); all others are beaten. From 1 to 4, the ΔPPL of the unsteered question, and a tenth.
  test("holds what nothing beats, and the area of each strategy", () => {
    const found = groupFronts(data)!;
    expect([found.from, found.to]).toEqual([1, 4.3]);
    const shown = found.rows.map(({ group, settings, onFront, area }) => [group, settings.length, onFront, Number(area.value.toFixed(9))]);
    expect(shown).toEqual([
      ["all", 6, ["Dyn p=0.5", "Fixed 1+1.5"], Number(((0.4 * 1 + 0.8 * 2.3) / 3.3).toFixed(9))],
      ["No ICL", 1, [], 0], ["Prompted", 1, [], Number(((0.5 * 2.3) / 3.3).toFixed(9))],
      ["One alone", 1, [], Number(((0.2 * 1.3) / 3.3).toFixed(9))], ["Dyn", 1, ["Dyn p=0.5"], 0.4],
      ["Fixed", 2, ["Fixed 1+1.5"], Number(((0.8 * 2.3) / 3.3).toFixed(9))],
    ]);
    for (const { area } of found.rows) {
      expect(area.low).toBeLessThanOrEqual(area.value + 1e-9);
      expect(area.high).toBeGreaterThanOrEqual(area.value - 1e-9);
    }
    expect(found.rows[0]!.area.high - found.rows[0]!.area.low).toBeGreaterThan(0.1);
    const table = frontTable(data)!;
    expect(cell(table, "all", "on the front of all")).toBe("Dyn p=0.5, Fixed 1+1.5");
    expect(frontTable(runData(resultsOf(run, records)))).toBeUndefined();
  });

  const settingsOf = (kinds: Record<string, { cost: number; hits: number }>): ReturnType<typeof groupFronts> => {
    const settings = Object.keys(kinds).map((label): RunSetting => ({
      label, prompt: "no-icl",
      steer: label === "no-icl" ? [] : [{ vector: 0, schedule: parseSchedule({ kind: label as "fixed", alpha: 1 }) }],
    }));
    const compared = aRun({ settings, nPrompts: 10 });
    const answers = allRecords(compared, (_, { label }) => ({ deltaPerplexity: kinds[label]!.cost }));
    const judged = anEvaluation(compared, answers, "formality", "formal", ({ prompt, setting }) => prompt < kinds[setting]!.hits);
    return groupFronts(runData(resultsOf(compared, answers, [judged])));
  };
  const areas = (kinds: Parameters<typeof settingsOf>[0]): Record<string, number> =>
    Object.fromEntries(settingsOf(kinds)!.rows.map(({ group, area }) => [group, area.value]));

  test.each([
    ["costs the most on the front", { fixed: { cost: 2, hits: 10 }, start: { cost: 1, hits: 1 }, diminishing: { cost: 5, hits: 9 } }],
    ["costs as much as the worst", { fixed: { cost: 2, hits: 10 }, start: { cost: 2, hits: 9 }, diminishing: { cost: 2, hits: 5 } }],
    ["costs less", { fixed: { cost: 0.5, hits: 10 }, start: { cost: 1, hits: 10 }, diminishing: { cost: 9, hits: 10 } }],
    ["is the only one with an effect", { fixed: { cost: 2, hits: 10 }, start: { cost: 3, hits: 0 }, diminishing: { cost: 4000, hits: 0 } }],
  ])("gives the method that beats the others, and %s, the largest area", (_, kinds) => {
    const { all, Fixed, Start, Dim } = areas({ "no-icl": { cost: 0, hits: 0 }, ...kinds });
    expect(Fixed).toBeGreaterThan(0.05);
    expect(Fixed).toBeGreaterThan(Math.max(Start!, Dim!));
    expect(all).toBeGreaterThanOrEqual(Fixed!);
  });

  test("has a range that ends beyond the costliest setting with an effect", () => {
    const kinds = { "no-icl": { cost: 0, hits: 0 }, fixed: { cost: 2, hits: 10 }, start: { cost: 3, hits: 0 } };
    expect(settingsOf(kinds)).toMatchObject({ from: 0, to: 2.2 }); // without an effect, no range
    expect(settingsOf({ ...kinds, start: { cost: 3, hits: 1 } })!.to).toBeCloseTo(3.3, 12);
  });

  test("is drawn in steps", () => {
    const { chart, data: rows } = tradeOffFigure(data, "");
    const [line] = (chart!["layer"] as Array<{ mark: { type: string }; data: { values: Array<{ delta: number; share: number }> } }>)
      .filter(({ mark }) => mark.type === "line");
    expect(line!.data.values.slice(0, 2)).toEqual([{ delta: 1, share: 0.4 }, { delta: 2, share: 0.8 }]);
    expect(line!.data.values[2]!.share).toBe(0.8); // to the edge
    expect(rows.filter((row) => row["on_front"] === "yes").map(({ setting }) => setting)).toEqual(["Dyn p=0.5", "Fixed 1+1.5"]);
  });

  test("several judges of one property are no joint property", () => {
    const second = anEvaluation(run, records, "judge-formality", "formal", () => true);
    const both = runData(resultsOf(run, records, [formality, { ...second, header: { ...second.header, property: "formality" } }]));
    expect(tradeOffRows(both)!.rows).toHaveLength(6);
    expect(groupFronts(both)!.rows[0]!.area.value).toBeCloseTo(groupFronts(data)!.rows[0]!.area.value, 12);
  });
});

describe("a comparison of methods", () => {
  const compared = (config: object) => comparedMethods(resultsOf({ ...run, config: { ...run.config, ...config } }, records, [formality]));

  test("has paired tests against the prompted baseline, and areas, without the report", () => {
    const found = compared({ strengths: {} })!;
    expect(found).toMatchObject({ reference: "prompted", range: { from: 1, to: 4.3 } });
    const of = (label: string) => found.rows.find(({ setting }) => setting === label)!;
    expect(of("prompted")).toMatchObject({ effect: undefined, isOnFront: false });
    expect(of("Dyn p=0.5")).toMatchObject(
      { area: { value: 0.4 }, isOnFront: true, effect: { difference: { value: expect.closeTo(-0.1, 12) } } },
    );
    expect(of("no-icl").effect).toEqual(
      pairedDifferences(data, "prompted", hitMeasure([formality])).find(({ setting }) => setting === "no-icl"),
    );
    expect(of("Fixed 2+1").area).toBeUndefined(); // one of two
  });

  test("is told from other runs", () => {
    expect(compared({})).toBeUndefined();
    expect(comparedMethods(resultsOf({ ...run, config: { strengths: {} } }, records, []))).toBeUndefined();
  });
});

describe("the interference matrix", () => {
  test("is what each vector alone does to every judge, and to the words", () => {
    const fluency = {
      header: anEvaluation(run, records, "fluency", null, () => null).header,
      rows: records.map((record) => evaluationRow(record, { eval_fluency_words: record.setting === "ITA alone" ? 12 : 20 })),
    };
    const table = interferenceTable(runData(resultsOf(run, records, [formality, fluency])))!;
    expect(table.rows.map(([setting]) => setting)).toEqual(["prompted", "ITA alone"]);
    expect([cell(table, "ITA alone", "formal"), cell(table, "ITA alone", "words")]).toEqual([0.2, -8]);
    expect(table.shown[1]!.slice(1)).toEqual([
      expect.stringMatching(/^\+20 \[[+−]?\d+, \+\d\d\], p 0\.50$/), expect.stringMatching(/^−8\.00 \[/),
    ]);
  });

  test("is left out of runs without vectors alone, and without judges", () => {
    expect(interferenceTable(runData(resultsOf(run, records)))).toBeUndefined();
    const single = aRun();
    const answers = allRecords(single, () => ({}));
    const judged = anEvaluation(single, answers, "formality", "formal", () => true);
    expect(interferenceTable(runData(resultsOf(single, answers, [judged])))).toBeUndefined();
  });
});

test("judges of the same property are compared", () => {
  const other = anEvaluation(
    run, records, "judge-formality", "formal", ({ prompt, setting }) => (prompt === 9 ? null : prompt <= (HITS[setting] ?? 0)),
  );
  const judges = [formality, { ...other, header: { ...other.header, property: "formality" } }];
  const [found, ...more] = judgeAgreement(judges);
  expect(more).toEqual([]);
  expect(found).toMatchObject({ property: "formality", judges: ["formality", "judge-formality"], n: 63 });
  expect(found!.share).toBeCloseTo((63 - 6) / 63, 12); // each setting but icl, whose tenth prompt is left out, differs on one prompt
  const table = agreementTable(runData(resultsOf(run, records, judges)))!;
  expect(table.shown).toEqual([["formality", "formality, judge-formality", "63", "90 %", expect.stringMatching(/^0\.\d\d$/)]]);
  expect(agreementTable(data)).toBeUndefined();
});

test("a judge that compares with a setting is no judge of the property, and no measure of differences", () => {
  // Every second answer wins against the unsteered one, by chance; that one is never compared with itself.
  const wins = anEvaluation(
    run, records, "judge-formality-against", "more formal than no-icl",
    ({ prompt, setting }) => (setting === "no-icl" ? null : prompt % 2 === 0),
  );
  const against = { ...wins, header: { ...wins.header, property: "formality", config: { against: "no-icl" } } };
  const plain = { ...formality, header: { ...formality.header, evaluator: "judge-formality" } };
  const judge = {
    ...plain, rows: formality.rows.map(({ eval_formality_hit: hit, ...row }) => ({ ...row, eval_judge_formality_hit: hit! })),
  };
  const both = runData(resultsOf(run, records, [against, judge])); // as their files are sorted
  expect(tradeOffRows(both)).toEqual({ ...tradeOffRows(data)!, property: "formal" });
  expect(groupFronts(both)!.rows[0]!.area).toEqual(groupFronts(data)!.rows[0]!.area);
  expect(interferenceTable(both)!.columns).toEqual(interferenceTable(data)!.columns);
  expect(differencesTable(both, "no-icl")!.columns).toEqual(differencesTable(data, "no-icl")!.columns);
  expect(cell(settingsTable(both), "ITA alone", "more formal than no-icl")).toBe(0.5);
  expect(tradeOffRows(runData(resultsOf(run, records, [against])))).toBeUndefined();
});
