import { cp, mkdir, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, test } from "@jest/globals";
import { unpacked } from "#native/prebuilt";
import {
  build, installNodeLlamaCpp, installPlatform, makePackage, NODE_WARNS, NOT_THERE, pathWith, PINNED, REPOSITORY, root, TOOLS,
} from "../support/build-scripts.js";

beforeEach(makePackage);

test.each([undefined, "3.22.0"])("node-llama-cpp is fetched for a build if its version is not the pinned one: %s", async (version) => {
  await installPlatform(PINNED);
  if (version !== undefined) await installNodeLlamaCpp(version);
  const fetched = join(root, "stand-in");
  await installNodeLlamaCpp(PINNED, fetched);
  const npm = `echo "$@" > ${root}/asked; env > ${root}/env; /bin/mkdir node_modules; /bin/cp -r ${fetched} node_modules/node-llama-cpp`;
  const outer = { npm_config_global: "true", npm_config_workspace: "app", npm_config_include: "optional", npm_config_registry: "https://npm.test" };
  const { status, stderr } = build({ PATH: `${await pathWith(TOOLS, npm)}:/usr/bin`, ...outer });
  expect(status).toBe(1);
  const there = join(root, "build", "tools", "node_modules", "node-llama-cpp");
  expect(stderr).toBe(`llama-steer: fetching node-llama-cpp@${PINNED} (llama.cpp's sources, cmake-js, node-addon-api)\n`
    + `llama-steer: ${join(there, "llama", "gitRelease.bundle")} is missing; reinstall node-llama-cpp\n`);
  expect(await readFile(join(root, "asked"), "utf8")).toMatch(`install --prefix=. --omit=optional --ignore-scripts `);
  const settings = (await readFile(join(root, "env"), "utf8")).split("\n").filter((line) => /^npm_config_(global|workspace|include|registry)=/.test(line));
  expect(settings).toEqual(["npm_config_registry=https://npm.test"]);
  expect((await readdir(join(root, "build"))).sort()).toEqual(["tools"]);
});

test("what cannot be fetched is said with npm's reason, and nothing is left behind", async () => {
  const PATH = await pathWith(TOOLS, NODE_WARNS + NOT_THERE);
  const abandoned = join(root, "build", "backends", ".partial-abandoned");
  await mkdir(abandoned, { recursive: true });
  await mkdir(join(root, "build", "backends", ".partial-new")); // another install's, which is under way
  await utimes(abandoned, 0, 0);
  const { status, stderr } = build({ PATH });
  expect(status).toBe(1);
  expect(stderr).toMatch(new RegExp(
    `^llama-steer: fetching @node-llama-cpp/\\S+@${PINNED} \\(llama.cpp's libraries\\)\n`
    + `llama-steer: @node-llama-cpp/\\S+@${PINNED} could not be fetched: 404 No match found for version\nOr build llama.cpp from source: LLAMA_STEER_FROM_SOURCE=1`,
  ));
  await installPlatform("3.22.0"); // another version is not taken
  expect(build({ PATH }).stderr).toBe(stderr);
  const tools = build({ PATH, LLAMA_STEER_FROM_SOURCE: "1" });
  expect(tools.stderr).toMatch(`llama-steer: node-llama-cpp@${PINNED} could not be fetched: 404 No match found for version\n`);
  const nothing = build({ PATH: await pathWith(TOOLS), LLAMA_STEER_FROM_SOURCE: "1" });
  expect(nothing.stderr).toMatch(`node-llama-cpp@${PINNED} was fetched, and is not what it should be`);
  expect([await readdir(join(root, "build", "backends")), nothing.status]).toEqual([[".partial-new"], 1]);
});

