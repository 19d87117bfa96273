import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { parse } from "yaml";
import { SteeringError, type Model } from "../../lib/index.js";
import { checkPlan, runPlan } from "../../lib/experiment/run-plan.js";
import { loadPlan, planRuns, READY_PLANS, type Plan } from "../../lib/experiment/plan.js";
import { parseSingle } from "../../lib/experiment/config.js";
import { evaluationPrompts } from "../../lib/prompt/evaluation-prompts.js";
import { modelFolder } from "../../lib/experiment/plan.js";
import { temporaryFolder } from "../support/io-helpers.js";

describe("evaluation prompts", () => {
  const model = {
    tokenise: (text: string) => [...text].map((letter) => letter.codePointAt(0)!), info: { bosToken: null, nCtxTrain: 200 },
    maxContext: 200,
  } as unknown as Model;
  const dataset = (name: string, rows: number) => ({
    name, instruction: name, rows: Array.from({ length: rows }, (_, i) => ({ input: `q${i}`, output: `${name}${i}` })),
  });
  const settings = { iclExamples: 2, evaluationSize: 50, evaluateOn: "groups", promptFormat: "clean", maxNewTokens: 5 } as const;
  const text = (tokens: readonly number[]): string => String.fromCodePoint(...tokens);

  test("of groups: each group's last row, behind the others", () => {
    const prompts = evaluationPrompts(model, { questions: dataset("S", 10), icl: dataset("C", 7), language: dataset("L", 12) }, settings);
    // as many as the smallest set gives
    expect(prompts.map(({ question, gold }) => [question, gold])).toEqual([["q2", "S2"], ["q5", "S5"]]);
    expect(text(prompts[1]!.icl)).toBe("C\nQ:q3\nA:C3\n\nQ:q4\nA:C4\n\nQ:q5\nA:");
    expect(text(prompts[1]!.noIcl)).toBe("Q:q5\nA:");
    expect(text(prompts[0]!.iclLanguage!)).toBe("L\nQ:q0\nA:L0\n\nQ:q1\nA:L1\n\nQ:q2\nA:");
  });

  test("of rows: every row, behind the rows before it", () => {
    const set = dataset("S", 4);
    const prompts = evaluationPrompts(model, { questions: set, icl: set }, { ...settings, evaluateOn: "rows", evaluationSize: 3 });
    expect(prompts.map(({ icl }) => text(icl).match(/q\d/g)!.join())).toEqual(["q2,q3,q0", "q3,q0,q1", "q0,q1,q2"]);
    const other = { ...dataset("L", 4), rows: dataset("L", 4).rows.map((row) => ({ ...row, input: row.input.toUpperCase() })) };
    expect(text(
      evaluationPrompts(model, { questions: set, icl: set, language: other }, { ...settings, evaluateOn: "rows" })[2]!.iclLanguage!,
    )).toBe("L\nQ:Q0\nA:L0\n\nQ:Q1\nA:L1\n\nQ:q2\nA:");
    expect(() => evaluationPrompts(model, { questions: dataset("S", 2), icl: set }, { ...settings, evaluateOn: "rows" })).toThrow(
      /2 demonstrations and a question need at least 3/,
    );
  });

  test("that do not fit into the model's context are refused before anything is computed", () => {
    const set = dataset("S", 60);
    expect(() => evaluationPrompts(model, { questions: set, icl: set }, { ...settings, iclExamples: 19 })).toThrow(expect.objectContaining(
      { code: "E_CONTEXT_FULL", message: expect.stringMatching(/prompt 0 of S .*--icl-examples/) },
    ));
  });
});

