import { describe, expect, test } from "@jest/globals";
import { boxRows, matrixCells, runData, samplePrompts, shareRows, stepRows, tradeOffRows } from "../../lib/report/data.js";
import { tokensFigure } from "../../lib/report/figures/tokens.js";
import { deltaScale } from "../../lib/report/figures/chart.js";
import { columnsOf } from "../../lib/report/figures/tokens.js";
import { placeLabels } from "../../lib/report/labels.js";
import { normCells } from "../../lib/report/norms.js";
import { defaultReference, groupedSettings } from "../../lib/report/strategy.js";
import { tokenPieces } from "../../lib/report/token-texts.js";
import type { VectorData } from "../../lib/vector/index.js";
import { aComposition, allRecords, anEvaluation, aRun, resultsOf } from "../support/runs.js";

const run = aComposition();
/** Formal: prompts 0 and 1, but 3 cannot be told; Italian: all but "no-icl", and of Fixed 2+1 prompt 0 only. */
const records = allRecords(
  run, (prompt, { label }) => ({ deltaPerplexity: label === "icl" ? null : [1, 2, 4, 100][prompt]! * (label === "Fixed 2+1" ? 10 : 1) }),
);
const formality = anEvaluation(run, records, "formality", "formal", ({ prompt }) => (prompt === 3 ? null : prompt < 2));
const language = anEvaluation(
  run, records, "language", "ita", ({ prompt, setting }) => setting !== "no-icl" && (setting !== "Fixed 2+1" || prompt === 0),
);
const data = runData(resultsOf(run, records, [formality, language]));

describe("groups of settings", () => {
  test("are those of the strategies, in one order for all runs", () => {
    expect(groupedSettings(run)).toEqual([
      { group: "ICL", labels: ["icl"] }, { group: "No ICL", labels: ["no-icl"] }, { group: "One alone", labels: ["ITA alone"] },
      { group: "Dyn", labels: ["Dyn p=0.5"] }, { group: "Fixed", labels: ["Fixed 1+1.5", "Fixed 2+1"] },
    ]);
    expect(groupedSettings(aRun()).map(({ group }) => group)).toEqual(["ICL", "No ICL", "Dyn", "Fixed", "Start"]);
  });

  test("a run without Dyn is compared with its first setting that steers with everything", () => {
    expect(defaultReference(run)).toBe("Dyn p=0.5");
    expect(defaultReference(aComposition({ settings: run.settings.filter(({ label }) => !label.startsWith("Dyn")) }))).toBe("Fixed 1+1.5");
    expect(defaultReference(aComposition({ settings: run.settings.slice(0, 2) }))).toBeUndefined();
  });
});

describe("figures 1 and 2", () => {
  test("hold the share per property and of all at once", () => {
    const of = (setting: string) =>
      shareRows(data).filter((row) => row.setting === setting).map(({ property, share, n, undetermined }) => [
        property, share, n, undetermined,
      ]);
    expect(of("Dyn p=0.5")).toEqual([["formal", 0.5, 4, 1], ["Italian", 1, 4, 0], ["all at once", 0.5, 4, 1]]);
    // prompt 3 is not Italian, whatever else
    expect(of("Fixed 2+1")).toEqual([["formal", 0.5, 4, 1], ["Italian", 0.25, 4, 0], ["all at once", 0.25, 4, 0]]);
    expect(of("no-icl")[2]).toEqual(["all at once", 0, 4, 0]);
  });

  test("an evaluation that is not finished counts what it has", () => {
    const partly = runData(resultsOf(run, records, [{ ...formality, rows: formality.rows.slice(0, 12) }])); // two of four prompts
    expect(shareRows(partly).find(({ setting }) => setting === "Dyn p=0.5")).toMatchObject({ share: 1, n: 2, undetermined: 0 });
  });

  test("hold boxes as Tukey drew them", () => {
    // 1, 2, 4, 100: quartiles 1.75, 3, 28; 1.5 boxes reach to 67.4, so 100 is beyond
    expect(boxRows(data).find(({ setting }) => setting === "Dyn p=0.5")).toEqual({
      setting: "Dyn p=0.5", group: "Dyn", n: 4, q1: 1.75, median: 3, q3: 28, lowWhisker: 1, highWhisker: 28, outliers: [100],
    });
    expect(boxRows(data).some(({ setting }) => setting === "icl")).toBe(false);
  });
});

