import { afterAll, beforeEach, describe, expect, test } from "@jest/globals";
import { execFile, execFileSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { loadModel, type LoadModelOptions } from "../../lib/index.js";
import { generateText } from "../../lib/generate/index.js";
import { seededRandom } from "../../lib/maths/random.js";
import { tryInChild } from "../../lib/engine/vetting/vet-process.js";
import { verdictFile } from "../../lib/engine/vetting/vet.js";
import { scratch } from "../support/tiny-files.js";
import { encodeGguf, tinyModel } from "../support/tiny-model.js";

const space = scratch();
const home = space.path("home");
const path = space.path("tiny.gguf");
const whole = encodeGguf(tinyModel());
const oldHome = process.env["LLAMA_STEER_HOME"];

beforeEach(() => {
  process.env["LLAMA_STEER_HOME"] = home;
  rmSync(home, { recursive: true, force: true });
});

afterAll(() => {
  if (oldHome === undefined) delete process.env["LLAMA_STEER_HOME"];
  else process.env["LLAMA_STEER_HOME"] = oldHome;
  space[Symbol.dispose]();
});

/** Write `bytes` to the file under test and load it. */
async function load(bytes: Buffer, vet = true): Promise<string> {
  writeFileSync(path, bytes);
  return loadAgain(vet);
}

/** A few tokens of the model, so that a crash of computing would show too. */
async function loadAgain(vet = true): Promise<string> {
  await using model = await loadModel(path, { threads: 1, gpuLayers: 0, vet });
  return (await generateText(model, "abc", { maxNewTokens: 2 })).text;
}

/** The tiny model with the four bytes of a key's value replaced. */
function withValue(key: string, ...value: number[]): Buffer {
  const bytes = Buffer.from(whole);
  bytes.set(value, bytes.indexOf(key) + key.length + 4);
  return bytes;
}

/** The tiny model with strings replaced by others of the same length. */
function withText(...changes: Array<[string, string]>): Buffer {
  return Buffer.from(changes.reduce((text, [from, to]) => text.replaceAll(from, to), whole.toString("latin1")), "latin1");
}

/** Of an architecture that has the tensors and keys of llama. */
const asArchitecture = (name: string): Buffer => withText(
  ["\u0005\0\0\0\0\0\0\0llama\u000c", `\u0005\0\0\0\0\0\0\0${name}\u000c`], ["llama.", `${name}.`],
);

describe("files on which llama.cpp ends its process", () => {
  const crashers: Array<[string, Buffer, RegExp]> = [
    ["no layers", withValue("llama.block_count", 0, 0, 0, 0), /crashes when it loads .*n_layer/],
    ["more layers than llama.cpp knows", withValue("llama.block_count", 0, 0, 0, 127), /crashes when it loads .*n_layer/],
    ["a token that occurs twice", withText(["<0x41>", "<0x40>"]), /crashes when it loads .*token_to_id/],
    [
      "heads that do not fit the weights", withValue("llama.attention.head_count_kv", 2, 0, 0, 32),
      /crashes when it loads .*ggml_nelements/,
    ],
    ["a negative epsilon", withValue("llama.attention.layer_norm_rms_epsilon", 0xac, 0xc5, 0x27, 0xb7), /crashes when it works with .*eps/],
  ];
  test.each(crashers)("%s", async (_, bytes, message) => {
    await expect(load(bytes)).rejects.toMatchObject({ name: "SteeringError", code: "E_BAD_GGUF", message: expect.stringMatching(message) });
    expect(existsSync(verdictFile(path))).toBe(false);
    expect(await load(whole)).toHaveLength(2);
  });
});

test("a model that computes the logits of every row is refused before it could end the process", async () => {
  await expect(load(asArchitecture("dream"))).rejects.toMatchObject({
    code: "E_BAD_GGUF", message: expect.stringContaining("not a causal language model"),
  });
});

test("any corrupted byte leaves a model or an error", async () => {
  const random = seededRandom(11);
  const headerEnd = whole.indexOf("output.weight") + 40;
  const outcomes = { works: 0, refused: 0 };
  for (let i = 0; i < 32; i++) {
    const bytes = Buffer.from(whole);
    bytes[Math.floor(random() * headerEnd)] = Math.floor(random() * 256);
    await load(bytes).then(() => { outcomes.works++; }, (error: Error) => {
      expect(error).toMatchObject({ name: "SteeringError" });
      outcomes.refused++;
    });
  }
  expect(Math.min(outcomes.works, outcomes.refused)).toBeGreaterThan(5);
});

test("what llama.cpp refuses by itself is refused in the same words", async () => {
  const alien = asArchitecture("alien");
  const direct = await load(alien, false).catch((error: Error) => error);
  expect(direct).toMatchObject({ code: "E_BAD_GGUF", message: expect.stringContaining("alien") });
  await expect(load(alien)).rejects.toMatchObject({ code: "E_BAD_GGUF", message: (direct as Error).message });
});

describe("verdicts", () => {
  const written = (file = path) => statSync(verdictFile(file), { bigint: true }).ino;

  test("a good file is tried once", async () => {
    await load(whole);
    const first = written();
    expect(JSON.parse(readFileSync(verdictFile(path), "utf8"))).toMatchObject({
      llamaCpp: expect.stringMatching(/^v\d/), files: [{ path, size: whole.length }],
    });
    await loadAgain();
    expect(written()).toBe(first);
  });

  test("with vet: false it is not tried", async () => {
    await load(whole, false);
    expect(existsSync(verdictFile(path))).toBe(false);
  });

  test("a file that changed is tried again, even where its time was set back", async () => {
    await load(whole);
    const { atime, mtime } = statSync(path);
    writeFileSync(path, withValue("llama.block_count", 0, 0, 0, 0));
    utimesSync(path, atime, mtime);
    await expect(loadAgain()).rejects.toMatchObject({ code: "E_BAD_GGUF" });
  });

  test("a verdict of another version of llama.cpp, or one cut short, counts for nothing", async () => {
    await load(whole);
    const verdict = readFileSync(verdictFile(path), "utf8");
    for (const other of [verdict.replace(/"v\d[^"]*"/, '"v0.0.1"'), verdict.slice(0, -9)]) {
      writeFileSync(verdictFile(path), other);
      await loadAgain();
      expect(readFileSync(verdictFile(path), "utf8")).toBe(verdict);
    }
  });

  test("a model in parts is tried again when any part changes", async () => {
    const [first, second] = [1, 2].map((part) => space.path(`tiny-0000${part}-of-00002.gguf`)) as [string, string];
    writeFileSync(first, whole);
    writeFileSync(second, "one");
    const loadFirst = async () => (await loadModel(first, { gpuLayers: 0 })).dispose();
    await loadFirst();
    const before = written(first);
    writeFileSync(second, "two");
    await loadFirst();
    expect(written(first)).not.toBe(before);
  });

  test("a cache folder that cannot be written costs the verdict, not the model", async () => {
    writeFileSync(space.path("file"), "");
    process.env["LLAMA_STEER_HOME"] = space.path("file");
    expect(await load(whole)).toHaveLength(2);
    await expect(load(withValue("llama.block_count", 0, 0, 0, 0))).rejects.toMatchObject({ code: "E_BAD_GGUF" });
  });
});

test("a worker thread is refused the file and lives on", async () => {
  writeFileSync(path, withValue("llama.block_count", 0, 0, 0, 0));
  const code = `
    const { parentPort, workerData } = require("node:worker_threads");
    import(workerData.index).then(({ loadModel }) => loadModel(workerData.path))
      .catch(({ code }) => setTimeout(() => parentPort.postMessage(code), 20));`;
  const index = new URL("../../lib/index.js", import.meta.url).href;
  const answer = await new Promise((resolve, reject) => {
    new Worker(code, { eval: true, workerData: { index, path } }).once("message", resolve).once("error", reject);
  });
  expect(answer).toBe("E_BAD_GGUF");
});

describe("the process that tries", () => {
  // Windows has no file whose reader waits for ever.
  (process.platform === "win32" ? test.skip : test)("one that does not come to an end is ended", async () => {
    const fifo = space.path("fifo.gguf");
    execFileSync("mkfifo", [fifo]);
    await expect(tryInChild(fifo, { milliseconds: 4000, bytes: 1e10 })).rejects.toMatchObject({
      code: "E_BAD_GGUF", message: expect.stringMatching(/did not finish .* within 4 s/),
    });
  });

  test("one that takes too much memory is ended", async () => {
    writeFileSync(path, whole);
    await expect(tryInChild(path, { milliseconds: 60_000, bytes: 1e6 })).rejects.toMatchObject({
      code: "E_BAD_GGUF", message: expect.stringMatching(/more than 0\.0 GB/),
    });
  });

  /** Code of the error that loading gives in a process of its own, where `setup` ran before. */
  async function codeAfter(setup: string): Promise<string> {
    const index = new URL("../../lib/index.js", import.meta.url).href;
    const code = `process.env.LLAMA_STEER_HOME = ${JSON.stringify(home)}; ${setup}; import(${JSON.stringify(index)}).then(({ loadModel }) => loadModel(${JSON.stringify(path)})).then(() => console.log("loaded"), ({ code, message }) => console.log(code, message));`;
    return (await promisify(execFile)(process.execPath, ["-e", code])).stdout;
  }

  test("one that cannot be started is an error that says how to do without", async () => {
    writeFileSync(path, whole);
    expect(await codeAfter('process.execPath = "/nowhere/node"')).toMatch(/^E_NATIVE .*ENOENT.*vet: false/);
  });

  test("a program that is its own executable has another Node check; one that is none is an error that says what it must be", async () => {
    writeFileSync(path, whole);
    const itself = 'process.execPath = "/bin/false"; ';
    expect(await codeAfter(itself)).toMatch(/^E_NATIVE .*\/bin\/false: it ended with exit code 1\. A program .*LLAMA_STEER_NODE/);
    expect(await codeAfter(`${itself}Object.defineProperty(process.versions, "electron", { value: "40.0.0" })`)).toMatch(
      /^E_NATIVE .*With the runAsNode fuse disabled, only Electron's main process .*LLAMA_STEER_NODE .*docs\/electron\.md.*vet: false/,
    );
    const node = `process.env.LLAMA_STEER_NODE = ${JSON.stringify(process.execPath)}`;
    expect(await codeAfter(`${itself}${node}`)).toBe("loaded\n");
    expect(existsSync(verdictFile(path))).toBe(true);
    rmSync(verdictFile(path));
    expect(await codeAfter('process.env.LLAMA_STEER_NODE = "/nowhere/node"')).toMatch(
      /^E_NATIVE .*\/nowhere\/node: .*ENOENT.*LLAMA_STEER_NODE must be the path of a Node/,
    );
  });

  test("nothing is started for a load that is stopped already", async () => {
    process.env["LLAMA_STEER_NODE"] = "/nowhere/node";
    try {
      await expect(tryInChild(path, { milliseconds: 500, bytes: 1e10 }, AbortSignal.abort())).rejects.toMatchObject({ code: "E_ABORTED" });
    } finally {
      delete process.env["LLAMA_STEER_NODE"];
    }
  });

  test("one that never answers is ended, and not taken for a damaged file", async () => {
    writeFileSync(path, whole);
    const deaf = space.path("deaf.sh");
    writeFileSync(deaf, "#!/bin/sh\nexec sleep 100\n", { mode: 0o755 });
    process.env["LLAMA_STEER_NODE"] = deaf;
    try {
      await expect(tryInChild(path, { startMilliseconds: 500, milliseconds: 60_000, bytes: 1e10 })).rejects.toMatchObject({
        code: "E_NATIVE", message: expect.stringMatching(/did not answer.*LLAMA_STEER_NODE/),
      });
    } finally {
      delete process.env["LLAMA_STEER_NODE"];
    }
  });

  test("does not start another, as a program that is its own Node.js would", async () => {
    writeFileSync(path, whole);
    expect(await codeAfter('process.env.LLAMA_STEER_CHILD = "1"')).toMatch(/^E_NATIVE .*vet: false/);
  });
});

test("loading can be stopped, the check too, and is not remembered then", async () => {
  writeFileSync(path, whole);
  await expect(loadModel(path, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "E_ABORTED" });
  const begun = performance.now();
  await expect(loadModel(path, { signal: AbortSignal.timeout(5) })).rejects.toMatchObject({ code: "E_ABORTED" });
  expect(performance.now() - begun).toBeLessThan(10_000);
  expect(existsSync(verdictFile(path))).toBe(false);
  expect(await loadAgain()).not.toBe("");
});

test.each<object>([
  { threads: 0 }, { gpuLayers: -1 }, { kvType: "q8" }, { backend: "Cuda" }, { steeringPath: "x" }, { maxSequences: 0 },
])("options out of range are refused before anything is loaded: %j", async (options) => {
  writeFileSync(path, whole);
  await expect(loadModel(path, options as LoadModelOptions)).rejects.toMatchObject({
    code: "E_BAD_ARGUMENT", message: expect.stringContaining(Object.keys(options)[0]!),
  });
});

test("a logger that throws harms nothing; a file that is gone is missed where vectors are bound to it", async () => {
  writeFileSync(path, whole);
  using model = await loadModel(path, { threads: 1, gpuLayers: 0, mmap: false, logger: () => { throw new Error("full"); } });
  expect((await model.generate("abc", { maxNewTokens: 2 }).result()).tokens).toHaveLength(2);
  rmSync(path);
  await expect(model.fingerprint()).rejects.toMatchObject({ code: "E_NOT_FOUND" });
});
