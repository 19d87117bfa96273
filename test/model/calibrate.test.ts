import { copyFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { evaluate } from "../../lib/experiments.js";
import { calibrate, calibrateByKl, extract, loadDataset, loadModel, measureKl, SteeringVector, type Model } from "../../lib/index.js";
import { datasetsFolder } from "../../lib/dataset/index.js";
import { cheapest, type Candidate } from "../../lib/calibrate/index.js";
import { runCommand } from "../support/command.js";
import { scratch } from "../support/tiny-files.js";

describe("the choice", () => {
  const candidate = (alpha: number, found: number, deltaPerplexity: number): Candidate => ({
    schedule: { kind: "fixed", alpha }, found, deltaPerplexity,
  });
  test("is the cheapest that has the effect often enough, the weakest of several", () => {
    const tried = [candidate(0.5, 0.5, 0.1), candidate(1, 0.9, 3), candidate(1.5, 1, 2), candidate(2, 1, 2), candidate(3, 1, Infinity)];
    expect(cheapest(tried, 0.9)?.schedule).toEqual({ kind: "fixed", alpha: 1.5 });
    expect(cheapest(tried, 0.4)?.schedule).toEqual({ kind: "fixed", alpha: 0.5 });
    expect(cheapest(tried.slice(0, 2), 0.95)).toBeUndefined();
    expect(cheapest([tried[4]!], 0.9)).toBeUndefined();
  });
});

describe("on the embedded model", () => {
  const space = scratch();
  const folder = datasetsFolder("tiny");
  const path = join(space.folder, "italian.safetensors");
  const fresh = join(space.folder, "fresh.safetensors");
  let model: Model;
  const run = (...args: string[]): ReturnType<typeof runCommand> => runCommand(
    [...args, ...(args[0] === "calibrate" || args[0] === "generate" ? ["--threads", "1"] : [])], { cwd: space.folder },
  );

  beforeAll(async () => {
    model = await loadModel("tiny", { threads: 1, maxSequences: 32, contextSize: 8192 });
    const vector = await extract(model, { positive: await loadDataset("ITA", folder), negative: await loadDataset("ENG", folder) });
    await Promise.all([path, fresh].map((each) => vector.save(each)));
  }, 120_000);
  afterAll(() => {
    model.dispose();
    space[Symbol.dispose]();
  });

  test("an intensity that has the effect, at less cost than a stronger one; one that has it not is passed over", async () => {
    const language = await evaluate.language({ wanted: "it" });
    const { tried, vector } = await calibrate(
      model,
      {
        vector: await SteeringVector.load(path), questions: await loadDataset("ITA_test", folder),
        evaluators: [language, evaluate.fluency()], candidates: [0.1, 1, 2], n: 10,
      },
    );
    expect(tried.map(({ schedule }) => schedule)).toEqual([0.1, 1, 2].map((alpha) => ({ kind: "fixed", alpha })));
    expect(tried[0]!.found).toBeLessThan(0.5);
    expect(tried[1]!.found).toBeGreaterThanOrEqual(0.9);
    expect(tried[1]!.deltaPerplexity).toBeLessThan(tried[2]!.deltaPerplexity);
    expect(vector!.provenance.calibration).toEqual({
      ...tried[1], by: "effect",
      curve: tried.map(({ schedule, found, deltaPerplexity }) => ({
        value: (schedule as { alpha: number }).alpha, found, cost: deltaPerplexity,
      })),
      effect: "language ita", wanted: 0.9, n: 10, questions: { name: "ITA_test", hash: expect.stringMatching(/^sha256:/) },
    });
    const answer = await model.generate("Q:How do I plan the picnic?\nA:", { steer: vector!, maxNewTokens: 12 }).result();
    expect(answer.steering[0]!.schedule).toEqual({ kind: "fixed", alpha: 1 });
    expect((await evaluate.detectLanguage(answer.text)).language).toBe("ita");
    await expect(calibrate(
      model, { vector: vector!, questions: await loadDataset("ITA_test", folder), evaluators: [evaluate.fluency()] },
    )).rejects.toMatchObject({ code: "E_BAD_ARGUMENT", message: expect.stringContaining("nothing to calibrate") });
  }, 60_000);

  test("the command writes it into the file, which then needs no schedule; without an effect the file stays as it was", async () => {
    const before = await readFile(path);
    const failed = await run("calibrate", "tiny", path, "--values", "0.01,0.02", "--n", "5", "--quiet");
    expect([failed.code, failed.stderr]).toEqual([2, expect.stringMatching(/no value shows the effect in 90 % .*\[E_BAD_ARGUMENT\]/)]);
    expect(failed.stdout).toMatch(/^unsteered +0 % +ΔPPL.*\nprompted +\d+ % +ΔPPL.*"Answer in Italian\."\nfixed 0\.01 +0 % +ΔPPL/);
    expect(await readFile(path)).toEqual(before);
    const { code, stdout } = await run("calibrate", "tiny", path, "--kind", "dyn", "--values", "0.5,0.9", "--n", "5", "--json", "--quiet");
    const { calibration } = JSON.parse(stdout) as { calibration: { schedule: { kind: string }; found: number } };
    expect([code, calibration.schedule.kind, calibration.found]).toEqual([0, "dynamic", 1]);
    expect((await SteeringVector.load(path)).provenance.calibration).toEqual(calibration);
    const generated = await run("generate", "tiny", "How do I plan the picnic?", "--steer", path, "--json", "--quiet");
    expect((JSON.parse(generated.stdout) as { steering: object[] }).steering).toEqual([
      { vector: path, layers: "all", heads: "all", tail: "mean", phases: ["answer"], schedule: calibration.schedule },
    ]);
  }, 60_000);

  test("questions that the vector was made of say nothing; those of a dataset of ours are not taken for those of a user's own of that "
    + "name", async () => {
    const own = join(space.folder, "own");
    await mkdir(own);
    for (const name of ["ITA", "ENG"]) await copyFile(join(folder, name, `${name}_test.json`), join(own, `${name}.json`));
    const vector = await extract(
      model, { method: "mean", positive: await loadDataset(join(own, "ITA.json")), negative: await loadDataset(join(own, "ENG.json")) },
    );
    const options = { vector, evaluators: [await evaluate.language({ wanted: "it" })], candidates: [1], n: 2 };
    await expect(calibrate(model, { ...options, questions: await loadDataset(join(own, "ITA.json")) })).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT", message: expect.stringContaining("was extracted from ITA"),
    });
    await vector.save(join(space.folder, "own.safetensors"));
    const { code, stderr } = await run("calibrate", "tiny", "own.safetensors", "--values", "1", "--n", "2", "--quiet");
    expect([code, stderr]).toEqual([2, expect.stringMatching(/held-out questions with --questions/)]);
    for (const wrong of [{ n: NaN }, { n: 0 }, { n: 2.5 }, { maxNewTokens: 0 }, { iclExamples: -1 }]) {
      await expect(calibrate(model, { ...options, ...wrong, questions: await loadDataset("FRA_test", folder) })).rejects.toMatchObject({
        code: "E_BAD_ARGUMENT", message: expect.stringContaining(Object.keys(wrong)[0]!),
      });
    }
  }, 60_000);

  test("the KL of several alphas at once is that of each alone: none at 0, more for stronger ones, and infinite where the model breaks "
    + "down", async () => {
    const vector = await SteeringVector.load(path);
    const options = { questions: ["How do I plan the picnic?", "Can I bring a dog?"], maxNewTokens: 8 };
    const [none, weak, strong, back] = await measureKl(model, vector, { ...options, alphas: [0, 0.5, 1.5, -0.5] });
    const [broken, alone] = await measureKl(model, vector, { ...options, alphas: [3e38, 0.5] });
    expect(none).toEqual({ alpha: 0, mean: 0, median: 0, p95: 0 });
    expect(weak!.mean).toBeGreaterThan(0);
    expect(strong!.mean).toBeGreaterThan(2 * weak!.mean);
    expect(strong!.p95).toBeGreaterThan(strong!.median);
    expect(back!.mean).not.toBeCloseTo(weak!.mean, 3);
    expect(alone!.mean).toBeCloseTo(weak!.mean, 3); // products of one row are rounded differently from those of many
    expect(broken).toEqual({ alpha: 3e38, mean: Infinity, median: Infinity, p95: Infinity });
    const dyn = await model.generate(
      "Q:How do I plan the picnic?\nA:",
      {
        maxNewTokens: 8, stop: ["Q:"],
        steer: [{ vector, schedule: { kind: "dynamic", topP: 1, klReduction: "sum", strongAlpha: 1.5, alphaMax: 0 } }],
      },
    ).result();
    const kls = dyn.tokens.map(({ readings }) => readings[0]!.kl!).concat(dyn.endReadings?.map(({ kl }) => kl!) ?? []);
    const [one] = await measureKl(model, vector, { ...options, questions: options.questions.slice(0, 1), alphas: [1.5] });
    expect(one!.mean).toBeCloseTo(kls.reduce((sum, kl) => sum + kl, 0) / kls.length, 3);
  }, 60_000);

  test("an extraction ends with an alpha that has the effect; ten times the vector gets a tenth of it, and a smaller budget a smaller "
    + "one", async () => {
    const vector = await SteeringVector.load(fresh);
    const { calibration } = vector.provenance;
    expect(calibration).toMatchObject({ by: "kl", n: 4, questions: { name: "ITA" }, curve: expect.any(Array) });
    const alphaOf = (made: SteeringVector | undefined): number => (made!.provenance.calibration!.schedule as { alpha: number }).alpha;
    const answer = await model.generate("Q:How do I plan the picnic?\nA:", { steer: vector, maxNewTokens: 12 }).result();
    expect((await evaluate.detectLanguage(answer.text)).language).toBe("ita");
    const questions = await loadDataset("ENG_test", folder);
    const options = { questions, n: 2, maxNewTokens: 8 };
    const usual = await calibrateByKl(model, { ...options, vector });
    const louder = await calibrateByKl(model, { ...options, vector: vector.scale(10) });
    const less = await calibrateByKl(model, { ...options, vector, budget: 0.02 });
    expect(10 * alphaOf(louder.vector) / alphaOf(usual.vector)).toBeCloseTo(1, 1);
    expect(alphaOf(less.vector)).toBeLessThan(0.8 * alphaOf(usual.vector));
    const careful = await calibrateByKl(model, { ...options, vector, budgetOf: "p95" });
    expect(careful.vector!.provenance.calibration).toMatchObject({ budget: 1, budgetOf: "p95" });
    expect(alphaOf(careful.vector)).toBeLessThan(alphaOf(usual.vector));
    expect(await calibrateByKl(model, { ...options, vector: vector.scale(0) })).toMatchObject({ vector: undefined });
    await expect(calibrateByKl(model, { ...options, vector, budget: 0 })).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT", message: expect.stringContaining("budget"),
    });
  }, 60_000);

  test("a search finds an alpha with the effect by itself, whatever the vector's scale, and in the form of a chat", async () => {
    const vector = (await SteeringVector.load(path)).scale(20);
    const evaluators = [await evaluate.language({ wanted: "it" })];
    const options = { vector, questions: await loadDataset("ITA_test", folder), evaluators, n: 6, maxNewTokens: 12 };
    const { tried, vector: found } = await calibrate(model, options);
    expect(tried.map(({ schedule }) => (schedule as { alpha: number }).alpha)).toEqual(
      tried.map(({ schedule }) => (schedule as { alpha: number }).alpha).toSorted((a, b) => a - b),
    );
    expect(tried.every(({ kl }) => kl!.mean > 0)).toBe(true);
    expect(tried[0]!.found).toBeLessThan(0.5);
    const { calibration } = found!.provenance;
    expect((calibration!.schedule as { alpha: number }).alpha).toBeLessThan(0.1);
    expect(calibration).toMatchObject({
      by: "effect", found: expect.any(Number),
      curve: tried.map(({ found: share }) => expect.objectContaining({ found: share, kl: expect.anything() })),
    });
    const own = await calibrate(model, { ...options, format: "chat", cost: "perplexity", candidates: [0.05], n: 2, wanted: 0.01 });
    expect(own.tried[0]!.deltaPerplexity).toBeGreaterThan(1); // a perplexity, not a difference
  }, 60_000);

  test("many candidates at once print nothing", async () => {
    const { code, stderr } = await run(
      "calibrate", "tiny", path, "--values", "0.5,0.75,1,1.25,1.5,2", "--n", "4", "--max-new-tokens", "4", "--share", "0.01", "--quiet",
      "--out", join(space.folder, "other.safetensors"),
    );
    expect([code, stderr]).toEqual([0, ""]);
  }, 60_000);
});
