import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, jest, test } from "@jest/globals";
import { saveDataset } from "../../lib/dataset/index.js";
import { styleless } from "../../lib/evaluate/content-vectors.js";
import { largestOf, rowsPerToken, settingOf, strengthsOf, workOf } from "../../lib/experiment/methods/candidates.js";
import { beyond } from "../../lib/experiment/methods/strengths.js";
import { METHODS, methodsSchema, type MethodsConfig } from "../../lib/experiment/methods/config.js";
import type { Engine } from "../../lib/engine/index.js";
import { chosenJudge } from "../../lib/experiment/methods/judges.js";
import { loadPlan, planRuns } from "../../lib/experiment/plan.js";
import { checkPlan, runPlan } from "../../lib/experiment/run-plan.js";
import { seededRandom } from "../../lib/maths/random.js";
import { differencesTable } from "../../lib/report/comparison-tables.js";
import { runData } from "../../lib/report/data.js";
import { groupOf } from "../../lib/report/strategy.js";
import { settingsTable, type Table } from "../../lib/report/tables.js";
import { evaluationHeader, fluencyOf, outcomeMean, outcomesOf, pairedDifferences, scoreOf, toPublished } from "../../lib/results/index.js";
import type { VectorData } from "../../lib/vector/index.js";
import { temporaryFolder } from "../support/io-helpers.js";
import { allRecords, anEvaluation, aRun, resultsOf } from "../support/runs.js";

afterEach(() => { jest.restoreAllMocks(); });

const ENTRY = {
  name: "italian", properties: [{ name: "italian", positive: "ITA", negative: "ENG", judge: { language: "it" } }],
  questions: "ITA_test", message: "Answer in Italian.", judges: ["a", "b"],
};
/** Two properties, of the datasets ITA and ENG where nothing else is said. */
const two = (...given: object[]): object => ({
  methods: ["fixed"],
  properties: given.map((each, index) => ({ name: `p-${index}`, ...("towards" in each ? {} : { positive: "ITA", negative: "ENG" }), ...each })),
});
const parsed = (more: object = {}): MethodsConfig => methodsSchema.parse({ ...ENTRY, ...more });
const vectorWith = (calibration?: object): VectorData => ({ provenance: { calibration } } as unknown as VectorData);
const fixed = vectorWith({ by: "kl", schedule: { kind: "fixed", alpha: 0.8 } });

