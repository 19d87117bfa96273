import { execFile } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { promisify } from "node:util";
import { afterAll, expect, test } from "@jest/globals";
import { packageRoot } from "#native/prebuilt";
import * as experiments from "../../lib/experiments.js";
import * as root from "../../lib/index.js";
import * as server from "../../lib/server.js";
import { scratch } from "../support/tiny-files.js";

const run = promisify(execFile);
const space = scratch();
afterAll(() => space[Symbol.dispose]());

/** Writes down the address of every module that is loaded. */
const HOOKS = `import { appendFileSync } from "node:fs";
  export async function load(url, context, next) { appendFileSync(process.env.LOADED, url + "\\n"); return next(url, context); }`;

/** What a program loads: the packages, and the folders of lib/. */
async function loadedBy(program: string): Promise<{ packages: string[]; folders: string[] }> {
  await rm(space.path("loaded"), { force: true });
  const list = space.path("loaded");
  const register = `import { register } from "node:module"; register("data:text/javascript,${encodeURIComponent(HOOKS)}");`;
  await run(process.execPath, ["--import", `data:text/javascript,${encodeURIComponent(register)}`, "--input-type=module", "-e", program], {
    cwd: packageRoot, env: { ...process.env, LOADED: list },
  });
  const urls = await readFile(list, "utf8");
  const found = (pattern: RegExp): string[] => [...new Set(Array.from(urls.matchAll(pattern), ([, name]) => name!))].sort();
  return { packages: found(/node_modules\/((?:@[^/\n]+\/)?[^/\n]+)\//g), folders: found(/dist\/lib\/([^/\n]+)\//g) };
}

test("an application loads the engine and no more: no charts, fonts, tables, languages", async () => {
  const { packages, folders } = await loadedBy('import "llama-steer"');
  expect(packages).toEqual(["zod"]);
  expect(folders).not.toEqual(expect.arrayContaining(["experiment"]));
  expect(folders).not.toEqual(expect.arrayContaining(["report"]));
});

test("experiments load their charts when a report is written, and their languages when one is judged", async () => {
  const { packages, folders } = await loadedBy('import "llama-steer/experiments"');
  expect(folders).toEqual(expect.arrayContaining(["experiment", "report", "results"]));
  expect(packages).toEqual(["zod"]);
});

test("the server loads its HTTP packages, and still no charts", async () => {
  const { packages, folders } = await loadedBy('import "llama-steer/server"');
  expect(packages).toEqual(expect.arrayContaining(["fastify", "prom-client", "zod"]));
  expect(packages.filter((name) => /^(vega|@resvg|eld|franc)/.test(name))).toEqual([]);
  expect(folders).not.toEqual(expect.arrayContaining(["report"]));
});

test("the root has what an application needs", () => {
  expect(Object.keys(root).sort()).toEqual([
    "Chat", "GenerationStream", "LiveSteering", "Model", "SteeringError", "SteeringVector", "calibrate", "calibrateByKl", "compose",
    "extract", "fromLlama", "gallery", "loadDataset", "loadModel", "loadProbe", "loadSteering", "measureKl", "models", "prompts", "replay",
    "schedule",
  ]);
});

test("no name is in both entries", () => {
  expect([...Object.keys(experiments), ...Object.keys(server)].filter((name) => name in root)).toEqual([]);
  expect(Object.keys(server).sort()).toEqual(["Server", "serve"]);
});
