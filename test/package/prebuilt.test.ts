import { execFile } from "node:child_process";
import { appendFile, copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { pinnedVersion, platformName } from "#native/prebuilt";
import { findInstallation } from "../../lib/native/index.js";

const run = promisify(execFile);
const root = resolve(".");
let folder: string;
let installed: string;
let prebuilts: string;
let env: NodeJS.ProcessEnv;
let manifest: { addons: Record<string, Record<string, unknown>> } & Record<string, unknown>;

/** An empty folder in which npm has unpacked what it would publish, with this machine's own build as the prebuilt addon. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llama-steer-prebuilt-"));
  const { stdout } = await run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], { maxBuffer: 1e7 });
  const modules = join(folder, "node_modules");
  installed = join(modules, "llama-steer");
  await mkdir(installed, { recursive: true });
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  await run("tar", ["xf", join(folder, filename), "-C", installed, "--strip-components=1"]);
  await symlink(join(root, "node_modules"), join(installed, "node_modules")); // as in pnpm's layout
  prebuilts = join(installed, "build", "prebuilt");
  // Nothing but Node, npm and a shell.
  const bin = join(folder, "bin");
  await mkdir(bin);
  const npm = (await run("which", ["npm"])).stdout.trim();
  await symlink(process.execPath, join(bin, "node"));
  await symlink(npm, join(bin, "npm"));
  await symlink("/bin/sh", join(bin, "sh"));
  const unset = { CXX: undefined, LLAMA_STEER_ADDON: undefined, LLAMA_STEER_FROM_SOURCE: undefined };
  env = { ...process.env, ...unset, PATH: bin, LLAMA_STEER_GPU: "none" };
}, 180_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

beforeEach(async () => {
  const { addonPath, built } = findInstallation();
  const platform = platformName();
  const sha256 = createHash("sha256").update(await readFile(addonPath)).digest("hex");
  manifest = { nodeLlamaCpp: built.nodeLlamaCpp, llamaCpp: built.llamaCpp, nodeApi: 9, addons: { [platform]: { sha256, glibc: "2.28" } } };
  await mkdir(join(prebuilts, platform), { recursive: true });
  await copyFile(addonPath, join(prebuilts, platform, "llama-steer.node"));
  await writeFile(join(prebuilts, "manifest.json"), JSON.stringify(manifest));
});

type Ended = { code?: number; stdout: string; stderr: string };
const ended = (promise: Promise<Ended>): Promise<Ended> => promise.catch((error: Ended) => error);
const install = (more: NodeJS.ProcessEnv = {}): Promise<Ended> =>
  ended(run("npm", ["run", "install", "--silent"], { cwd: installed, env: { ...env, ...more } }));
const steer = (...args: string[]): Promise<Ended> =>
  ended(run(process.execPath, [join(installed, "dist", "bin", "llama-steer.js"), ...args], { cwd: folder, env }));

test("installs and steers without a compiler, CMake and git, and says what it took", async () => {
  const { code, stderr } = await install();
  expect(code).toBeUndefined();
  expect(stderr).toBe(`llama-steer: using the prebuilt addon for ${platformName()} (SHA-256 verified); nothing is compiled\n`);
  const answer = await steer("generate", "tiny", "How do I plan the picnic?", "--steer", "tiny-italian:fixed,1", "--quiet");
  expect(answer.stderr).toBe("");
  expect(answer.stdout).toMatch(/\w+ \w+ \w+/);
  const [, addon] = JSON.parse((await steer("doctor", "--json")).stdout) as Array<{ found: string }>;
  expect(addon!.found).toBe(`prebuilt, SHA-256 verified: ${join(prebuilts, platformName(), "llama-steer.node")}`);
}, 60_000);

test("an addon that was compiled on this machine takes precedence, and the install says so", async () => {
  const own = join(installed, "build", "addon");
  await mkdir(own);
  await writeFile(join(own, "built.json"), "{}");
  const { code, stderr } = await install().finally(() => rm(own, { recursive: true }));
  expect([code, stderr]).toEqual([
    undefined, `llama-steer: using the addon that was compiled on this machine. To use the prebuilt one, remove ${own}\n`,
  ]);
}, 30_000);

const onLinux = process.platform === "linux" ? test : test.skip;
onLinux("without optional packages, the install fetches llama.cpp's libraries, and says so", async () => {
  const name = platformName();
  const [project, tools] = [join(folder, "light"), join(folder, "light-bin")];
  const light = join(project, "llama-steer");
  await mkdir(join(light, "node_modules"), { recursive: true });
  await mkdir(tools);
  for (const part of ["build", "dist", "models", "native", "package.json", "CMakeLists.txt"]) {
    await run("cp", ["-r", join(installed, part), join(light, part)]);
  }
  for (const each of await readdir(join(root, "node_modules"))) {
    if (!each.startsWith("@node-llama-cpp")) await symlink(join(root, "node_modules", each), join(light, "node_modules", each));
  }
  for (const tool of ["tar", "gzip", "cp"]) await symlink((await run("which", [tool])).stdout.trim(), join(tools, tool));
  const npm = `#!/bin/sh\ncp -r ${join(root, "node_modules", "@node-llama-cpp", name)} package && tar czf x.tgz package && echo "$5"`;
  await writeFile(join(tools, "npm"), npm, { mode: 0o755 });
  const at = { cwd: project, env: { ...env, PATH: `${tools}:${env["PATH"]}` } };
  const { stderr } = await run(process.execPath, [join(light, "native", "install.mjs")], at);
  expect(stderr.split("\n")).toEqual([
    `llama-steer: fetching @node-llama-cpp/${name}@${pinnedVersion()} (llama.cpp's libraries)`,
    `llama-steer: using the prebuilt addon for ${name} (SHA-256 verified); nothing is compiled`, "",
  ]);
  const hello = ["generate", "tiny", "Hello", "--quiet"];
  const answer = await run(process.execPath, [join(light, "dist", "bin", "llama-steer.js"), ...hello], at);
  expect(answer.stdout).not.toBe("");
  // Without network, and where no install script ran, the same command helps.
  await rm(join(light, "build", "backends"), { recursive: true });
  const command = `node "${join(light, "native", "install.mjs")}"`;
  const without = await ended(run(process.execPath, [join(light, "dist", "bin", "llama-steer.js"), ...hello], at));
  expect(without.stderr).toMatch(`${name}@${pinnedVersion()} is not installed. Optional packages may have been left out. Run: ${command} [`);
  await rm(join(tools, "npm"));
  const failed = await ended(run(process.execPath, [join(light, "native", "install.mjs")], { ...at, env: { ...at.env, PATH: tools } }));
  expect([failed.code, failed.stderr]).toEqual([1, expect.stringContaining(`npm not found; it comes with Node. To try again, run: ${command}\n`)]);
}, 120_000);

/** One thing about the prebuilt addon does not fit this machine. */
const UNFIT: Array<[string, () => Promise<void> | void, RegExp]> = [
  ["a damaged file", () => appendFile(join(prebuilts, platformName(), "llama-steer.node"), "x"), /is damaged: its SHA-256 is not the manifest's/],
  ["a missing file", () => rm(join(prebuilts, platformName(), "llama-steer.node")), /is missing/],
  ["another platform", () => { manifest.addons = { "linux-riscv64": {} }; }, /there is no prebuilt addon for/],
  ["another node-llama-cpp", () => { manifest["nodeLlamaCpp"] = "3.21.1"; },
    new RegExp(`is for node-llama-cpp 3\\.21\\.1, and package.json names ${pinnedVersion()}`)],
  ["a newer Node-API", () => { manifest["nodeApi"] = 99; }, /needs Node-API 99, and this Node has \d+/],
  ["no prebuilt addons", () => rm(join(prebuilts, "manifest.json")), /this package has no prebuilt addons/],
];
if (process.platform === "linux") {
  UNFIT.push(["a newer glibc", () => { manifest.addons[platformName()]!["glibc"] = "2.99"; }, /needs glibc 2\.99, and this system has 2\.\d+/]);
}

test.each(UNFIT)("with %s, it builds from source, and says why", async (name, change, reason) => {
  await change();
  if (name !== "no prebuilt addons") await writeFile(join(prebuilts, "manifest.json"), JSON.stringify(manifest));
  const { code, stderr } = await install();
  expect(code).toBe(1);
  const [why, needed] = stderr.split("\n");
  expect(why).toMatch(reason);
  expect(why).toMatch(/^llama-steer: .*; building the addon from source$/);
  expect(needed).toMatch(/^llama-steer: git not found; building the addon needs it\. Install it with/);
}, 30_000);

test("a package whose addon does not fit says so where it is loaded, too", async () => {
  await appendFile(join(prebuilts, platformName(), "llama-steer.node"), "x");
  const { code, stderr } = await steer("generate", "tiny", "x");
  expect(code).toBe(5);
  expect(stderr).toMatch(/the addon is not built .*, and the prebuilt addon is damaged: .* Build it: node ".*native\/build\.mjs"/);
}, 30_000);

/** Node says of which glibc it is; on musl it says nothing. */
const musl = { NODE_OPTIONS: `--import=${encodeURI("data:text/javascript,process.report.getReport = () => ({ header: {} })")}` };

test("on musl it says that glibc is needed, and what helps, in one message: where it is installed, and where it is loaded", async () => {
  const { code, stderr } = await install(musl);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^llama-steer: .*need glibc, and this Linux has another C library.*apk add build-base.*FROM_SOURCE=1 npm install llama-steer\n$/);
  Object.assign(env, musl);
  const loaded = await steer("generate", "tiny", "x").finally(() => { delete env["NODE_OPTIONS"]; });
  expect(loaded.code).toBe(5);
  expect(loaded.stderr).toMatch(/^llama-steer: the addon is not built .*need glibc.*FROM_SOURCE=1 node ".*native\/build\.mjs" \[E_NATIVE\]\n$/);
}, 30_000);

test("where no prebuilt addon fits, one that was built here with llama.cpp is kept; one without llama.cpp would not run", async () => {
  const own = join(installed, "build", "addon");
  await mkdir(own);
  try {
    await writeFile(join(own, "built.json"), JSON.stringify({ fromSource: true }));
    const kept = await install(musl);
    expect([kept.code, kept.stderr]).toEqual([
      undefined, "llama-steer: using the addon and llama.cpp, which were compiled on this machine; nothing is compiled\n",
    ]);
    expect((await steer("generate", "tiny", "x")).stderr).toMatch(/cannot be loaded: .* LLAMA_STEER_FROM_SOURCE=1 node ".*native\/build\.mjs" \[E_NATIVE\]\n$/);
    expect((await steer("rpc-server")).stderr).toMatch("RPC needs llama.cpp's prebuilt libraries, but this addon was built with llama.cpp");
    await writeFile(join(own, "built.json"), JSON.stringify({ fromSource: false }));
    expect(await install(musl)).toMatchObject({ code: 1, stderr: expect.stringContaining("need glibc") });
  } finally {
    await rm(own, { recursive: true });
  }
}, 30_000);

test.each(["LLAMA_STEER_FROM_SOURCE", "LLAMA_STEER_CMAKE_OPTION_GGML_CUDA"])("whoever sets %s gets a build", async (name) => {
  const { code, stderr } = await install({ [name]: "1" });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^llama-steer: git not found/);
}, 30_000);