describe("a comparison of methods", () => {
  test("has all methods, 50 held-out questions and 10 others by default", () => {
    expect(parsed()).toMatchObject({ methods: METHODS, evaluationSize: 50, validation: 10, maxNewTokens: 30 });
  });

  test.each<[string, object, RegExp]>([
    ["a gate of words", { properties: [{ name: "brief", towards: "is brief", judge: { brevity: 3 } }] }, /gated needs a single property/],
    ["no source", { properties: [{ name: "brief", judge: { brevity: 3 } }] }, /expected either positive and negative, or towards/],
    ["two sources", { properties: [{ ...ENTRY.properties[0], towards: "is Italian" }] }, /expected either/],
    ["half a source", { properties: [{ name: "x", positive: "ITA", judge: { brevity: 3 } }] }, /belong together/],
    ["a probe of words", { properties: [{ name: "x", towards: "y", judge: "probe" }], methods: ["fixed"] }, /a probe is trained on/],
    ["the same property twice", { properties: [ENTRY.properties[0], ENTRY.properties[0]], methods: ["fixed"] }, /same name/],
    ["two lengths", two({ towards: "is brief", judge: { brevity: 3 } }, { towards: "is long", judge: { brevity: 30 } }), /by their brevity/],
    ["two languages", two({ judge: { language: "it" } }, { judge: { language: "fr" } }), /by their language; expected a different judge/],
    ["a language by a detector and by a probe", two({ judge: { language: "it" } }, { judge: "probe" }), /by their language/],
    ["a register in two languages", two(
      { judge: { probe: [["ENi2f", "ENf2i"]] } }, { judge: { probe: [["ITi2f", "ITf2i"]] } }), /by their formality/],
    ["a method twice", { methods: ["fixed", "fixed"] }, /given twice/],
    ["a folder", { name: "../x" }, /small letters/],
    ["no language", { properties: [{ ...ENTRY.properties[0], judge: { language: "no such" } }] }, /expected a language/],
    ["no judge", { judges: [] }, /judges/],
  ])("%s is refused", (_, more, message) => {
    const { success, error } = methodsSchema.safeParse({ ...ENTRY, ...more });
    expect(success).toBe(false);
    expect(JSON.stringify(error!.issues)).toMatch(message);
  });

  test("is judged by the first model that is not the steered one, whatever it is called", async () => {
    const named = (path: string, fileHash: string): Engine =>
      ({ info: { path }, fingerprint: async () => ({ fileHash }) }) as unknown as Engine;
    const steered = named("models/a.gguf", "1");
    const others: Record<string, Engine> = { "copies/a.gguf": named("copies/a.gguf", "1"), b: named("b.gguf", "2") };
    const released: string[] = [];
    const source = {
      modelName: "a", load: async (name: string) => others[name]!, release: async (name: string) => { released.push(name); },
    };
    const chosen = (...judges: string[]) => chosenJudge(steered, parsed({ judges }), source).then(({ judgeName }) => judgeName);
    expect(await chosen("a", "copies/a.gguf", "b")).toBe("b");
    expect(await chosen("copies/a.gguf", "itself", "b")).toBe("itself");
    await expect(chosen("a", "copies/a.gguf")).rejects.toMatchObject({ code: "E_BAD_ARGUMENT", message: expect.stringMatching(/only judge/) });
    expect(released).toEqual(Array(3).fill("copies/a.gguf")); // by each of these choices; none is used
  });

  test("does not keep a judge loaded that is the steered model", async () => {
    const file = join(await temporaryFolder(), "plan.yaml");
    await writeFile(file, "models: [m]\nmethods:\n  - { name: x, properties: [{ name: brief, towards: is brief, away: is long, "
      + "judge: { brevity: 3 } }], questions: ENG, methods: [fixed], message: Be brief, judges: [copy, other] }\n");
    const events: string[] = [];
    const load = async (name: string): Promise<Engine> => {
      events.push(`load ${name}`);
      if (name === "other") throw new Error("far enough");
      const dispose = async (): Promise<void> => { events.push(`dispose ${name}`); };
      return { info: { path: name }, fingerprint: async () => ({ fileHash: "1" }), [Symbol.asyncDispose]: dispose } as unknown as Engine;
    };
    await expect(runPlan(await loadPlan(file), { out: "results", load })).rejects.toThrow("far enough");
    expect(events).toEqual(["load m", "load copy", "dispose copy", "load other", "dispose m"]);
  });

  test("judges several properties if each is judged by something else", () => {
    const { success } = methodsSchema.safeParse({ ...ENTRY, ...two(
      { judge: { language: "it" } }, { judge: { probe: [["ENi2f", "ENf2i"]] } }, { judge: { probe: [["mine", "yours"]] } },
      { judge: { probe: [["mine", "yours"]] } }, { towards: "is brief", judge: { brevity: 3 } }) });
    expect(success).toBe(true);
  });

  test("tries as many strengths of each method, around the vector's own alpha", () => {
    const gate = { probe: "gate.safetensors", layers: [2, 3] };
    expect(new Set(METHODS.map((method) => strengthsOf(method, 1).length)).size).toBe(1);
    expect(strengthsOf("fixed", 1)).toContain(1);
    const of = (method: (typeof METHODS)[number], strength: number) => settingOf(method, strength, { vectors: [fixed], gate });
    expect(of("fixed", 0.5)).toMatchObject({ label: "Fixed 0.4", steer: [{ vector: 0, schedule: { kind: "fixed", alpha: 0.4 } }] });
    expect(of("diminishing", 1)).toMatchObject({ label: "Dim 0.8", steer: [{ schedule: { kind: "diminishing", alpha: 0.8 } }] });
    expect(of("dynamic", 0.3)).toMatchObject({ label: "Dyn p=0.3", steer: [{ schedule: { topP: 0.3, strongAlpha: 1.6, alphaMax: 1.6 } }] });
    expect(of("budget", 2)).toMatchObject({ label: "Budget 2", steer: [{ schedule: { kind: "budget", nats: 2, alphaMax: 1.6 } }] });
    expect(of("answer-budget", 60)).toMatchObject({
      label: "Answer budget 60", steer: [{ schedule: { kind: "budget", nats: 60, per: "answer", alphaMax: 1.6 } }],
    });
    const gated = of("gated", 1);
    expect(gated.label).toBe("Gated 0.8");
    // The first token is always steered; from then on the gate decides.
    expect(gated.steer).toMatchObject([
      { only: { to: 1 } }, { only: { from: 1 }, layers: [2, 3], gate: { probe: "gate.safetensors", below: 0.5 } },
    ]);
    expect(settingOf("fixed", 1, { vectors: [fixed, vectorWith()], gate: undefined }).label).toBe("Fixed 0.8+1"); // 1: nothing was measured
  });

  test("tries further strengths on the side where the best one is", () => {
    const tried = (...pairs: Array<[number, number]>) =>
      pairs.map(([strength, score]) => ({ strength, score, effect: 0, kept: 0, fluency: 0 }));
    const after = (...pairs: Array<[number, number]>) => beyond(tried(...pairs), Infinity);
    expect(after([0.5, 0], [1, 0.3], [2, 0.2])).toBeUndefined();
    expect(after([0.5, 0], [4, 0.3], [8, 0.4])).toEqual({ strength: 16, isStronger: true });
    expect(after([0.5, 0.3], [0.75, 0.3], [1, 0.1])).toEqual({ strength: 0.33, isStronger: false });
    expect(after([0.8, 0], [0.3, 0.1], [0.1, 0.2])).toEqual({ strength: 0.033, isStronger: true }); // Dyn's p_top
    expect(after([0.8, 0.2], [0.5, 0.1])).toEqual({ strength: 1.3, isStronger: false });
    expect(beyond(tried([0.8, 0.2], [0.5, 0.1]), largestOf("dynamic"))).toEqual({ strength: 1, isStronger: false });
    expect(beyond(tried([1, 0.2], [0.8, 0.1]), largestOf("dynamic"))).toBeUndefined();
    expect(after([1, 0], [2, 0], [3, 0])).toEqual({ strength: 4.5, isStronger: true }); // nothing scores yet
  });

  test("is in the groups of the report", () => {
    const run = aRun();
    const groups = METHODS.map((method) =>
      groupOf(run, settingOf(method, 1, { vectors: [fixed], gate: { probe: "g", layers: [1] } })));
    expect(groups).toEqual(["Fixed", "Start", "Dim", "Dyn", "Budget", "Answer budget", "Gated"]);
  });

  test("tells its work in rows of decodes", () => {
    expect(["fixed", "dynamic", "budget"].map((method) => rowsPerToken(method as "fixed", 3))).toEqual([1, 5, 5]);
    const work = workOf(parsed({ methods: ["fixed"] }));
    // Fixed with its perplexity, its judge and its KL; the unsteered and the prompted one with the first two.
    expect(work.answering).toBe(50 * 30 * ((1 + 2 + 2) + 2 * (1 + 2)));
    expect(workOf(parsed({ methods: ["fixed"], validation: 20 })).choosing).toBe(2 * work.choosing);
  });

  test("may have datasets of one's own, alone in their folder or in files; too few rows are known at once", async () => {
    const folder = await temporaryFolder();
    const rows = Array.from({ length: 12 }, (_, index) => ({ input: `question ${index}?`, output: `answer ${index}` }));
    for (const name of ["POL", "RUD"]) await saveDataset(join(folder, "mydata"), { name, rows, instruction: "" });
    const file = join(folder, "plan.yaml");
    const checked = async (more: string, source = "positive: POL, negative: RUD, judge: probe") => {
      await writeFile(file, `models: [m]\ndatasets: mydata\nmethods:\n  - { name: x, properties: [{ name: polite, ${source} }], `
        + `questions: POL, message: "Be polite, as in data.csv", judges: [j], ${more} }\n`);
      return checkPlan(await loadPlan(file));
    };
    expect(await checked("evaluationSize: 10, validation: 2")).toMatchObject({ missing: [], left: [{ name: "x" }] });
    await expect(checked("evaluationSize: 10, validation: 3")).rejects.toMatchObject({ code: "E_BAD_DATASET", message: /12 rows/ });
    await writeFile(join(folder, "own.json"), JSON.stringify(rows));
    const files = "positive: own.json, negative: RUD, judge: { probe: [[own.json, RUD]] }";
    const [run] = (await checked("evaluationSize: 4, validation: 2", files)).left;
    const own = join(folder, "own.json");
    expect(run!.config).toMatchObject({
      message: "Be polite, as in data.csv", properties: [{ positive: own, negative: "RUD", judge: { probe: [[own, "RUD"]] } }],
    });
    for (const name of ["ENG", "ITA"]) await saveDataset(join(folder, "mydata"), { name, rows, instruction: "" });
    await expect(checked("evaluationSize: 4, validation: 2")).rejects.toMatchObject({ code: "E_BAD_DATASET", message: /no two of ENG, ITA .* share 24 questions/ });
  });

  test("reads the datasets that contents are compared by once per plan, until it is stopped", async () => {
    const folder = await temporaryFolder();
    for (const name of ["POL", "RUD", "ENG", "ITA"]) {
      const rows = Array.from({ length: 30 }, (_, index) => ({ input: `question ${index}?`, output: `${name} ${index}` }));
      await saveDataset(join(folder, "mydata"), { name, rows, instruction: "" });
    }
    const file = join(folder, "plan.yaml");
    await writeFile(file, "models: [m]\ndatasets: mydata\nmethods:\n  - { name: x, properties: [{ name: polite, positive: POL, "
      + "negative: RUD, judge: probe }], questions: POL, evaluationSize: 4, validation: 2, message: Be polite, judges: [j] }\n");
    const plan = await loadPlan(file);
    const parse = jest.spyOn(JSON, "parse");
    const reads = async (...models: string[]): Promise<number> => {
      parse.mockClear();
      expect((await checkPlan({ ...plan, models })).left).toHaveLength(models.length);
      return parse.mock.calls.filter(([text]) => /(ENG|ITA) \d/.test(text)).length;
    };
    const once = await reads("m");
    expect(once).toBeGreaterThan(0);
    expect(await reads("m", "n", "o")).toBe(once);
    const stop = new AbortController();
    parse.mockRestore();
    const { parse: real } = JSON;
    jest.spyOn(JSON, "parse").mockImplementation((text, ...more) => {
      if (/RUD \d/.test(text)) stop.abort(); // the last dataset before these
      return real(text, ...more) as unknown;
    });
    await expect(checkPlan(plan, undefined, stop)).rejects.toMatchObject({ code: "E_ABORTED" });
  });

  test("the included plans have one run per model and entry", async () => {
    const runs = planRuns(await loadPlan("claims"));
    const first = runs.slice(0, 3).map(({ kind, name }) => [kind, name]);
    expect(first).toEqual(["italian", "informal", "brief"].map((name) => ["methods", name]));
    expect(runs).toHaveLength(9);
    expect(planRuns(await loadPlan("three"))).toHaveLength(1);
  });
});

