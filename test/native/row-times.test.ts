import { readdir, readFile, writeFile } from "node:fs/promises";
import { afterAll, afterEach, beforeEach, expect, test } from "@jest/globals";
import { loadModel, type GenerationResult, type LoadModelOptions } from "../../lib/index.js";
import { generateText } from "../../lib/generate/index.js";
import { dynamic } from "../support/dyn-requests.js";
import { randomVector, scratch } from "../support/tiny-files.js";

const space = scratch();
afterAll(() => space[Symbol.dispose]());

const { LLAMA_STEER_HOME, LLAMA_STEER_NO_CACHE } = process.env;
beforeEach(() => {
  process.env["LLAMA_STEER_HOME"] = space.folder;
  delete process.env["LLAMA_STEER_NO_CACHE"];
});
afterEach(() => {
  for (const [name, value] of Object.entries({ LLAMA_STEER_HOME, LLAMA_STEER_NO_CACHE })) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

const folder = (): string => space.path("row-times");
const files = async (): Promise<string[]> => (await readdir(folder()).catch(() => [])).filter((name) => name.endsWith(".json"));

/** The work of an answer of 24 tokens by Dyn, of a model that is loaded anew. */
async function answer(options: LoadModelOptions = {}): Promise<GenerationResult> {
  using model = await loadModel("tiny", { threads: 1, gpuLayers: 0, vet: false, ...options });
  const steer = { vector: await randomVector(model, 1, { nSteps: 12, scale: 1 }), schedule: dynamic() };
  return await generateText(model, "What do bees make?", { steer, maxNewTokens: 24, sampling: { logitBias: { 2: -Infinity } } });
}

test("the times of rows are measured once, kept, and decide whether guessing pays", async () => {
  await answer();
  const [name, ...others] = await files();
  expect(others).toEqual([]);
  const path = `${folder()}/${name}`;
  const kept = JSON.parse(await readFile(path, "utf8")) as { key: string; milliseconds: number[] };
  expect(kept.milliseconds).toHaveLength(6);
  expect(kept.milliseconds.every((time) => time > 0 && time < 10_000)).toBe(true);
  const withTimes = async (milliseconds: number[]): Promise<number> => {
    await writeFile(path, JSON.stringify({ ...kept, milliseconds }));
    const { work } = await answer();
    expect(JSON.parse(await readFile(path, "utf8"))).toEqual({ ...kept, milliseconds });
    return work.guesses;
  };
  expect(await withTimes([10, 10, 10, 10, 10, 10])).toBe(23); // rows are free: one for each token but the last
  expect(await withTimes([10, 100, 200, 300, 400, 700])).toBe(0);
});

test("a file that is broken, or of other settings, is measured again", async () => {
  const [name] = await files();
  const path = `${folder()}/${name}`;
  const { key } = JSON.parse(await readFile(path, "utf8")) as { key: string };
  const whole = (kept: object): string => JSON.stringify({ key, milliseconds: [1, 1, 1, 1, 1, 1], ...kept });
  for (const content of ["", whole({}).slice(0, -3), whole({ milliseconds: [1, 2] }), whole({ key: "other" }), whole({ more: 1 })]) {
    await writeFile(path, content);
    await answer();
    expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ key, milliseconds: { length: 6 } });
  }
});

test("nothing is measured where results must not depend on it, where it is not needed, or without a cache", async () => {
  const before = await files();
  await answer({ maxGenerations: 1 });
  {
    using model = await loadModel("tiny", { threads: 1, gpuLayers: 0, vet: false, contextSize: 2048 });
    await generateText(model, "What?", { maxNewTokens: 2 });
    const vector = await randomVector(model, 1, { nSteps: 12, scale: 1 });
    await generateText(model, "What?", { maxNewTokens: 2, ownHistory: "clean" });
    await generateText(model, "What?", { steer: { vector, schedule: { kind: "budget", nats: 0.5 } }, maxNewTokens: 2 });
    for (const pipeline of ["on", "off"] as const) {
      await generateText(model, "What?", { steer: { vector, schedule: dynamic() }, maxNewTokens: 4, pipeline });
    }
  }
  process.env["LLAMA_STEER_HOME"] = "/dev/null/nowhere";
  await answer();
  process.env["LLAMA_STEER_HOME"] = space.folder;
  process.env["LLAMA_STEER_NO_CACHE"] = "1";
  await answer({ contextSize: 1536 });
  expect(await files()).toEqual(before);
});
