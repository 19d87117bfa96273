import { copyFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { evaluate } from "../../lib/experiments.js";
import { calibrate, extract, loadDataset, loadModel, SteeringVector, type Model } from "../../lib/index.js";
import { datasetsFolder } from "../../lib/dataset/index.js";
import { cheapest, type Candidate } from "../../lib/calibrate/index.js";
import { runCommand } from "../support/command.js";
import { scratch } from "../support/tiny-files.js";

describe("the choice", () => {
  const candidate = (alpha: number, found: number, deltaPerplexity: number): Candidate => ({ schedule: { kind: "fixed", alpha }, found, deltaPerplexity });
  test("is the cheapest that has the effect often enough, the first of several", () => {
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
  let model: Model;
  const run = (...args: string[]): ReturnType<typeof runCommand> => runCommand([...args, ...(args[0] === "calibrate" || args[0] === "generate" ? ["--threads", "1"] : [])], { cwd: space.folder });

  beforeAll(async () => {
    model = await loadModel("tiny", { threads: 1, maxSequences: 32, contextSize: 8192 });
    await (await extract(model, { positive: await loadDataset("ITA", folder), negative: await loadDataset("ENG", folder) })).save(path);
  });
  afterAll(() => {
    model.dispose();
    space[Symbol.dispose]();
  });

  test("an intensity that has the effect, at less cost than a stronger one; one that has it not is passed over", async () => {
    const language = await evaluate.language({ wanted: "it" });
    const { tried, vector } = await calibrate(model, { vector: await SteeringVector.load(path), questions: await loadDataset("ITA_test", folder), evaluators: [language, evaluate.fluency()], candidates: [0.1, 1, 2], n: 10 });
    expect(tried.map(({ schedule }) => schedule)).toEqual([0.1, 1, 2].map((alpha) => ({ kind: "fixed", alpha })));
    expect(tried[0]!.found).toBeLessThan(0.5);
    expect(tried[1]!.found).toBeGreaterThanOrEqual(0.9);
    expect(tried[1]!.deltaPerplexity).toBeLessThan(tried[2]!.deltaPerplexity);
    expect(vector!.provenance.calibration).toEqual({ ...tried[1], effect: "language ita", wanted: 0.9, n: 10, questions: { name: "ITA_test", hash: expect.stringMatching(/^sha256:/) } });
    const answer = await model.generate("Q:How do I plan the picnic?\nA:", { steer: vector!, maxNewTokens: 12 }).result();
    expect(answer.steering[0]!.schedule).toEqual({ kind: "fixed", alpha: 1 });
    expect((await evaluate.detectLanguage(answer.text)).language).toBe("ita");
    await expect(calibrate(model, { vector: vector!, questions: await loadDataset("ITA_test", folder), evaluators: [evaluate.fluency()] })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT", message: expect.stringContaining("nothing to calibrate") });
  }, 60_000);

  test("the command writes it into the file, which then needs no schedule; without an effect the file stays as it was", async () => {
    const before = await readFile(path);
    const failed = await run("calibrate", "tiny", path, "--values", "0.01,0.02", "--n", "5", "--quiet");
    expect([failed.code, failed.stderr]).toEqual([2, expect.stringMatching(/no value shows the effect in 90 % .*\[E_BAD_ARGUMENT\]/)]);
    expect(failed.stdout).toMatch(/^fixed 0\.01 +0 % +ΔPPL/);
    expect(await readFile(path)).toEqual(before);
    const { code, stdout } = await run("calibrate", "tiny", path, "--kind", "dyn", "--values", "0.5,0.9", "--n", "5", "--json", "--quiet");
    const { calibration } = JSON.parse(stdout) as { calibration: { schedule: { kind: string }; found: number } };
    expect([code, calibration.schedule.kind, calibration.found]).toEqual([0, "dynamic", 1]);
    expect((await SteeringVector.load(path)).provenance.calibration).toEqual(calibration);
    const generated = await run("generate", "tiny", "How do I plan the picnic?", "--steer", path, "--json", "--quiet");
    expect((JSON.parse(generated.stdout) as { steering: object[] }).steering).toEqual([{ vector: path, layers: "all", heads: "all", tail: "mean", schedule: calibration.schedule }]);
  }, 60_000);

  test("questions that the vector was made of say nothing; those of a dataset of ours are not taken for those of a user's own of that name", async () => {
    const own = join(space.folder, "own");
    await mkdir(own);
    for (const name of ["ITA", "ENG"]) await copyFile(join(folder, name, `${name}_test.json`), join(own, `${name}.json`));
    const vector = await extract(model, { method: "mean", positive: await loadDataset(join(own, "ITA.json")), negative: await loadDataset(join(own, "ENG.json")) });
    const options = { vector, evaluators: [await evaluate.language({ wanted: "it" })], candidates: [1], n: 2 };
    await expect(calibrate(model, { ...options, questions: await loadDataset(join(own, "ITA.json")) })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT", message: expect.stringContaining("was extracted from ITA") });
    await vector.save(join(space.folder, "own.safetensors"));
    const { code, stderr } = await run("calibrate", "tiny", "own.safetensors", "--values", "1", "--n", "2", "--quiet");
    expect([code, stderr]).toEqual([2, expect.stringMatching(/held-out questions with --questions/)]);
    for (const wrong of [{ n: NaN }, { n: 0 }, { n: 2.5 }, { maxNewTokens: 0 }, { iclExamples: -1 }]) {
      await expect(calibrate(model, { ...options, ...wrong, questions: await loadDataset("FRA_test", folder) })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT", message: expect.stringContaining(Object.keys(wrong)[0]!) });
    }
  }, 60_000);

  test("many candidates at once print nothing", async () => {
    const { code, stderr } = await run("calibrate", "tiny", path, "--values", "0.5,0.75,1,1.25,1.5,2", "--n", "4", "--max-new-tokens", "4", "--share", "0.01", "--quiet", "--out", join(space.folder, "other.safetensors"));
    expect([code, stderr]).toEqual([0, ""]);
  }, 60_000);
});