test("figure 3 holds means over the answers that reached a step", () => {
  const single = aRun({ nPrompts: 3 });
  const steps = stepRows(resultsOf(
    single,
    allRecords(
      single,
      (prompt, { label }) => (label === "Dyn p=0.5" ? {
        alphas: [[[2, 1], [1], [0, 0.5, 0.25]][prompt]!], kls: [[[3, 1], [1], [2, 2, 8]][prompt]!],
      } : {}),
    ),
  ));
  expect(steps.filter(({ quantity }) => quantity === "KL").map(({ topP, property, step, mean, n }) => [topP, property, step, mean, n]))
    .toEqual([[0.5, "ITA", 0, 2, 3], [0.5, "ITA", 1, 1.5, 2], [0.5, "ITA", 2, 8, 1]]);
  expect(steps.filter(({ quantity }) => quantity === "α").map(({ mean }) => mean)).toEqual([1, 0.75, 0.25]);
  expect(steps[0]!.low).toBeGreaterThanOrEqual(1);
  expect(steps[0]!.high).toBeLessThanOrEqual(3);
  expect(steps[2]).toMatchObject({ low: null, high: null });
});

test("figure 3 pairs a setting's terms with its vectors", () => {
  const dyn = aComposition({ nPrompts: 1 });
  const rows = stepRows(resultsOf(
    dyn, allRecords(dyn, (_, { label }) => (label === "Dyn p=0.5" ? { alphas: [[0.5], [1.5]], kls: [[0.25], [0.75]] } : {})),
  ));
  expect(rows.map(({ property, quantity, mean }) => [property, quantity, mean])).toEqual([
    ["ENi2f", "KL", 0.25], ["ENi2f", "α", 0.5], ["ITA", "KL", 0.75], ["ITA", "α", 1.5],
  ]);
});

test("figure 4 gives a character to the token that completes it", () => {
  const bytes = new Map(
    [[1, Uint8Array.of(0xe5, 0xa5)], [2, Uint8Array.of(0xbd)], [3, new TextEncoder().encode(" a\n")], [4, new TextEncoder().encode("Q:")]],
  );
  const pieces = tokenPieces({ tokens: [1, 2, 3, 4], text: "好 a\n", alphas: [[0.5, 1, 1.5, 2]] }, bytes);
  expect(pieces).toEqual([
    { text: "", alphas: [0.5], isKept: true }, { text: "好", alphas: [1], isKept: true }, { text: " a\n", alphas: [1.5], isKept: true },
    { text: "Q:", alphas: [2], isKept: false },
  ]);
  expect(tokenPieces({ tokens: [1, 9], text: "", alphas: [] }, bytes)).toBeUndefined();
  expect(tokenPieces({ tokens: [], text: "imported", alphas: [[1]] }, bytes)).toBeUndefined();
  // the end of the answer has an α too
  expect(tokenPieces({ tokens: [3], text: " a\n", alphas: [[1, 2]] }, bytes)!.map(({ alphas }) => alphas)).toEqual([[1], [2]]);
  expect(tokenPieces({ tokens: [1], text: "\ufffd", alphas: [[1]] }, bytes)![0]!.text).toBe("\ufffd"); // cut off inside a character
  expect([columnsOf("abc"), columnsOf("好a"), columnsOf("e\u0301")]).toEqual([3, 3, 1]);
});

test("figure 5 holds the norm of each head", () => {
  // 2 layers, 3 steps, 2 heads of width 2; step by step of layer 0: (3,4 | 0,0), (6,8 | 0,1), (0,0 | 5,12)
  const values = [3, 4, 0, 0, 6, 8, 0, 1, 0, 0, 5, 12, ...Array<number>(12).fill(2)];
  const vector = {
    site: "head_out", layers: [4, 7], nSteps: 3, width: 4, data: Float32Array.from(values), provenance: { model: { nHead: 2 } },
  } as unknown as VectorData;
  const { cells, panels, nHead } = normCells(vector);
  expect({ panels, nHead }).toEqual({ panels: ["mean of all steps", "step 0", "step 1", "step 2"], nHead: 2 });
  const of = (panel: string, layer: number) => cells.filter((cell) => cell.panel === panel && cell.layer === layer).map(({ norm }) => norm);
  expect([of("step 0", 4), of("step 1", 4), of("step 2", 4)]).toEqual([[5, 0], [10, 1], [0, 13]]);
  expect(of("mean of all steps", 4)).toEqual([5, 14 / 3]);
  expect(of("step 2", 7)).toEqual([Math.sqrt(8), Math.sqrt(8)]);
  expect(normCells({ ...vector, site: "resid_post" }).cells.find(({ panel, layer }) => panel === "step 0" && layer === 7)).toEqual({
    layer: 7, head: 0, panel: "step 0", norm: 4,
  });
});