test("npm fetches with the application's .npmrc, and its token does not stay in the package", async () => {
  await installPlatform(PINNED);
  const fetched = join(root, "stand-in");
  await installNodeLlamaCpp(PINNED, fetched);
  const app = join(root, "app");
  await mkdir(app);
  await writeFile(join(app, ".npmrc"), "@node-llama-cpp:registry=https://npm.test\n//npm.test/:_authToken=${TOKEN}\n");
  const npm = `/bin/cat .npmrc package.json > ${root}/read; /bin/mkdir node_modules; /bin/cp -r ${fetched} node_modules/node-llama-cpp`;
  const PATH = `${await pathWith(TOOLS, npm)}:/usr/bin`;
  for (const place of [{ npm_config_local_prefix: app, INIT_CWD: root }, { npm_config_local_prefix: undefined, INIT_CWD: app }]) {
    await rm(join(root, "build"), { recursive: true, force: true });
    build({ PATH, ...place });
    expect(await readFile(join(root, "read"), "utf8")).toBe(`${await readFile(join(app, ".npmrc"), "utf8")}{ "private": true }\n`);
    expect((await readdir(join(root, "build", "tools"))).sort()).toEqual(["node_modules", "package.json"]);
  }
});

test("what another install has fetched meanwhile is taken, and stays, whether our own fetch succeeds or not", async () => {
  await installPlatform(PINNED);
  const fetched = join(root, "stand-in");
  await installNodeLlamaCpp(PINNED, fetched);
  const there = join(root, "build", "tools", "node_modules");
  const other = `/bin/mkdir -p ${there}; /bin/cp -r ${fetched} ${there}/node-llama-cpp; echo other > ${there}/whose`;
  for (const end of [`/bin/mkdir node_modules; /bin/cp -r ${fetched} node_modules/node-llama-cpp`, NOT_THERE]) {
    await rm(join(root, "build"), { recursive: true, force: true });
    const { stderr } = build({ PATH: await pathWith(TOOLS, `${other}\n${end}`) });
    expect(stderr).toMatch("gitRelease.bundle is missing; reinstall node-llama-cpp"); // the next step
    expect([await readFile(join(there, "whose"), "utf8"), await readdir(join(root, "build"))]).toEqual(["other\n", ["tools"]]);
  }
});

test("Ctrl-C ends a fetch, and leaves nothing behind", async () => {
  const { status, stderr } = build({ PATH: await pathWith(TOOLS, "kill -INT $PPID; kill -INT $$; exit 0") });
  expect([status, stderr]).toEqual([1, expect.stringMatching(/could not be fetched: npm was stopped by SIGINT\n/)]);
  expect(await readdir(join(root, "build", "backends"))).toEqual([]);
});

test("a package that cannot be written to is one message", async () => {
  await writeFile(join(root, "build"), "not a folder");
  const { status, stderr } = build({ PATH: await pathWith(TOOLS) });
  expect([status, stderr.split("\n")[1]]).toEqual([1, expect.stringMatching(/^llama-steer: @node-llama-cpp\/\S+ could not be fetched: E(EXIST|NOTDIR)/)]);
  expect(stderr).not.toContain("    at ");
});

const BY_NPM = { npm_lifecycle_event: "install", npm_config_user_agent: "npm/11.19.1 node/v20.20.2" };

test("a build with options that fails names a command with the same ones", async () => {
  const PATH = await pathWith(TOOLS, NOT_THERE);
  const script = `node "${join(root, "native", "build.mjs")}"`;
  expect(build({ PATH }, "--rpc").stderr).toMatch(new RegExp(`could not be fetched: 404 .*\\. To try again, run: ${script} --rpc\n$`));
  expect(build({ PATH }, "--debug").stderr).toMatch(new RegExp(`LLAMA_STEER_FROM_SOURCE=1 ${script} --debug\n$`));
  for (const options of [["--rcp"], ["--rpc", "--debug"]]) expect(build({ PATH }, ...options)).toEqual({
    status: 1, stderr: expect.stringContaining(`does not know ${options.join(" ")}; expected one of --debug, `),
  });
});

