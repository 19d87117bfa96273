import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { existsSync } from "node:fs";
import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunResults } from "../../lib/experiments.js";
import { loadDataset, loadModel, type Model } from "../../lib/index.js";
import { deltaPerplexity, withFoundAlphas } from "../../lib/generate/perplexity.js";
import { iclTokens, promptGroups, questionTokens } from "../../lib/prompt/question.js";
import { loadPlan, planRuns } from "../../lib/experiment/plan.js";
import { loadVector } from "../../lib/vector/vector-file.js";
import { readRun, summariseRun } from "../../lib/results/index.js";
import { withLanguage } from "../../lib/evaluate/evaluate-run.js";
import { datasetsFolder } from "../../lib/dataset/index.js";
import { seededRandom } from "../../lib/maths/random.js";
import { runCommand, type Outcome } from "../support/command.js";
import { isSampled } from "../support/slow.js";
import { scratch } from "../support/tiny-files.js";
import type { IclOrigin } from "../../lib/vector/index.js";

const MINUTES = 60_000;
const space = scratch();
afterAll(() => space[Symbol.dispose]());
const run = (...args: string[]): Promise<Outcome> => runCommand(args, { cwd: space.folder });

/** Share of a setting's answers in a language, and its median ΔPPL. */
function found(results: RunResults, setting: string, language: string): { hits: number; deltaPerplexity: number } {
  expect(results.evaluations.map(({ header }) => header.wanted)).toEqual([language]);
  const row = summariseRun(results).find((each) => each.setting === setting)!;
  return { hits: row.properties["language"]!.share.value, deltaPerplexity: row.deltaPerplexity!.median.value };
}

