import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { pinnedVersion, platformName } from "#native/prebuilt";
import { findInstallation } from "../../lib/native/index.js";
import { DRAWING_PACKAGES } from "../../lib/report/drawing.js";
import { installStrictly, productionTree } from "../support/installed.js";

const run = promisify(execFile);
const root = resolve(".");
type Versions = Record<string, string>;
const own = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  dependencies: Versions; devDependencies: Versions; optionalDependencies: Versions; peerDependencies: Versions; overrides: Versions;
  peerDependenciesMeta: Record<string, { optional?: boolean }>;
};

/**
 * What each direct dependency may weigh with all that it needs, in MB; what two need counts for both. A user pays for every line, so a new
 * one, or a larger number, needs a reason: docs/architecture.md ("What an install weighs") has what was left out, and why.
 */
const BUDGETS: Record<string, number> = {
  "@huggingface/jinja": 0.45, "cli-progress": 0.15, "csv-parse": 1.8, eld: 9.5, fastify: 12, "franc-min": 0.2, hyparquet: 0.35,
  "hyparquet-compressors": 0.3, "light-my-request": 0.3, picocolors: 0.02, "prom-client": 3.4, yaml: 0.8, yargs: 0.7, yauzl: 0.2, zod: 6.5,
};
const LIBRARIES = ["linux-arm64", "linux-x64", "mac-arm64-metal", "mac-x64", "win-x64"].map((name) => `@node-llama-cpp/${name}`);
const [MAX_PACKAGES, MAX_MB, MAX_LIBRARIES_MB] = [96, 36, 33];

const tree = productionTree(root);
const megabytes = (places: readonly string[]): number => places.reduce((sum, place) => sum + tree.size(place), 0) / 1e6;

test("users install these packages, and each weighs no more than it may", () => {
  expect(Object.keys(own.dependencies)).toEqual(Object.keys(BUDGETS));
  const heavy = Object.entries(BUDGETS).map(([name, limit]) => ({ name, limit, found: megabytes(tree.below([name])) }))
    .filter(({ found, limit }) => found === 0 || found > limit);
  expect(heavy).toEqual([]);
});

test("all together are few and light", () => {
  const all = tree.below(Object.keys(own.dependencies));
  expect(all.length).toBeLessThanOrEqual(MAX_PACKAGES);
  expect(megabytes(all)).toBeLessThan(MAX_MB);
  expect(megabytes(tree.below([`@node-llama-cpp/${platformName()}`]))).toBeLessThan(MAX_LIBRARIES_MB);
});

test("npm warns of none of them on the oldest Node that llama-steer supports", () => {
  const { satisfies } = createRequire(join(root, "package.json"))("semver") as { satisfies(version: string, range: string): boolean };
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, { version: string; dev?: boolean; peer?: boolean; engines?: { node?: string } }>;
  };
  const newer = Object.entries(packages).filter(([, { dev, peer, engines }]) =>
    !dev && !peer && engines?.node !== undefined && !satisfies("20.19.0", engines.node));
  expect(newer.map(([place, { version, engines }]) => [place, version, engines])).toEqual([]);
});

test("llama.cpp's libraries come in one version, for the platforms with a prebuilt addon, and without those for GPUs", async () => {
  const { PLATFORMS } = await import(join(root, "native", "cross", "platforms.mjs")) as { PLATFORMS: object };
  expect(Object.keys(own.optionalDependencies)).toEqual(LIBRARIES);
  expect(Object.keys(PLATFORMS).map((name) => `@node-llama-cpp/${name}`).sort()).toEqual(LIBRARIES);
  expect(new Set([...Object.values(own.optionalDependencies), own.devDependencies["node-llama-cpp"]])).toEqual(new Set([pinnedVersion()]));
});

test("the packages for figures are optional, beside any version of them, and the advice names the versions that the tests use", () => {
  const optional = Object.keys(own.peerDependencies).filter((name) => own.peerDependenciesMeta[name]?.optional);
  expect(optional).toEqual(Object.keys(own.peerDependencies));
  const advised = DRAWING_PACKAGES.map((each) => each.split(/(?<=.)@/) as [string, string]);
  for (const [name, major] of advised) {
    // npm refuses an application with vega 5 if a peer, even an optional one, names vega 6.
    expect([own.peerDependencies[name], own.devDependencies[name]]).toEqual(["*", expect.stringMatching(new RegExp(`^\\^${major}\\.`))]);
  }
  expect(advised.map(([name]) => name).sort()).toEqual(optional.filter((name) => name !== "@huggingface/transformers"));
});