test("a build that fails names a command that repeats it: npm has removed the package, others have not", async () => {
  const PATH = await pathWith(TOOLS, NOT_THERE);
  const advice = (env: NodeJS.ProcessEnv): string => /LLAMA_STEER_FROM_SOURCE=1 (.*)\n$/.exec(build({ PATH, ...env }).stderr)![1]!;
  const script = `node "${join(root, "native", "build.mjs")}"`;
  expect(advice(BY_NPM)).toBe("npm install llama-steer");
  expect(advice({ ...BY_NPM, npm_config_global: "true" })).toBe("npm install --global llama-steer");
  expect(advice({ ...BY_NPM, npm_config_user_agent: "pnpm/12.21.0 npm/? node/v20.20.2" })).toBe(script);
  expect(advice({})).toBe(script);
  const inBun = "Object.defineProperty(process, 'versions', { value: { ...process.versions, bun: '1.4.5' } })";
  expect(advice({ NODE_OPTIONS: `--import=${encodeURI(`data:text/javascript,${inBun}`)}` })).toBe(`${script} (needs Node and npm)`);
  await writeFile(join(root, "tsconfig.json"), "{}");
  expect(advice(BY_NPM)).toBe("npm install");
  await rm(join(root, "commands", "npm"));
  expect(build({ PATH }).stderr).toMatch(/could not be fetched: npm not found; it comes with Node\n/);
});

/** Node says of which glibc it is; on musl it says nothing. */
const MUSL = { NODE_OPTIONS: `--import=${encodeURI("data:text/javascript,process.report.getReport = () => ({ header: {} })")}` };
const onLinux = process.platform === "linux" ? test : test.skip;

onLinux("on musl the prebuilt libraries do not run: the message says what does", async () => {
  await installNodeLlamaCpp(PINNED);
  const advice = "glibc.*musl.*node:22-bookworm-slim.*apk add build-base cmake git linux-headers.*LLAMA_STEER_FROM_SOURCE=1";
  const installed = build({ ...MUSL, ...BY_NPM });
  expect(installed).toEqual({ status: 1, stderr: expect.stringMatching(new RegExp(`^llama-steer: .*${advice} npm install llama-steer\n$`)) });
  const byHand = build(MUSL);
  expect(byHand).toEqual({ status: 1, stderr: expect.stringMatching(new RegExp(`${advice} node ".*/native/build\\.mjs"\n$`)) });
  expect(installed.stderr + byHand.stderr).not.toContain("fetch");
});

onLinux("on musl a build from source names Alpine's packages", async () => {
  await installNodeLlamaCpp(PINNED);
  const { stderr } = build({ ...MUSL, LLAMA_STEER_FROM_SOURCE: "1", PATH: await pathWith(["git"]) });
  expect(stderr).toMatch(/^llama-steer: cmake not found; .*Alpine: apk add build-base cmake git linux-headers\n$/);
});

onLinux("the library says the same where it is loaded on musl", async () => {
  const index = join(REPOSITORY, "dist", "lib", "native", "index.js");
  const load = `import(${JSON.stringify(index)}).then(({ addon }) => addon().devices()).catch(({ code, message }) => console.log(code, message))`;
  const broken = `import Module from "node:module"; const load = Module._extensions[".node"]; Module._extensions[".node"] = () => { throw new Error("Error relocating: symbol not found"); };`;
  const { stdout } = spawnSync(
    process.execPath, ["--input-type=module", "-e", `${broken} await ${load}`], { encoding: "utf8", env: { ...process.env, ...MUSL } },
  );
  expect(stdout).toMatch(/^E_NATIVE the addon cannot be loaded: Error relocating.*musl.*LLAMA_STEER_FROM_SOURCE=1/);
});

test("CMake gets the compiler that was found, and as many jobs as there are processors or its variable says", async () => {
  await installNodeLlamaCpp(PINNED);
  for (const name of ["cmake-js", "node-addon-api"]) {
    const folder = join(root, "node_modules", name);
    await mkdir(join(folder, "bin"), { recursive: true });
    await writeFile(join(folder, "package.json"), "{}");
    await writeFile(join(folder, "bin", name), "console.error(process.argv.join(' ')); process.exit(1)");
  }
  await mkdir(join(root, "build", "llama.cpp-v0.5.0-source"), { recursive: true });
  const asked = async (env: NodeJS.ProcessEnv, tools = TOOLS): Promise<string> => / --parallel .*/.exec(build({
    PATH: await pathWith(tools), LLAMA_STEER_FROM_SOURCE: "1", CC: undefined, CMAKE_BUILD_PARALLEL_LEVEL: undefined, ...env,
  }).stderr)![0];
  expect(await asked({}, ["git", "cmake", "g++"])).toMatch(new RegExp(`^ --parallel ${availableParallelism()} --CD`));
  expect(await asked({ CMAKE_BUILD_PARALLEL_LEVEL: "3" }, ["git", "cmake", "clang++"])).toMatch(/^ --parallel 3 --CD/);
  expect(await asked({ CMAKE_BUILD_PARALLEL_LEVEL: "" })).toMatch(/^ --parallel \d+ --cc cc --cxx c\+\+ --CD/);
  expect(await asked({ CC: "/x/zig-cc", CXX: "/x/zig-c++" })).toMatch(" --cc /x/zig-cc --cxx /x/zig-c++ --CD");
});

