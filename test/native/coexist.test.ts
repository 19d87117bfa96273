import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
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

test.each([["ours first", [OURS, THEIRS]], ["node-llama-cpp first", [THEIRS, OURS]]])("beside node-llama-cpp in one process, %s: the same "
  + "tokens, and one file in memory", async (_, order) => {
  const library = pathToFileURL(join(process.cwd(), "dist/lib/index.js")).href;
  const script = join(process.cwd(), "dist", `coexist-${order[0] === OURS ? "ours" : "theirs"}.mjs`);
  await writeFile(
    script,
    `const [library, path] = ${JSON.stringify([library, path])};\nlet model, llama, theirModel, ours, theirs;\n${order.map(
      (part) => `{${part}\n}`,
    ).join("\n")}\n${END}`,
  );
  const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: 60_000 });
  const found = JSON.parse(stdout.slice(stdout.indexOf("{\"ours\""))) as {
    theirs: number[]; again: number[]; dirty: number[]; shared: string[]
  };
  expect(found.again).toHaveLength(6);
  expect(found.theirs).toEqual(found.again);
  if (process.platform !== "linux") return;
  expect(found.shared.length).toBeGreaterThanOrEqual(2); // mapped by both
  expect(new Set(found.dirty)).toEqual(new Set([0])); // and copied by neither
});

const SETTLED = "await new Promise((resolve) => setTimeout(resolve, 200)); // node-llama-cpp hands its lines over one by one";
const OUR_FAILURE = `
  const before = lines.length;
  const { loadModel } = await import(library);
  ours.push(await loadModel(broken, { vet: false, threads: 1 }).catch(({ message }) => message));
  model = await loadModel(path, { vet: false, threads: 1 });
  await model.generate("steer", { maxNewTokens: 2 }).text();
  model.dispose();
  ${SETTLED}
  strays.push(...lines.slice(before));`;
const THEIR_FAILURE = `
  const { getLlama } = await import("node-llama-cpp");
  llama ??= await getLlama({ build: "never", gpu: false, maxThreads: 1, logLevel: "debug", logger: (level, message) => lines.push(message) });
  await llama.loadModel({ modelPath: path });
  ${SETTLED}
  const before = lines.length;
  await llama.loadModel({ modelPath: broken }).catch(() => undefined);
  ${SETTLED}
  theirs.push(lines.slice(before).join("\\n"));`;

test.each([
  ["ours first", [OUR_FAILURE, THEIR_FAILURE, OUR_FAILURE, THEIR_FAILURE]],
  ["node-llama-cpp first", [THEIR_FAILURE, OUR_FAILURE, THEIR_FAILURE, OUR_FAILURE]],
])("beside node-llama-cpp in one process, %s: each has llama.cpp's log of its own work", async (_, order) => {
  const library = pathToFileURL(join(process.cwd(), "dist/lib/index.js")).href;
  const broken = space.path("broken.gguf");
  await writeFile(broken, (await readFile(path)).subarray(0, 20_000));
  const script = join(process.cwd(), "dist", `coexist-log-${order.indexOf(OUR_FAILURE)}.mjs`);
  await writeFile(script, `const [library, path, broken] = ${JSON.stringify([library, path, broken])};
const ours = [], theirs = [], strays = [], lines = [];
let model, llama;
${order.map((part) => `{${part}\n}`).join("\n")}
process.stdout.write(JSON.stringify({ ours, theirs, strays }));
process.exit(0);`);
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [script], { timeout: 60_000 });
  expect(stderr).toBe("");
  const { ours, theirs, strays } = JSON.parse(stdout) as Record<string, string[]>; // nothing else was printed
  expect(ours).toEqual([expect.stringContaining("broken.gguf: "), expect.stringContaining("broken.gguf: ")]);
  expect(theirs).toEqual([expect.stringMatching(/failed to load model/), expect.stringMatching(/failed to load model/)]);
  expect(strays).toEqual([]);
});

test("the options of a Llama, and a back end that is not there", async () => {
  expect(fromLlama({ gpu: false, maxThreads: 0 })).toEqual({ backend: "cpu" });
  expect(fromLlama({ gpu: "vulkan", maxThreads: 3 })).toEqual({ backend: "vulkan", threads: 3 });
  await using model = await loadModel(path, { vet: false, ...fromLlama({ gpu: false, maxThreads: 1 }) });
  expect([model.threads, await model.generate("steer", { maxNewTokens: 2 }).text()]).toEqual([1, expect.any(String)]);
  await expect(loadModel(path, { vet: false, backend: "metal" })).rejects.toMatchObject({
    code: "E_NATIVE", message: expect.stringContaining("metal"),
  });
  await expect(loadModel(path, { backend: "tpu" as LoadModelOptions["backend"] & string })).rejects.toMatchObject({
    code: "E_BAD_ARGUMENT",
  });
});