let project: string;
let installed: string;
beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), "llama-steer-weight-"));
  installed = await installStrictly(root, project, [...Object.keys(own.dependencies), `@node-llama-cpp/${platformName()}`]);
  // The addon that this machine has, as if it had been compiled there.
  const { addonPath } = findInstallation();
  await mkdir(join(installed, "build"));
  await run("cp", ["-r", resolve(addonPath, "../.."), join(installed, "build", "addon")]);
}, 180_000);
afterAll(() => rm(project, { recursive: true, force: true }));

type Ended = { code?: number; stdout: string; stderr: string };
const steer = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> =>
  run(process.execPath, [join(installed, "dist", "bin", "llama-steer.js"), ...args], { cwd: project, env: { ...process.env, ...env } })
    .catch((error: Ended) => error);

test("with these packages alone, everything loads, and the model answers", async () => {
  const entries = ["", "/experiments", "/server"].map((entry) => `import "llama-steer${entry}";`).join("");
  expect(await run(process.execPath, ["--input-type=module", "-e", entries], { cwd: project })).toEqual({ stdout: "", stderr: "" });
  const { stdout, stderr } = await steer(["generate", "tiny", "How do I plan the picnic?", "--steer", "tiny-italian:fixed,1", "--quiet"]);
  expect([stderr, stdout]).toEqual(["", expect.stringMatching(/\w+ \w+ \w+/)]);
}, 180_000);

test("a report without the packages for figures is refused before anything is read or written; the message has the command", async () => {
  await mkdir(join(project, "runs", "x"), { recursive: true });
  await writeFile(join(project, "runs", "x", "run.json"), "not read");
  const { code, stdout, stderr } = await steer(["report", "runs/x", "--out", "out"]);
  expect([code, stdout]).toEqual([5, ""]);
  expect(stderr).toMatch(/^llama-steer: a report needs packages that draw figures, .*Cannot find module 'vega'/);
  expect(stderr.trim()).toMatch(/Install them beside it: npm install vega@6 vega-lite@6 @resvg\/resvg-js@2 dejavu-fonts-ttf@2 \[E_NOT_INSTALLED\]$/);
  expect(existsSync(join(project, "out"))).toBe(false);
  const help = await steer(["report", "--help"]);
  expect(help.stdout.replaceAll(/\s+/g, " ")).toContain(`npm install ${DRAWING_PACKAGES.join(" ")}`);
}, 180_000);

test("a report with another version of such a package is refused with the same command", async () => {
  const vega = join(project, "node_modules", "vega");
  await mkdir(vega);
  await writeFile(join(vega, "package.json"), JSON.stringify({ name: "vega", version: "5.33.0", main: "index.js" }));
  await writeFile(join(vega, "index.js"), "");
  const { code, stderr } = await steer(["report", "runs/x", "--out", "out"]);
  expect([code, stderr.trim()]).toEqual([5, "llama-steer: a report needs packages that draw figures, which are not part of llama-steer "
    + `(it needs vega 6, and 5.33.0 is installed). Install them beside it: npm install ${DRAWING_PACKAGES.join(" ")} [E_NOT_INSTALLED]`]);
}, 180_000);

test("the documentation has the same command, and the pinned version of node-llama-cpp", async () => {
  const pages = Object.fromEntries(await Promise.all(["getting-started", "evaluation", "node-llama-cpp"].map(async (page) =>
    [page, await readFile(join(root, "docs", `${page}.md`), "utf8")] as const)));
  for (const page of ["getting-started", "evaluation"]) expect(pages[page]).toContain(`npm install ${DRAWING_PACKAGES.join(" ")}\n`);
  const versions = Object.values(pages).flatMap((text) => Array.from(text.matchAll(/node-llama-cpp(?:\/[\w-]+)?@([\d.]+)/g), ([, each]) => each));
  expect(versions).toEqual([pinnedVersion(), pinnedVersion()]);
});

(["linux-x64", "win-x64"].includes(platformName()) ? test : test.skip)("doctor names the back end that a GPU here lacks", async () => {
  const gpu = async (LLAMA_STEER_GPU: string): Promise<string> =>
    (JSON.parse((await steer(["doctor", "--json"], { LLAMA_STEER_GPU })).stdout) as Array<{ name: string; found: string }>)
      .find(({ name }) => name === "gpu")!.found;
  expect(await gpu("cuda")).toBe(`@node-llama-cpp/${platformName()}-cuda fits this machine and is not installed. `
    + `Install it: node "${join(installed, "native", "install.mjs")}"`);
  expect(await gpu("none")).toBe("no GPU back end is installed; models run on the CPU");
}, 180_000);