test("a part of a bundle says that it cannot find its addon, and what to keep external", async () => {
  const lone = join(root, "bundle");
  await cp(join(REPOSITORY, "dist", "lib"), join(lone, "dist", "lib"), { recursive: true });
  await cp(join(REPOSITORY, "native"), join(lone, "native"), { recursive: true });
  await writeFile(join(lone, "package.json"), JSON.stringify({ type: "module", imports: { "#native/prebuilt": "./native/prebuilt.mjs" } }));
  const load = `import(${JSON.stringify(join(
    lone, "dist", "lib", "native", "index.js",
  ))}).then(({ addon }) => addon()).catch(({ code, message }) => console.log(code, message))`;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", `await ${load}`], { encoding: "utf8" });
  expect(stdout).toMatch(/^E_NATIVE .*bundle.*external.*docs\/bundlers\.md/);
});

test.each([
  ["git", ["cmake", "c++"], /^llama-steer: git not found; building the addon needs it\. Install it with/],
  ["cmake", ["git", "c++"], /^llama-steer: cmake not found; building the addon needs it\. Install it with/],
  ["a compiler", ["git", "cmake"], /^llama-steer: no C\+\+ compiler found; building the addon needs one\. Install it with/],
])("%s is missing", async (_, present, message) => {
  await installNodeLlamaCpp(PINNED);
  await installPlatform(PINNED);
  const { status, stderr } = build({ PATH: await pathWith(present) });
  expect(status).toBe(1);
  expect(stderr).toMatch(message);
});

test.each([
  ["/opt/app/resources/app.asar/node_modules/llama-steer", "/opt/app/resources/app.asar.unpacked/node_modules/llama-steer"],
  ["C:\\app\\resources\\app.asar\\node_modules\\x", "C:\\app\\resources\\app.asar.unpacked\\node_modules\\x"],
  ["/opt/app/resources/app.asar.unpacked/node_modules/x", "/opt/app/resources/app.asar.unpacked/node_modules/x"],
  ["/home/me/my-app.asar/x", "/home/me/my-app.asar/x"],
])("files in an Electron archive are looked for where its packagers put real ones: %s", (path, expected) => {
  expect(unpacked(path)).toBe(expected);
});

test("only npm is given to a shell, only under Windows, and nothing that needs quotes", async () => {
  const { spawnArguments } = await import(join(REPOSITORY, "native", "spawn.mjs")) as {
    spawnArguments(command: string, args: string[], platform: string): unknown[]
  };
  const node = "C:\\Program Files\\nodejs\\node.exe";
  const build = "C:\\My Files\\native\\build.mjs";
  expect(spawnArguments(node, [build], "win32")).toEqual([node, [build], { shell: false }]);
  expect(spawnArguments("cmake", ["-E", "tar", "xzf", build], "win32")).toEqual(["cmake", ["-E", "tar", "xzf", build], { shell: false }]);
  const pack = ["pack", "--json", "--pack-destination", ".", "@node-llama-cpp/win-x64-cuda@3.22.1"];
  expect(spawnArguments("npm", pack, "win32")).toEqual(["npm", pack, { shell: true }]);
  expect(spawnArguments("npm", [build], "linux")).toEqual(["npm", [build], { shell: false }]);
  for (const unsafe of [build, "a b", "a&b", "%PATH%", ""]) expect(() => spawnArguments("npm", [unsafe], "win32")).toThrow(
    /a shell would split it/,
  );
});