describe("content without style", () => {
  const random = seededRandom(5);
  const [WIDTH, N] = [24, 12];
  const draw = (scale: number): number[] => Array.from({ length: WIDTH }, () => scale * (random() - 0.5));
  const plus = (a: readonly number[], b: readonly number[]): Float64Array => Float64Array.from(a, (value, i) => value + b[i]!);
  const contents = Array.from({ length: N }, () => draw(1));
  const manners = Array.from({ length: 3 }, () => draw(8)); // far larger than what is said
  const states = manners.map((manner) => contents.map((content) => plus(content, manner)));
  const cosine = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

  test("is the same in every style, and differs between contents", () => {
    const of = styleless(states);
    for (const [index, state] of states[0]!.entries()) {
      const [here, there, other] = [of(state), of(states[1]![index]!), of(states[2]![(index + 1) % N]!)];
      expect(cosine(here, here)).toBeCloseTo(1, 12);
      expect(cosine(here, there)).toBeCloseTo(1, 9);
      expect(cosine(here, other)).toBeLessThan(0.8);
    }
  });

  test("does not depend on the scale and the origin of a feature", () => {
    const [scales, origin] = [draw(1).map((value) => 10 ** (4 * value)), draw(100)];
    const changed = (state: Float64Array): Float64Array => state.map((value, i) => value * scales[i]! + origin[i]!);
    const [plain, scaled] = [styleless(states), styleless(states.map((own) => own.map(changed)))];
    const [a, b] = [states[0]![0]!, states[2]![5]!];
    expect(cosine(scaled(changed(a)), scaled(changed(b)))).toBeCloseTo(cosine(plain(a), plain(b)), 9);
  });
});