describe("the plan of the embedded model", () => {
  let outcome: Outcome;
  const results = new Map<string, RunResults>();

  beforeAll(async () => {
    outcome = await run("experiment", "plan", "tiny", "--out", "plan");
    for (const { name, out } of planRuns(await loadPlan("tiny"))) results.set(
      name, await withLanguage(await readRun(join(space.folder, "plan", out))),
    );
  }, 5 * MINUTES);

  test("is carried out whole", () => {
    process.stderr.write(outcome.stdout);
    expect(outcome.code).toBe(0);
    expect([...results.values()].map(({ isComplete }) => isComplete)).toEqual([...results.keys()].map(() => true));
    expect(outcome.stdout.match(/20 of 20 prompts/g)).toHaveLength(7);
    expect(outcome.stdout).toMatch(/ITA − ENG on ITA_test, seed 32, tiny \(F16\): 20 of 20/);
    expect(outcome.stdout).toMatch(/ENi2f \+ ITA on ENi2f_test, tiny/);
  });

  // Measured: 20 of 20 but for Spanish (19); unsteered 0.
  test.each([["ITA-ENG", "ita"], ["FRA-ENG", "fra"], ["SPA-ENG", "spa"], ["ZHO-ENG", "cmn"]])("%s: Dyn steers as well as Fixed, at a lower "
    + "ΔPPL than the stronger ones", (name, language) => {
    const of = (setting: string) => found(results.get(name)!, setting, language);
    expect(of("no-icl").hits).toBeLessThanOrEqual(0.1);
    expect(of("Dyn p=0.9").hits).toBeGreaterThanOrEqual(0.9);
    expect(of("Fixed 1").hits).toBeGreaterThanOrEqual(0.9);
    expect(of("Dyn p=0.9").deltaPerplexity).toBeLessThan(0.5 * of("no-icl").deltaPerplexity);
    expect(of("Fixed 1.5").deltaPerplexity).toBeGreaterThan(2 * of("Dyn p=0.9").deltaPerplexity);
    expect(of("Fixed 2").deltaPerplexity).toBeGreaterThan(2 * of("Fixed 1.5").deltaPerplexity);
  });

  test("two properties at once", () => {
    const of = (setting: string) => found(results.get("ENi2f+ITA")!, setting, "ita");
    expect(of("Dyn p=0.9").hits).toBeGreaterThanOrEqual(0.9);
    expect(of("ENi2f alone").hits).toBeLessThanOrEqual(0.1);
    expect(of("Dyn p=0.9").deltaPerplexity).toBeLessThan(0.5 * of("no-icl").deltaPerplexity);
  });

  test("every answer has its readings", () => {
    for (const { run: file, records } of results.values()) {
      for (const { setting, tokens, alphas, kls, finishReason } of records) {
        const { steer } = file.settings.find(({ label }) => label === setting)!;
        expect(finishReason).not.toBe("failed");
        expect([alphas.length, kls.length]).toEqual([steer.length, steer.length]);
        steer.forEach(({ schedule }, vector) => {
          expect(alphas[vector]).toHaveLength(tokens.length + (finishReason === "end" ? 1 : 0));
          if (schedule.kind === "dynamic") kls[vector]!.forEach((kl, step) => expect(alphas[vector]![step]).toBe(Math.min(2, kl)));
          else expect(kls[vector]).toBeNull();
          if (schedule.kind === "start") expect(alphas[vector]!.map(
            (alpha, step) => (step === 0 ? alpha === schedule.alpha : alpha === 0),
          )).not.toContain(false);
        });
      }
    }
  });

  test("ΔPPL is what deltaPerplexity says of the same answer", async () => {
    await using model: Model = await loadModel("tiny");
    const folder = datasetsFolder("tiny");
    const evaluation = await loadDataset("ITA_test", folder);
    const group = promptGroups(evaluation, 4)[3]!;
    const { run: file, records } = results.get("ITA-ENG")!;
    const vector = await loadVector(join(space.folder, "plan", "tiny", "ITA-ENG", "ITA-ENG.safetensors"));
    const own = records.filter(({ prompt }) => prompt === 3);
    expect(own.every(({ question }) => question === group.query.input)).toBe(true);
    const iclOutput = own.find(({ setting }) => setting === "icl")!.tokens;
    for (const { setting, alphas, deltaPerplexity: measured } of own.filter((record) => record.deltaPerplexity !== null)) {
      const steer = file.settings.find(({ label }) => label === setting)!.steer.map(({ schedule }) => ({ vector, schedule }));
      const tokens = alphas[0]?.map((alpha) => ({ readings: [{ alpha, kl: null }] })) ?? [];
      const again = await deltaPerplexity(model, {
        icl: iclTokens(model, evaluation.instruction, group), noIcl: questionTokens(model, group.query.input), iclOutput,
      },
        { steer: withFoundAlphas(steer, { tokens: tokens as never, endReadings: null }) });
      expect(Math.abs(measured! - again)).toBeLessThan(0.01 * (1 + Math.abs(again)));
    }
  }, MINUTES);

  test("begun again, does nothing twice", async () => {
    const before = await readFile(join(space.folder, "plan", "tiny", "SPA-ENG", "results.jsonl"));
    const again = await run("experiment", "plan", "tiny", "--out", "plan", "--quiet");
    expect([again.code, again.stdout]).toEqual([0, outcome.stdout]);
    expect((await readFile(join(space.folder, "plan", "tiny", "SPA-ENG", "results.jsonl"))).equals(before)).toBe(true);
  }, MINUTES);
});

