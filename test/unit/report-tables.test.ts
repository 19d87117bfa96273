import { describe, expect, test } from "@jest/globals";
import { runData } from "../../lib/report/data.js";
import { differencesTable } from "../../lib/report/comparison-tables.js";
import { settingsTable, toCsv, toMarkdown } from "../../lib/report/tables.js";
import { evaluationRow } from "../../lib/results/index.js";
import { aComposition, allRecords, anEvaluation, resultsOf } from "../support/runs.js";

describe("tables", () => {
  const run = aComposition();
  const records = allRecords(
    run,
    (prompt, { label }) => ({
      deltaPerplexity: label === "icl" ? null : prompt + (label === "Fixed 2+1" ? 10 : 0), tokens: Array<number>(prompt + 1).fill(1),
    }),
  );
  const fluency = {
    header: anEvaluation(run, records, "fluency", null, () => null).header,
    rows: records.map((record) => evaluationRow(record, { eval_fluency_repetition: record.prompt / 8 })),
  };
  const data = runData(resultsOf(
    run, records,
    [anEvaluation(run, records, "formality", "formal", ({ prompt, setting }) => setting === "Dyn p=0.5" || prompt === 0), fluency],
  ));

  test("hold shares, ΔPPL, lengths and what a fluency evaluator measured", () => {
    const { columns, rows } = settingsTable(data);
    const row = Object.fromEntries(columns.map((column, i) => [column, rows[5]![i]]));
    expect(row).toMatchObject({
      setting: "Fixed 2+1", answers: 4, formal: 0.25, "median ΔPPL": 11.5, "mean ΔPPL": 11.5, "quartiles of ΔPPL": "10.75 12.25",
      "answers with ΔPPL": 4, "mean length (tokens)": 2.5, "mean repetition": 0.1875,
    });
    expect(row["formal low"]).toBeCloseTo(0.0456, 4); // Wilson, 1 of 4
    expect(columns).not.toContain("failed"); // none did
  });

  test("hold paired differences to a reference", () => {
    const table = differencesTable(data, "Dyn p=0.5")!;
    const of = (setting: string) => Object.fromEntries(table.columns.map(
      (column, i) => [column, table.rows.find(([name]) => name === setting)![i]],
    ));
    expect(of("Fixed 2+1")).toMatchObject({ formal: -0.75, "ΔPPL": 10, "ΔPPL low": 10, "ΔPPL high": 10, "ΔPPL: prompts": 4 });
    expect(table.shown.find(([name]) => name === "Fixed 2+1")!.slice(1)).toEqual([
      expect.stringMatching(/^−75 \[−100, [−+]?\d+\], p 1\.00$/), "+10.0 [+10.0, +10.0], p 0.50",
    ]);
  });

  test("as CSV and Markdown keep what cells hold", () => {
    expect(toCsv(["a", "b"], [["x,\"y\"", 0.5], ["line\nend", null]])).toBe('a,b\r\n"x,""y""",0.5\r\n"line\nend",\r\n');
    const text = toMarkdown({ id: "t", title: "T", caption: "c", columns: [], rows: [], shownColumns: ["a|b"], shown: [["<b>\nx"]] });
    expect(text).toBe("# T\n\n| a\\|b |\n|---|\n| \\<b\\> x |\n\nc\n");
  });

  test("as Markdown are text in their title and caption too", () => {
    const marks = "<img src=x onerror=alert(1)>\n# [a](http://x) `b` $c$";
    const [title, , , , , caption] = toMarkdown({
      id: "t", title: `Differences to ${marks}`, caption: marks, columns: [], rows: [], shownColumns: ["a"], shown: [],
    }).split("\n");
    const plain = "\\<img src=x onerror=alert(1)\\> \\# \\[a\\](http://x) \\`b\\` \\$c\\$";
    expect(title).toBe(`# Differences to ${plain}`);
    expect(caption).toBe(plain);
  });

  test.each([
    "=1+1", "+1+1", "-1+1", "@SUM(A1)", "=cmd|'/c calc'!A0", "\t=1", "\r=1", " =1", "\n=1", "＝1+1", "＠x", "-", "=", "-1 apple",
  ])("as CSV hold %j as text", (value) => {
    const [head, row] = toCsv([value], [[value]]).split(/\r\n(?=[^\r\n])/).map((line) => line.replace(/\r\n$/, ""));
    expect(head).toMatch(/^"?'/);
    expect(row).toBe(head);
    expect(head!.replace(/^"(.*)"$/s, "$1").slice(1)).toBe(value);
  });

  test.each([
    [-1.5, "-1.5"], [-1e-9, "-1e-9"], [-0.25, "-0.25"], [-Infinity, "-Infinity"], ["-10.75 12.25", "-10.75 12.25"], ["-3", "-3"],
    ["−75 [−100, 3]", '"−75 [−100, 3]"'], ["a;=1+1", '"a;=1+1"'], ["a\t=1", '"a\t=1"'], ["a=b", "a=b"], ["Start -1.5", "Start -1.5"],
  ])(
    "as CSV keep %j", (value, expected) => {
      expect(toCsv([], [[value]])).toBe(`\r\n${expected}\r\n`);
    });
});