test("figure 6 holds the fixed compositions by their alphas", () => {
  expect(matrixCells(data)).toEqual([
    { alpha1: 1, alpha2: 1.5, quantity: "formal", value: 0.5 }, { alpha1: 1, alpha2: 1.5, quantity: "Italian", value: 1 },
    { alpha1: 1, alpha2: 1.5, quantity: "all at once", value: 0.5 }, { alpha1: 1, alpha2: 1.5, quantity: "median ΔPPL", value: 3 },
    { alpha1: 2, alpha2: 1, quantity: "formal", value: 0.5 }, { alpha1: 2, alpha2: 1, quantity: "Italian", value: 0.25 },
    { alpha1: 2, alpha2: 1, quantity: "all at once", value: 0.25 }, { alpha1: 2, alpha2: 1, quantity: "median ΔPPL", value: 30 },
  ]);
});

test("figure 7 sets all properties at once against the median ΔPPL", () => {
  const { property, rows } = tradeOffRows(data)!;
  expect(property).toBe("all at once");
  expect(rows.map(({ setting, share, deltaPerplexity }) => [setting, share.value, deltaPerplexity.value])).toEqual([
    ["no-icl", 0, 3], ["ITA alone", 0.5, 3], ["Dyn p=0.5", 0.5, 3], ["Fixed 1+1.5", 0.5, 3], ["Fixed 2+1", 0.25, 30],
  ]);
  expect(tradeOffRows(runData(resultsOf(run, records)))).toBeUndefined();
  expect(tradeOffRows(runData(resultsOf(run, records, [language])))!.property).toBe("Italian");
});

test("sample prompts are spread over those that were answered", () => {
  expect(samplePrompts(data, 2)).toEqual([0, 2]);
  expect(samplePrompts(data, 9)).toEqual([0, 1, 2, 3]);
  expect(samplePrompts({ records: [] }, 3)).toEqual([]);
});

describe("the scale of ΔPPL", () => {
  test("is straight, or logarithmic where the spread demands it", () => {
    expect(deltaScale([1, 2, 3]).isLog).toBe(false);
    const log = deltaScale([-5, 1, 2, 3, 5000]);
    expect(log.isLog).toBe(true);
    expect(log.title).toContain("log scale");
    expect(log.axis["values"]).toEqual(expect.arrayContaining([0, 1, 10, 100, 1000]));
  });

  test.each([[[1, 2, 3]], [[-5, 1, 2, 3, 5000]], [[0]], [[-1e9, 1e-6]]])("positions and values undo each other in %j", (values) => {
    const { position, valueAt } = deltaScale(values);
    for (const value of [...values, 0.5]) expect(valueAt(position(value))).toBeCloseTo(value, Math.abs(value) > 1e6 ? 0 : 6);
    for (const value of values) expect(position(value)).toBeGreaterThanOrEqual(0);
    for (const value of values) expect(position(value)).toBeLessThanOrEqual(1);
  });
});

test("labels of points close to each other do not lie on each other", () => {
  const points = Array.from({ length: 12 }, (_, i) => ({ x: 300 + (i % 3) * 4, y: 200 + Math.floor(i / 3) * 4, label: "1.5+1.5" }));
  const placed = placeLabels(points, { width: 600, height: 400 });
  for (const [i, a] of placed.entries()) {
    // 7 characters of 6.4, 12 high
    for (const b of placed.slice(i + 1)) expect(Math.abs(a.x - b.x) >= 44 || Math.abs(a.y - b.y) >= 12).toBe(true);
    expect(a.x).toBeGreaterThan(22);
  }
  expect(placeLabels([{ x: 50, y: 50, label: "a" }], { width: 100, height: 100 })).toEqual([{ x: 50 + 7 + 2 + 3.2, y: 50, isFar: false }]);
  // the right is taken
  expect(
    placeLabels([{ x: 50, y: 50, label: "a" }], { width: 100, height: 100 }, [{ left: 60, right: 100, top: 0, bottom: 100 }])[0]!.x,
  ).toBeCloseTo(50 - 7 - 2 - 3.2);
});

test("figure 4 says where a PNG may lack the characters", () => {
  const caption = (text: string) => tokensFigure(
    [{ question: "q", pieces: [{ text, alphas: [1], isKept: true }] }],
    { setting: "Dyn p=0.5", properties: ["ZHO"], alphaMax: 2, subtitle: "", hasTexts: true },
  ).caption;
  expect(caption("好")).toMatch(/In the PNG, Chinese/);
  expect(caption("bene")).not.toMatch(/PNG/);
});
