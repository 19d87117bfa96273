import { describe, expect, test } from "@jest/globals";
import { parseCompose, parseSingle } from "../../lib/experiment/config.js";
import { composeSettings, singleSettings } from "../../lib/experiment/setting-list.js";
import { fromPublished, toPublished, type RunFile } from "../../lib/results/index.js";
import { aRun, someRecords } from "../support/runs.js";

const SINGLE = aRun({ nPrompts: 2, settings: singleSettings(parseSingle({ positive: "ITA", negative: "ENG" })) });
const COMPOSED = aRun({
  kind: "compose", nPrompts: 2,
  settings: composeSettings(parseCompose({ vectors: ["a", "b"], source: "s", composed: "c" }), ["ENunsafe", "ITA"], "ITA"),
  datasets: {
    source: { name: "ENunsafe_train", hash: "" }, composed: { name: "ITunsafe_train", hash: "" }, language: { name: "ITA_train", hash: "" },
  },
  vectors: [{ property: "ENunsafe", file: "a", hash: "h" }, { property: "ITA", file: "b", hash: "h" }],
});
const records = (run: RunFile) => [0, 1].flatMap((prompt) => someRecords(run, prompt));

describe("the published schema (docs/method.md §6)", () => {
  test("of one property: the keys that its notebooks read", () => {
    const [first, second] = toPublished(SINGLE, records(SINGLE));
    const alphas = ["-1.0", "0.5", "1.0", "1.5", "2.0", "3.0", "4.0"];
    const short = alphas.slice(2);
    const steered = [
      ...alphas.map((alpha) => `edited_${alpha}`), ...short.map((alpha) => `editedSTART_${alpha}`),
      ...short.map((alpha) => `editedDIM_${alpha}`),
    ];
    const dynamic = ["0.5", "0.6", "0.7", "0.95"];
    expect(Object.keys(first!.output).sort()).toEqual(["icl", "no_icl", ...dynamic.map((p) => `dynamic_p${p}`), ...steered].sort());
    expect(Object.keys(first!.perplexity).sort()).toEqual(
      ["icl", ...dynamic.map((p) => `delta_dynamic_${p}`), ...steered.map((key) => `delta_${key}`)].sort(),
    );
    expect(Object.keys(first!.additional).sort()).toEqual(dynamic.flatMap((p) => [`${p}_dynamic_alphas`, `${p}_dynamic_kls`]).sort());
    expect(first).toMatchObject({
      prompt: "Q:question 0?\nA:", gold: "gold, « però »", output: { icl: "text 0 好\n", "dynamic_p0.5": "text 2 好\n" },
    });
    expect(second!.perplexity).toMatchObject({ icl: 2.25, "delta_dynamic_0.5": 2 + 1 / 3 });
    expect(second!.additional).toMatchObject({ "0.5_dynamic_alphas": [0.5, 0.1], "0.5_dynamic_kls": [0.25, 1 / 3] });
  });

  test("of a composition: tasks and alphas in the keys", () => {
    const [, second] = toPublished(COMPOSED, records(COMPOSED));
    const grid = ["1.0", "1.5", "2.0"].flatMap((a) => ["1.0", "1.5", "2.0"].map((b) => `${a}_ENunsafe-${b}_ITA`));
    const steered = [
      ...grid, ...grid.map((key) => `START${key}`), ...grid.map((key) => `DIM${key}`),
      ...["0.4", "0.5", "0.6", "0.7", "0.9"].map((p) => `dynamic_p${p}_ENunsafe-ITA`),
    ];
    expect(Object.keys(second!.output).sort()).toEqual(["noicl_ENunsafe", "icl_ITunsafe", "noicl_ITA", ...steered].sort());
    expect(Object.keys(second!.perplexity).sort()).toEqual(["icl_ITunsafe", ...steered].sort());
    expect(second!.additional).toMatchObject({
      "0.4alpha_t1": [0.5, 0.1], "0.4alpha_t2": [1.5, 0.1], "0.9t1_real_kls": [0.25, 1 / 3], "0.9t2_real_kls": [1.25, 1 / 3],
    });
  });

  test.each([["results_icl4_tok30_ITA-ENG.json", SINGLE], ["results_ENunsafe_ITA_tok30.json", COMPOSED]] as const)("%s is read as a run, "
    + "and written the same again", (path, run) => {
    const published = toPublished(run, records(run));
    const imported = fromPublished(JSON.parse(JSON.stringify(published)), path);
    expect(toPublished(imported.run, imported.records)).toEqual(published);
    const ours = new Map(records(run).map((record) => [`${record.prompt} ${record.setting}`, record]));
    for (const { prompt, setting, text, alphas, kls, perplexity, deltaPerplexity } of imported.records) {
      const own = ours.get(`${prompt} ${setting}`)!;
      expect([setting, text, perplexity]).toEqual([own.setting, own.text, own.perplexity]);
      if (setting !== "no-icl" && !setting.endsWith("alone")) expect(deltaPerplexity).toBe(own.deltaPerplexity);
      if (setting.startsWith("Dyn")) expect([alphas, kls]).toEqual([own.alphas, own.kls]);
    }
    expect(imported.run.settings.map(({ label }) => label).sort()).toEqual(
      run.settings.map(({ label }) => label).filter((label) => label !== "icl ITA" && label !== "ENunsafe alone").sort(),
    );
    expect(imported.run.vectors.map(({ property }) => property)).toEqual(run.vectors.map(({ property }) => property));
  });

  test.each([
    [{}, /not in the published schema/], [[], /not in the published schema/], [[{ prompt: "p", gold: "g" }], /0\.output/],
    [[{ prompt: "p", gold: "g", output: { no_icl: "a", "edited_x": "b" } }], /"edited_x" is not a key/],
    [
      [{ prompt: "p", gold: "g", output: { no_icl: "a", "edited_1.0": "b" } }, { prompt: "p", gold: "g", output: { no_icl: "a" } }],
      /entry 1 lacks the output "edited_1\.0"/,
    ],
  ])("%j is refused", (json, message) => {
    expect(() => fromPublished(json, "theirs.json")).toThrow(expect.objectContaining({
      code: "E_BAD_RUN", message: expect.stringMatching(message),
    }));
  });

  test("a source that is not the first vector's, and alphas below 0, come back as they went", () => {
    const settings = composeSettings(
      parseCompose({ vectors: ["a", "b"], source: "s", composed: "c", alphas: [-1, 1.5], topP: [0.5] }), ["ITA", "ENi2f"], undefined,
    );
    const run = aRun({
      ...COMPOSED, settings, datasets: { source: { name: "ENi2f_test", hash: "" }, composed: { name: "ITi2f_test", hash: "" } },
      vectors: ["ITA", "ENi2f"].map((property) => ({ property, file: "f", hash: "h" })),
    });
    const published = toPublished(run, records(run));
    expect(published[0]!.output).toMatchObject({
      noicl_ENi2f: "text 1 好\n", noicl_ITA: "text 2 好\n", "-1.0_ITA--1.0_ENi2f": "text 5 好\n", "-1.0_ITA-1.5_ENi2f": "text 6 好\n",
    });
    const imported = fromPublished(published, "theirs.json");
    expect(toPublished(imported.run, imported.records)).toEqual(published);
    expect(imported.run.settings.map(({ label }) => label)).toEqual(expect.arrayContaining([
      "no-icl", "ITA alone", "Dyn p=0.5", "Fixed -1+-1", "Fixed -1+1.5", "Fixed 1.5+-1", "Start 1.5+1.5",
    ]));
  });

  test("a KL that is no number makes its list unknown, not the file unreadable", () => {
    const [entry] = toPublished(SINGLE, records(SINGLE));
    const broken = [{ ...entry!, additional: { ...entry!.additional, "0.5_dynamic_kls": [0.5, null] } }];
    const dyn = fromPublished(broken, "theirs.json").records.find(({ setting }) => setting === "Dyn p=0.5")!;
    expect([dyn.kls, dyn.alphas]).toEqual([[null], [[0.5, 0]]]);
  });

  test("an answer that failed is an empty text without ΔPPL", () => {
    const own = records(SINGLE).map(
      (record) => (record.setting === "Fixed 4" ? {
        ...record, text: "", finishReason: "failed" as const, alphas: [], kls: [], deltaPerplexity: null,
      } : record),
    );
    const [first] = toPublished(SINGLE, own);
    expect(first!.output["edited_4.0"]).toBe("");
    expect(first!.perplexity).not.toHaveProperty("delta_edited_4.0");
  });
});