describe("plans", () => {
  async function plan(text: string): ReturnType<typeof loadPlan> {
    const path = join(await temporaryFolder(), "mine.yaml");
    await writeFile(path, text);
    return loadPlan(path);
  }

  test.each(READY_PLANS)("%s can be carried out", async (name) => {
    const loaded = await loadPlan(name);
    const runs = planRuns(loaded);
    expect(loaded.name).toBe(name);
    const kinds = new Set(runs.map(({ kind }) => kind));
    expect([...kinds]).toEqual(loaded.methods?.length ? ["methods"] : ["single", "compose"]);
  });

  test("the published one holds every experiment of the paper's README, as published", async () => {
    const runs = planRuns(await loadPlan("published"));
    expect(runs.map(({ name }) => name)).toEqual([
      "ITA-ENG", "FRA-ENG", "SPA-ENG", "ZHO-ENG", "ENsafe-ENunsafe", "ENunsafe-ENsafe", "ENi2f-ENf2i", "ENf2i-ENi2f",
      "ITunsafe-ENsafe", "FRunsafe-ENsafe", "SPunsafe-ENsafe", "ZHunsafe-ENsafe", "ITf2i-ENi2f", "FRf2i-ENi2f",
      "ENunsafe+ITA", "ENunsafe+FRA", "ENunsafe+SPA", "ENunsafe+ZHO", "ENf2i+ITA", "ENf2i+FRA", "ENi2f+ITA", "ENi2f+FRA",
    ]);
    expect(runs[0]!.config).toEqual(parseSingle({ positive: "ITA_train", negative: "ENG_train", promptFormat: "published" }));
    expect(runs[14]).toMatchObject({
      kind: "compose",
      config: {
        source: "ENunsafe_train", language: "ITA_train", composed: "ITunsafe_train", promptFormat: "published",
        alphas: [1, 1.5, 2], topP: [0.4, 0.5, 0.6, 0.7, 0.9],
        vectors: [join(runs[5]!.out, "ENunsafe-ENsafe.safetensors"), join(runs[0]!.out, "ITA-ENG.safetensors")],
      },
    });
  });

  test("models times seeds times properties, each in a folder of its own", async () => {
    const runs = planRuns(
      await plan(
        "models: [tiny, some/where/other.gguf]\nseeds: [1, 2]\ndefaults: { support: 5, alphas: [1] }\nsingle:\n  - { positive: ITA_train, "
          + "negative: ENG, support: 6 }\n  - { positive: FRA, negative: ENG }\n",
      ),
    );
    expect(runs.map(({ model, out, config }) => [model, out, (config as { seed: number }).seed, (config as { support: number }).support]))
      .toEqual([
      ["tiny", join("tiny", "seed-1", "ITA-ENG"), 1, 6], ["tiny", join("tiny", "seed-1", "FRA-ENG"), 1, 5],
      ["tiny", join("tiny", "seed-2", "ITA-ENG"), 2, 6], ["tiny", join("tiny", "seed-2", "FRA-ENG"), 2, 5],
      ...["seed-1", "seed-2"].flatMap(
        (seed, i) => [
          ["some/where/other.gguf", join("other", seed, "ITA-ENG"), i + 1, 6],
          ["some/where/other.gguf", join("other", seed, "FRA-ENG"), i + 1, 5],
        ],
      ),
    ]);
    expect(runs.every(({ config }) => "alphas" in config && String(config.alphas) === "1")).toBe(true);
  });

  test("files of a plan lie beside it, and are named by their names", async () => {
    const loaded = await plan(
      "models: [m]\nsingle:\n  - { positive: data/polite_train.jsonl, negative: ../rude.csv, evalDataset: ITA_test }\n  - { positive: ITA, "
        + "negative: ENG }\ncompose:\n  - { vectors: [polite-rude, ITA-ENG], source: ask.json, composed: ITi2f }\n",
    );
    const [first, , composed] = planRuns(loaded);
    expect(first).toMatchObject({
      name: "polite-rude", out: join("m", "polite-rude"),
      config: {
        positive: join(loaded.folder, "data", "polite_train.jsonl"), negative: join(loaded.folder, "..", "rude.csv"),
        evalDataset: "ITA_test",
      },
    });
    expect(composed).toMatchObject({
      name: "polite+ITA",
      config: {
        source: join(loaded.folder, "ask.json"), composed: "ITi2f",
        vectors: [join("m", "polite-rude", "polite-rude.safetensors"), join("m", "ITA-ENG", "ITA-ENG.safetensors")],
      },
    });
  });

  test.each([
    ["models: [a\n", /line [12]: /],
    ["models: []\n", /line 1: models: /],
    ["models: [a]\nsingel: []\n", /line 2: singel: /],
    ["models: [a]\nsingle:\n  - positive: ITA\n", /line 3: single\.0\.negative: /],
    [
      "models: [a]\nsingle:\n  - { positive: ITA, negative: ENG }\n  - { positive: ITA, negative: ENG, topP: [2] }\n",
      /line 4: single\.1\.topP\.0 \(2\): /,
    ],
    ["models: [a]\ndefaults:\n  alphas: [1]\n  support: many\n", /line 4: defaults\.support \(many\): /],
    [
      "models: [a]\nmethods:\n  - { name: x, properties: [{ name: x, towards: y, judge: probe2 }] }\n",
      /line 3: methods\.0\.properties\.0\.judge \(probe2\): expected "probe"/,
    ],
    ["just words", /line 1: /],
    ["", /line 1: /],
  ])("%j is refused by line", async (text, message) => {
    await expect(plan(text)).rejects.toMatchObject({ code: "E_BAD_ARGUMENT", message: expect.stringMatching(message) });
  });

  test("strategies go by their short names too, and all slips are named at once", async () => {
    const [run] = planRuns(await plan("models: [m]\nsingle:\n  - { positive: ITA, negative: ENG, strategies: [dyn, dim, start] }\n"));
    expect(run!.config).toMatchObject({ strategies: ["dynamic", "diminishing", "start"] });
    await expect(plan("models: [m]\nseeds: [x]\nsingle:\n  - { positive: ITA, negative: ENG, topP: [1.5] }\n")).rejects.toMatchObject({
      message: expect.stringMatching(/line 2: seeds\.0 \(x\): [^\n]*\n[^\n]*line 4: single\.0\.topP\.0 \(1\.5\): /),
    });
  });

  test("what lacks its datasets is known before anything is computed, with the compositions that need it", async () => {
    const { missing, left } = await checkPlan(
      await plan(
        "models: [m]\nsingle:\n  - { positive: ITA, negative: ENG }\n  - { positive: ENi2g, negative: ENG }\n  - { positive: FRA, "
          + "negative: ENG, evalDataset: FRA_tset }\ncompose:\n  - { vectors: [ITA-ENG, ENi2g-ENG], source: ENG, composed: ITi2f }\n",
      ),
    );
    expect(left.map(({ name }) => name)).toEqual(["ITA-ENG"]);
    expect(missing).toEqual([
      { run: join("m", "ENi2g-ENG"), reason: 'no dataset is called "ENi2g"; did you mean ENi2f?' },
      { run: join("m", "FRA-ENG"), reason: expect.stringMatching(/"FRA_tset"/) },
      { run: join("m", "ITA+ENi2g"), reason: "it needs the vector of ENi2g-ENG" },
    ]);
    expect((await checkPlan(await loadPlan("tiny"))).missing).toEqual([]);
    expect((await checkPlan(await loadPlan("laptop"))).missing).toEqual([]);
  });

  test("a composition of what the plan does not extract, and two runs of one name, are refused", async () => {
    const unknown = await plan("models: [a]\ncompose:\n  - { vectors: [x-y, z-y], source: s, composed: c }\n");
    expect(() => planRuns(unknown)).toThrow(/composes x-y; expected one of its single runs \(none\)/);
    const twice = await plan(
      "models: [a]\nsingle:\n  - { positive: ITA, negative: ENG }\n  - { positive: ITA_train, negative: ENG, alphas: [1] }\n",
    );
    expect(() => planRuns(twice)).toThrow(SteeringError);
    await expect(loadPlan("no-such-plan")).rejects.toMatchObject({
      code: "E_NOT_FOUND", message: expect.stringMatching(/included plans: tiny, laptop, published/),
    });
  });

  test("a model's folder is a name, whatever the model is called", () => {
    expect(["tiny", "hf:a/b/c.gguf@rev/1", "/x/y/Z.GGUF", "./z.gguf"].map(modelFolder)).toEqual(["tiny", "a--b--c", "Z", "z"]);
    for (const none of ["..", ".", "", "/", "../..", "hf:..", "...gguf", "x/...gguf"]) expect(() => modelFolder(none)).toThrow(
      /does not name a model/,
    );
  });

  test.each([
    [
      "positive", "single:\n  - { positive: ../../../x, negative: ENG }",
      /line 3: single\.0\.positive \(\.\.\/\.\.\/\.\.\/x\): expected a name without \/ and/,
    ],
    ["negative", "single:\n  - { positive: ITA, negative: 'a\\\\b' }", /single\.0\.negative/],
    ["of dots", "single:\n  - { positive: .., negative: ENG }", /single\.0\.positive/],
    ["of dots and a part", "single:\n  - { positive: .._train, negative: ENG }", /single\.0\.positive/],
    ["evalDataset", "single:\n  - { positive: ITA, negative: ENG, evalDataset: a/b }", /single\.0\.evalDataset/],
    [
      "source", "single:\n  - { positive: ITA, negative: ENG }\ncompose:\n  - { vectors: [ITA-ENG, ITA-ENG], source: ../x, composed: ITA }",
      /compose\.0\.source/,
    ],
  ])("a dataset's name that would lead out of the results is refused: %s", async (_, text, message) => {
    const lines = `models: [m]\n${text}\n`;
    await expect(plan(lines)).rejects.toMatchObject({ code: "E_BAD_ARGUMENT", message: expect.stringMatching(message) });
    const { single, compose } = parse(lines) as Pick<Plan, "single" | "compose">; // as a program may give it
    const given: Plan = { name: "p", folder: ".", models: ["m"], seeds: [1], defaults: {}, single, compose: compose ?? [] };
    expect(() => planRuns(given)).toThrow(SteeringError);
  });

  test("a run is carried out below the plan's results, or not at all", async () => {
    const planned = await plan("models: [m]\nsingle:\n  - { positive: ITA, negative: ENG }\n");
    const [run] = planRuns(planned);
    const load = async (): Promise<never> => { throw new Error("loaded"); };
    for (const out of ["..", join("..", "x"), join("a", "..", "..", "x"), ".", "", resolve("/elsewhere")]) {
      await expect(runPlan(planned, { out: "results", load, runs: [{ ...run!, out }] })).rejects.toMatchObject({
        code: "E_BAD_ARGUMENT", message: expect.stringMatching(/is not below results/),
      });
    }
    for (const out of [
      "..x", join("a", "..", "b"),
    ]) await expect(runPlan(planned, { out: "results", load, runs: [{ ...run!, out }] })).rejects.toThrow("loaded");
  });
});