describe("the score of an answer", () => {
  test("is the harmonic mean of effect, content and fluency, and 0 without one of them", () => {
    expect(scoreOf({ effect: 1, kept: 0.5, fluency: 0.5 })).toBeCloseTo(0.6, 12);
    for (const part of ["effect", "kept", "fluency"]) expect(scoreOf({ effect: 1, kept: 1, fluency: 1, [part]: 0 })).toBe(0);
    expect([fluencyOf(8, 4), fluencyOf(2, 4), fluencyOf(undefined, 4)]).toEqual([0.5, 1, 0]);
  });

  const run = aRun({ config: { cost: "perplexity" } });
  const perplexities: Record<string, number> = { "no-icl": 4, "Dyn p=0.5": 8, "Fixed 1": 2, icl: 4, "Start -1.5": 4 };
  const records = allRecords(run, (prompt, { label, steer }) => ({
    perplexity: perplexities[label]!, ...(steer.length > 0 && { klPerToken: prompt / 10 }),
  }));
  const language = anEvaluation(run, records, "language", "ita", ({ setting }) => setting === "Dyn p=0.5");
  const kept = {
    header: evaluationHeader(run, { evaluator: "kept", property: "kept", wanted: null, config: { against: "no-icl" }, versions: {} }),
    rows: records.map(({ prompt, setting }) =>
      ({ prompt, setting, answer: "", eval_kept: setting === "no-icl" ? 1 : setting === "icl" ? null : 0.5 })),
  };
  const results = resultsOf(run, records, [language, kept]);

  test("and the other outcomes are found in a run, with intervals and paired tests", () => {
    const outcomes = outcomesOf(results);
    expect(outcomes.map(({ name }) => name)).toEqual(["content kept", "score", "KL per token", "perplexity"]);
    const mean = (name: string, setting: string) => outcomeMean(results, outcomes.find((each) => each.name === name)!, setting);
    expect(mean("score", "Dyn p=0.5")!.value).toBeCloseTo(3 / (1 + 2 + 2), 12);
    expect(mean("score", "Fixed 1")!.value).toBe(0); // no effect
    expect(mean("content kept", "icl")).toBeUndefined();
    expect(mean("KL per token", "no-icl")).toBeUndefined();
    const kl = mean("KL per token", "Fixed 1")!;
    expect(kl.low).toBeLessThan(kl.value);
    const differences = pairedDifferences(results, "Fixed 1", outcomes[1]!.measure);
    expect(differences.find(({ setting }) => setting === "Dyn p=0.5")!.difference!.value).toBeCloseTo(0.6, 12);
    const without = outcomesOf(resultsOf(run, records, [language])).map(({ name }) => name);
    expect(without).toEqual(["KL per token", "perplexity"]);
  });

  test("stand in the report's tables; content is not compared with the setting that it is read against", () => {
    const data = runData(results);
    const cell = (table: Table, row: string, column: string) => table.rows.find(([name]) => name === row)![table.columns.indexOf(column)];
    expect(cell(settingsTable(data), "Dyn p=0.5", "mean score")).toBeCloseTo(0.6, 12);
    expect(settingsTable(data).columns).toEqual(expect.arrayContaining(["mean content kept low", "mean KL per token high"]));
    expect(cell(differencesTable(data, "Fixed 1")!, "Dyn p=0.5", "score")).toBeCloseTo(0.6, 12);
    expect(differencesTable(data, "no-icl")!.columns).not.toContain("content kept");
    expect(differencesTable(data, "Fixed 1")!.columns).toContain("content kept");
  });

  test("a comparison of methods has no place in the published schema", () => {
    expect(() => toPublished(run, records)).toThrow(expect.objectContaining({ code: "E_BAD_RUN" }));
  });
});
