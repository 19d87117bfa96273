import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { fromLlama, loadModel, type LoadModelOptions } from "../../lib/index.js";
import { loadTiny, scratch } from "../support/tiny-files.js";

const space = scratch();
let path: string;

beforeAll(async () => {
  const { model } = await loadTiny(space);
  path = model.info.path;
  model.dispose();
});

afterAll(() => space[Symbol.dispose]());

const OURS = `
  const { loadModel, fromLlama } = await import(library);
  model = await loadModel(path, { vet: false, threads: 1, ...(llama && fromLlama(llama)) });
  ours = await model.generate("steer", { maxNewTokens: 6 }).text();`;
const THEIRS = `
  const { getLlama } = await import("node-llama-cpp");
  llama = await getLlama({ build: "never", gpu: false, maxThreads: 1, logLevel: "error" });
  theirModel = await llama.loadModel({ modelPath: path });
  const sequence = (await theirModel.createContext({ contextSize: 64 })).getSequence();
  const tokens = [];
  for await (const token of sequence.evaluate([theirModel.tokens.bos, ...theirModel.tokenize("steer")], { temperature: 0, yieldEogToken: true })) if (tokens.push(token) === 6) break;
  theirs = tokens;`;
const END = `
  const again = await model.generate("steer", { maxNewTokens: 6 }).result();
  const maps = process.platform === "linux" ? (await import("node:fs")).readFileSync("/proc/self/smaps", "utf8").split(/\\n(?=[0-9a-f]+-[0-9a-f]+ )/).filter((each) => each.includes(path)) : [];
  const dirty = maps.map((each) => Number(/Private_Dirty:\\s+(\\d+)/.exec(each)[1]));
  const shared = maps.map((each) => /^\\S+ (\\S+)/.exec(each)[1]);
  process.stdout.write(JSON.stringify({ ours, theirs, again: again.tokens.map(({ token }) => token), dirty, shared, gpu: llama.gpu }));
  process.exit(0);`;

test.each([["ours first", [OURS, THEIRS]], ["node-llama-cpp first", [THEIRS, OURS]]])("beside node-llama-cpp in one process, %s: the same tokens, and one file in memory", async (_, order) => {
  const library = pathToFileURL(join(process.cwd(), "dist/lib/index.js")).href;
  const script = join(process.cwd(), "dist", `coexist-${order[0] === OURS ? "ours" : "theirs"}.mjs`);
  await writeFile(script, `const [library, path] = ${JSON.stringify([library, path])};\nlet model, llama, theirModel, ours, theirs;\n${order.map((part) => `{${part}\n}`).join("\n")}\n${END}`);
  const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: 60_000 });
  const found = JSON.parse(stdout.slice(stdout.indexOf("{\"ours\""))) as { theirs: number[]; again: number[]; dirty: number[]; shared: string[] };
  expect(found.again).toHaveLength(6);
  expect(found.theirs).toEqual(found.again);
  if (process.platform !== "linux") return;
  expect(found.shared.length).toBeGreaterThanOrEqual(2); // mapped by both
  expect(new Set(found.dirty)).toEqual(new Set([0])); // and copied by neither
});

test("the options of a Llama, and a back end that is not there", async () => {
  expect(fromLlama({ gpu: false, maxThreads: 0 })).toEqual({ backend: "cpu" });
  expect(fromLlama({ gpu: "vulkan", maxThreads: 3 })).toEqual({ backend: "vulkan", threads: 3 });
  await using model = await loadModel(path, { vet: false, ...fromLlama({ gpu: false, maxThreads: 1 }) });
  expect([model.threads, await model.generate("steer", { maxNewTokens: 2 }).text()]).toEqual([1, expect.any(String)]);
  await expect(loadModel(path, { vet: false, backend: "metal" })).rejects.toMatchObject({ code: "E_NATIVE", message: expect.stringContaining("metal") });
  await expect(loadModel(path, { backend: "tpu" as LoadModelOptions["backend"] & string })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
});
