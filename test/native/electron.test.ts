// Against a module `electron` of our own (test/support/fake-electron.ts). `npm run electron:prove` tries the same in Electron itself.
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { readableByChildren } from "../../lib/child.js";
import { scratch } from "../support/tiny-files.js";
import { encodeGguf, tinyModel } from "../support/tiny-model.js";

const MINUTE = 60_000;
const fake = new URL("../support/fake-electron.js", import.meta.url).href;
const module = (path: string): string => JSON.stringify(new URL(`../../${path}`, import.meta.url).href);
const space = scratch();
const [good, crashing] = [space.path("good.gguf"), space.path("crashing.gguf")];
const env = { ...process.env, LLAMA_STEER_HOME: space.path("home") };

beforeAll(() => {
  const bytes = encodeGguf(tinyModel());
  writeFileSync(good, bytes);
  const at = bytes.indexOf("llama.block_count") + "llama.block_count".length + 4;
  writeFileSync(crashing, bytes.fill(0, at, at + 4)); // no layers
});

afterAll(() => space[Symbol.dispose]());

/** What a program prints in place of Electron's main process: a value, or its error. */
async function inMain(program: string, more: NodeJS.ProcessEnv = {}, preload = fake): Promise<string> {
  const text = `const run = async () => { ${program} };
    console.log(await run().then((value) => JSON.stringify(value), (error) => \`\${error.code} \${error.message}\`));
    process.exit();`;
  const args = ["--import", preload, "--input-type=module", "-e", text];
  return (await promisify(execFile)(process.execPath, args, { env: { ...env, ...more }, timeout: MINUTE })).stdout.trim();
}

const load = (path: string): string => `const { loadModel } = await import(${module("lib/index.js")});
  const model = await loadModel(${JSON.stringify(path)}); return model.info.nLayer;`;
const render = (template: string): string => `const { prompts } = await import(${module("lib/index.js")});
  const model = { info: { chatTemplate: ${JSON.stringify(template)}, path: "x" }, tokenise: (text) => [...Buffer.from(text)],
    specialTokens: () => ({ bos: null, eos: null, tokens: [] }) };
  return String(Buffer.from(await prompts.chatTokens(model, [{ role: "user", content: "Hi" }])));`;
const bounded = (name: string, input: string): string => `const { runBounded } = await import(${module("lib/formats/bounded.js")});
  const refuse = (why) => Object.assign(new Error(why), { code: "E_BAD_DATASET" });
  const url = new URL(${module(`test/support/bounded-functions.js${name}`)});
  return runBounded(url, ${input}, { milliseconds: 20000, bytes: 200e6, refuse });`;
const itself = 'process.execPath = "/bin/false"; '; // Electron as Node, with the fuse off

describe("in the main process, with the fuse runAsNode off, utility processes", () => {
  test("check models", async () => {
    expect(await inMain(itself + load(good))).toBe("3");
    expect(await inMain(itself + load(crashing))).toMatch(
      /^E_BAD_GGUF llama\.cpp crashes when it loads .* \(SIGABRT, llama-\S+\.cpp:\d+: .*n_layer.*damaged/,
    );
  }, 2 * MINUTE);

  test("render chat templates", async () => {
    expect(await inMain(itself + render("{{ messages[0].content }} there"))).toBe('"Hi there"');
    expect(await inMain(itself + render("{{ nothing.at.all }}"))).toMatch(/^E_BAD_GGUF the chat template of x omits a message/);
  }, 2 * MINUTE);

  test("test the graph path", async () => {
    const program = `const { checkGraphPath } = await import(${module("lib/engine/graph-check.js")});
      return checkGraphPath({ backend: "cpu", rpc: [] });`;
    expect(await inMain(itself + program)).toBe('{"holds":true}');
  }, MINUTE);

  test("read files within limits", async () => {
    expect(await inMain(itself + bounded("", '["a", new Uint8Array([1]).length, Infinity > 1]'))).toBe('["a",1,true]');
    expect(await inMain(itself + bounded("#buffers", "0"))).toMatch(/more than 191 MiB of memory \(SIGKILL\)$/);
    expect(await inMain(itself + bounded("#exits", "0"))).toMatch(/\((exit code 7|SIGBUS)\)$/); // Electron says 7 for both
    expect(await inMain(itself + bounded("", "() => 0"))).toMatch(/could not be cloned/);
  }, 2 * MINUTE);
});

test("before Electron is ready, when it would crash, nothing is started, and the error says so", async () => {
  expect(await inMain(load(good), { FAKE_ELECTRON_READY: "no", LLAMA_STEER_HOME: space.path("other") })).toMatch(
    /^E_NATIVE .*Electron is not ready: wait for app\.whenReady\(\) before the first call\. See docs/,
  );
}, MINUTE);

test("where only the main process can start others, every error says so", async () => {
  const utility = "data:text/javascript,Object.defineProperty(process.versions,'electron',{value:'33.2.1'});process.type='utility'";
  const where = /With the runAsNode fuse disabled, only Electron's main process can start others: .* or set LLAMA_STEER_NODE/;
  const elsewhere = { LLAMA_STEER_HOME: space.path("other") };
  expect(await inMain(itself + load(good), elsewhere, utility)).toMatch(where);
  expect(await inMain(itself + render("{{ messages[0].content }}"), {}, utility)).toMatch(where);
  expect(await inMain(itself + bounded("", "0"), {}, utility)).toMatch(where);
}, 2 * MINUTE);

test("a program's own utility process keeps its port for itself", async () => {
  const utility = "data:text/javascript,import{EventEmitter}from'node:events';process.parentPort=new EventEmitter()";
  expect(await inMain(`await import(${module("lib/experiments.js")}); return process.parentPort.eventNames();`, {}, utility)).toBe("[]");
}, MINUTE);

test("children read modules inside an archive, where their dependencies are, unless they are Nodes", () => {
  const inside = pathToFileURL("/opt/app/resources/app.asar/node_modules/llama-steer/x.js#name").href;
  const before = process.env["LLAMA_STEER_NODE"];
  delete process.env["LLAMA_STEER_NODE"];
  try {
    expect(readableByChildren(new URL(inside)).href).toBe(inside);
    process.env["LLAMA_STEER_NODE"] = process.execPath;
    expect(readableByChildren(new URL(inside)).href).toBe(inside.replace("app.asar", "app.asar.unpacked"));
  } finally {
    if (before === undefined) delete process.env["LLAMA_STEER_NODE"];
    else process.env["LLAMA_STEER_NODE"] = before;
  }
});
