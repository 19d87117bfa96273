import { describe, expect, test } from "@jest/globals";
import { parseCompose, parseSingle } from "../../lib/experiment/config.js";
import { composeSettings, singleSettings } from "../../lib/experiment/setting-list.js";

const labels = (settings: ReturnType<typeof singleSettings>): string[] => settings.map(({ label }) => label);

describe("settings", () => {
  test("of one property are the published ones", () => {
    const settings = singleSettings(parseSingle({ positive: "ITA", negative: "ENG" }));
    expect(labels(settings)).toEqual([
      "icl", "no-icl", "Dyn p=0.5", "Dyn p=0.6", "Dyn p=0.7", "Dyn p=0.95",
      "Fixed -1", "Fixed 0.5", "Fixed 1", "Fixed 1.5", "Fixed 2", "Fixed 3", "Fixed 4",
      "Start 1", "Start 1.5", "Start 2", "Start 3", "Start 4", "Dim 1", "Dim 1.5", "Dim 2", "Dim 3", "Dim 4",
    ]);
    expect(settings[2]!.steer).toEqual([
      { vector: 0, schedule: { kind: "dynamic", topP: 0.5, alphaMax: 2, strongAlpha: 2, klReduction: "mean" } },
    ]);
    expect(settings.at(-1)!.steer).toEqual([{ vector: 0, schedule: { kind: "diminishing", alpha: 4 } }]);
  });

  test("of two properties are the published ones, and each vector alone", () => {
    const config = parseCompose({ vectors: ["a", "b"], source: "s", composed: "c" });
    const settings = composeSettings(config, ["ENunsafe", "ITA"], "ITA");
    expect(labels(settings).slice(0, 10)).toEqual([
      "icl", "no-icl", "icl ITA", "ENunsafe alone", "ITA alone", "Dyn p=0.4", "Dyn p=0.5", "Dyn p=0.6", "Dyn p=0.7", "Dyn p=0.9",
    ]);
    expect(labels(settings).slice(10, 19)).toEqual([
      "Fixed 1+1", "Fixed 1+1.5", "Fixed 1+2", "Fixed 1.5+1", "Fixed 1.5+1.5", "Fixed 1.5+2", "Fixed 2+1", "Fixed 2+1.5", "Fixed 2+2",
    ]);
    expect(settings).toHaveLength(10 + 3 * 9);
    expect(settings[11]!.steer).toEqual([
      { vector: 0, schedule: { kind: "fixed", alpha: 1 } }, { vector: 1, schedule: { kind: "fixed", alpha: 1.5 } },
    ]);
    expect(settings[4]!.steer).toEqual([{ vector: 1, schedule: { kind: "fixed", alpha: 1 } }]);
  });

  test("of three properties have all three in each", () => {
    const config = parseCompose({
      vectors: ["a", "b", "c"], source: "s", composed: "c", strategies: ["start", "dynamic"], alphas: [0.5, 2, 1], topP: [0.3],
      klReduction: "sum",
    });
    const settings = composeSettings(config, ["A", "B", "C"], undefined);
    expect(labels(settings)).toEqual(["icl", "no-icl", "A alone", "B alone", "C alone",
      "Start 2+2+2", "Start 2+2+1", "Start 2+1+2", "Start 2+1+1", "Start 1+2+2", "Start 1+2+1", "Start 1+1+2", "Start 1+1+1", "Dyn p=0.3"]);
    expect(settings.at(-1)!.steer).toEqual([0, 1, 2].map(
      (vector) => ({ vector, schedule: { kind: "dynamic", topP: 0.3, alphaMax: 2, strongAlpha: 2, klReduction: "sum" } }),
    ));
  });

  test("with budgets come after the published ones, each up to the alpha of Dyn", () => {
    const published = singleSettings(parseSingle({ positive: "ITA", negative: "ENG" }));
    const settings = singleSettings(parseSingle({ positive: "ITA", negative: "ENG", budgets: [0, 1.5] }));
    expect(settings.slice(0, -2)).toEqual(published);
    const budget = { kind: "budget", nats: 1.5, alphaMax: 2, per: "token" };
    expect(settings.slice(-2)).toEqual([
      { label: "Budget 0", prompt: "no-icl", steer: [{ vector: 0, schedule: { ...budget, nats: 0 } }] },
      { label: "Budget 1.5", prompt: "no-icl", steer: [{ vector: 0, schedule: budget }] },
    ]);
    const composed = composeSettings(parseCompose({
      vectors: ["a", "b"], source: "s", composed: "c", strategies: [], budgets: [1.5],
    }), ["A", "B"], undefined);
    expect(composed.at(-1)).toEqual({
      label: "Budget 1.5", prompt: "no-icl", steer: [{ vector: 0, schedule: budget }, { vector: 1, schedule: budget }],
    });
  });

  test.each([
    [{ budgets: [] }, /budgets/], [{ budgets: [-1] }, /budgets\.0 \(-1\)/],
    [{ budgets: [1, 1] }, /budgets \(\[1,1\]\): a value is given twice/],
    [{ support: 0 }, /support \(0\)/], [{ topP: [0] }, /topP\.0/], [{ topP: [0.5, 0.5] }, /topP \(\[0\.5,0\.5\]\): a value is given twice/],
    [{ alphas: [1, 1] }, /alphas/], [{ alphas: [1e39] }, /alphas\.0 \(1e\+39\): must be a finite 32-bit float/],
    [{ strategies: ["none"] }, /strategies/], [{ alpha: [1] }, /alpha/], [{ layers: [] }, /layers/], [{ site: "nowhere" }, /site/],
    [{ positive: "" }, /positive/],
  ])("%j is refused by name", (options, message) => {
    expect(() => parseSingle({ positive: "a", negative: "b", ...options } as never)).toThrow(expect.objectContaining({
      code: "E_BAD_ARGUMENT", message: expect.stringMatching(message),
    }));
  });

  test("what is undefined is as if left out", () => {
    expect(parseSingle({ positive: "a", negative: "b", seed: undefined, alphas: undefined })).toEqual(parseSingle({
      positive: "a", negative: "b",
    }));
  });
});