describe("a run that is killed, shared, or begun twice", () => {
  const SETTINGS = [
    "--support", "4", "--evaluation-size", "10", "--parallel", "2", "--strategies", "dyn,fixed", "--alphas", "1", "--top-p", "0.5",
    "--max-new-tokens", "12",
  ];
  const single = (out: string, ...more: string[]): string[] => [
    "experiment", "single", "tiny", "--positive", "ITA", "--negative", "ENG", ...SETTINGS, "--out", out, ...more,
  ];
  const bytes = (out: string, file: string): Promise<Buffer> => readFile(join(space.folder, out, file));

  async function expectSame(out: string): Promise<void> {
    for (const file of ["results.jsonl", "ITA-ENG.safetensors"]) expect((await bytes(out, file)).equals(await bytes("whole", file)))
      .toBe(true);
    // The load of the machine decides how many threads a run begins with.
    const description = async (folder: string): Promise<string> => (await bytes(folder, "run.json")).toString().replace(
      /"threads": \d+/, "",
    );
    expect(await description(out)).toBe(await description("whole"));
  }

  /** How long a run takes that nobody kills. */
  let wholeMs = 0;

  beforeAll(async () => {
    const begun = performance.now();
    const { code, stderr } = await run(...single("whole"));
    wholeMs = performance.now() - begun;
    expect([code, stderr.includes("Warning")]).toEqual([0, false]);
  }, MINUTES);

  test("killed at random moments and begun again, ends with the same bytes, no group of prompts answered twice", async () => {
    const random = seededRandom(Number(process.env["LLAMA_STEER_TEST_SEED"] ?? 1));
    const wanted = Number(process.env["LLAMA_STEER_TEST_KILLS"] ?? (isSampled ? 2 : 5));
    let kills = 0;
    for (let round = 0; kills < wanted; round++) {
      const out = `killed-${round}`;
      for (;;) {
        const { code, signal } = await runCommand(single(out), { cwd: space.folder, killAfter: (0.1 + random()) * wholeMs });
        if (signal !== "SIGKILL") {
          expect(code).toBe(0);
          break;
        }
        kills++;
      }
      await expectSame(out);
      const groups = (await bytes(out, "timings.jsonl")).toString().match(/prompts \d+–\d+/g)!;
      expect(new Set(groups).size).toBe(groups.length);
    }
    process.stderr.write(`${kills} kills\n`);
  }, 10 * MINUTES);

  test("begun with more threads than this machine has processors, continues with as many as there are, and says so", async () => {
    await cp(join(space.folder, "whole"), join(space.folder, "elsewhere"), { recursive: true });
    const file = (name: string): string => join(space.folder, "elsewhere", name);
    await writeFile(file("run.json"), (await readFile(file("run.json"), "utf8")).replace(/"threads": \d+/, '"threads": 512'));
    const lines = (await readFile(file("results.jsonl"), "utf8")).split("\n");
    await writeFile(file("results.jsonl"), `${lines.slice(0, -5).join("\n")}\n`);
    const { code, stderr } = await run(...single("elsewhere"));
    expect([code, /started with 512 threads and continues with (\d+)/.exec(stderr)?.[1]]).toEqual([0, expect.stringMatching(/^\d{1,2}$/)]);
    expect((await readRun(join(space.folder, "elsewhere"))).isComplete).toBe(true);
  }, MINUTES);

  test("two shards, merged, are the same bytes", async () => {
    for (const index of [0, 1]) expect((await run(...single(`part-${index}`, "--shard", `${index}/2`))).code).toBe(0);
    expect(await run("results", "merge", "merged", "part-1", "part-0")).toMatchObject({
      code: 0, stdout: expect.stringMatching(/^ITA − ENG on \S+, seed \d+, \S+: \d+ answers from 2 parts\n$/),
      stderr: expect.stringMatching(/llama-steer results show merged\n$/),
    });
    await expectSame("merged");
    expect(await run("results", "merge", "again", "part-1")).toMatchObject({
      code: 3, stderr: expect.stringMatching(/missing shard 0 of 2/),
    });
  }, MINUTES);

  test("a second process is refused, and disturbs nothing", async () => {
    const longer = single("both").map((word) => (word === "10" ? "32" : word));
    const first = run(...longer);
    for (let tries = 0; tries < 2000 && !existsSync(join(space.folder, "both", "run.lock")); tries++) await new Promise(
      (resolve) => setTimeout(resolve, 5),
    );
    expect(await run(...longer)).toMatchObject({ code: 1, stderr: expect.stringMatching(/is working on this run already.*E_BUSY/) });
    expect((await first).code).toBe(0);
    expect((await readRun(join(space.folder, "both"))).isComplete).toBe(true);
    expect((await readdir(join(space.folder, "both"))).sort()).toEqual([
      "ITA-ENG.safetensors", "results.jsonl", "run.json", "timings.jsonl",
    ]);
  }, MINUTES);

  test("with other settings in the same folder, is refused by name", async () => {
    expect(await run(...single("whole", "--kl-reduction", "sum"))).toMatchObject({
      code: 3, stderr: expect.stringMatching(/config\.klReduction "mean" there, "sum" here/),
    });
    expect(await run(...single("whole", "--seed", "5"))).toMatchObject({
      code: 3, stderr: expect.stringMatching(/config\.seed 32 there, 5 here/),
    });
  }, MINUTES);

  test("the vector first, the answers later; the same draw by its indices; a vector that is given", async () => {
    expect((await run(...single("later", "--skip-eval"))).code).toBe(0);
    expect(await readdir(join(space.folder, "later"))).toEqual(["ITA-ENG.safetensors"]);
    expect((await run(...single("later"))).code).toBe(0);
    await expectSame("later");

    const replayed = single("replayed", "--support-indices", "whole/ITA-ENG.safetensors").filter(
      (word, index, all) => word !== "--support" && all[index - 1] !== "--support",
    );
    expect((await run(...replayed)).code).toBe(0);
    expect((await loadVector(join(space.folder, "replayed", "ITA-ENG.safetensors"))).data).toEqual(
      (await loadVector(join(space.folder, "whole", "ITA-ENG.safetensors"))).data,
    );

    expect((await run(...single("given", "--vector", "whole/ITA-ENG.safetensors"))).code).toBe(0);
    expect((await bytes("given", "results.jsonl")).equals(await bytes("whole", "results.jsonl"))).toBe(true);
    expect(await run(...single("later", "--skip-eval", "--seed", "5"))).toMatchObject({
      code: 3, stderr: expect.stringMatching(/already exists with other extraction settings/),
    });
    expect(await run(...single("given-2", "--vector", "whole/ITA-ENG.safetensors").map((word) => (word === "ITA" ? "FRA" : word))))
      .toMatchObject({
        code: 2, stderr: expect.stringMatching(/is ITA vs ENG at head_out, which differs from the experiment in: positive/),
      });
    expect((await run(...single("given-3", "--vector", "whole/ITA-ENG.safetensors", "--layers", "5+3"))).code).toBe(0);
    expect((await readRun(join(space.folder, "given-3"))).run.config["layers"]).toEqual([3, 5]);
    expect((await bytes("given-3", "results.jsonl")).equals(await bytes("whole", "results.jsonl"))).toBe(false);
  }, MINUTES);

  test("what is asked for shows in the prompts: site, layers, heads, format", async () => {
    const { code } = await run(...single("other", "--site", "resid_post", "--layers", "2-4", "--prompt-format", "published"));
    expect(code).toBe(0);
    const vector = await loadVector(join(space.folder, "other", "ITA-ENG.safetensors"));
    expect([vector.site, vector.layers, (vector.provenance.origin as IclOrigin).promptFormat]).toEqual([
      "resid_post", [2, 3, 4], "published",
    ]);
    expect((await bytes("other", "results.jsonl")).equals(await bytes("whole", "results.jsonl"))).toBe(false);
    expect((await readRun(join(space.folder, "other"))).run.model.fingerprint).toMatchObject({ quantisation: "F16" });
    expect(await run(...single("heads", "--heads", "9"))).toMatchObject({ code: 3, stderr: expect.stringMatching(/there is no head 9/) });
    expect(await run(...single("layers", "--layers", "99"))).toMatchObject({
      code: 3, stderr: expect.stringMatching(/layer 99 does not exist/),
    });
    expect((await run(...single("heads", "--heads", "1"))).code).toBe(0); // the first attempt does not stand in the way
  }, MINUTES);
});
