import { chmod, cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, expect, test } from "@jest/globals";
import { unpacked } from "#native/prebuilt";
import { temporaryFolder } from "../support/io-helpers.js";

const REPOSITORY = fileURLToPath(new URL("../../../", import.meta.url));
const PINNED = "3.22.1";
let root: string;

/** A package with the build scripts and a stand-in for node-llama-cpp, none of its platform packages. */
beforeEach(async () => {
  root = await temporaryFolder();
  for (const name of ["build.mjs", "gpu.mjs", "llama-cpp.mjs", "prebuilt.mjs", "rpc-source.mjs", "spawn.mjs"]) await cp(
    join(REPOSITORY, "native", name), join(root, "native", name),
  );
  await cp(join(REPOSITORY, "package.json"), join(root, "package.json"));
});

async function installNodeLlamaCpp(version: string): Promise<void> {
  const folder = join(root, "node_modules", "node-llama-cpp");
  for (const part of ["dist", "llama"]) await mkdir(join(folder, part), { recursive: true });
  await writeFile(join(folder, "package.json"), JSON.stringify({ name: "node-llama-cpp", version, main: "dist/index.js" }));
  await writeFile(join(folder, "dist", "index.js"), "");
  await writeFile(join(folder, "llama", "binariesGithubRelease.json"), JSON.stringify({ release: "v0.5.0" }));
}

async function installPlatform(version: string): Promise<void> {
  const { platformName } = await import(join(REPOSITORY, "native", "prebuilt.mjs")) as { platformName(): string };
  const folder = join(root, "node_modules", "@node-llama-cpp", platformName());
  await mkdir(join(folder, "dist"), { recursive: true });
  await mkdir(join(folder, "bins", platformName()), { recursive: true });
  await writeFile(
    join(folder, "package.json"), JSON.stringify({ name: `@node-llama-cpp/${platformName()}`, version, main: "dist/index.js" }),
  );
  await writeFile(join(folder, "dist", "index.js"), "");
}

/** A PATH on which only these commands are found, all of which succeed. */
async function pathWith(...commands: string[]): Promise<string> {
  const folder = join(root, "commands");
  await mkdir(folder);
  for (const command of commands) {
    await writeFile(join(folder, command), "#!/bin/sh\nexit 0\n");
    await chmod(join(folder, command), 0o755);
  }
  return folder;
}

function build(env: NodeJS.ProcessEnv = {}): { status: number | null; stderr: string } {
  const clean: NodeJS.ProcessEnv = { ...process.env, CXX: undefined, LLAMA_STEER_FROM_SOURCE: undefined, ...env };
  const { status, stderr } = spawnSync(process.execPath, [join(root, "native", "build.mjs")], { encoding: "utf8", env: clean });
  return { status, stderr };
}

test("node-llama-cpp is not installed", () => {
  expect(build()).toEqual({ status: 1, stderr: `llama-steer: node-llama-cpp@${PINNED} is not installed. Run: npm install\n` });
});

test("node-llama-cpp of another version", async () => {
  await installNodeLlamaCpp("3.22.0");
  const { status, stderr } = build();
  expect(status).toBe(1);
  expect(stderr).toBe(
    `llama-steer: node-llama-cpp 3.22.0 is installed, but llama-steer is built for exactly ${PINNED}. Run: npm install node-llama-cpp@${PINNED}\n`,
  );
});

test("the platform's package is missing, or of another version", async () => {
  await installNodeLlamaCpp(PINNED);
  const missing = build();
  expect(missing.status).toBe(1);
  expect(missing.stderr).toMatch(new RegExp(
    `^llama-steer: @node-llama-cpp/\\S+@${PINNED} \\(llama.cpp's prebuilt libraries\\) is not installed`,
  ));
  expect(missing.stderr).toContain("npm install --include=optional");
  expect(missing.stderr).toContain("LLAMA_STEER_FROM_SOURCE=1");
  await installPlatform("3.22.0");
  expect(build()).toEqual(missing);
});

/** Node says of which glibc it is; on musl it says nothing. */
const MUSL = { NODE_OPTIONS: `--import=${encodeURI("data:text/javascript,process.report.getReport = () => ({ header: {} })")}` };

const onLinux = process.platform === "linux" ? test : test.skip;

onLinux("on musl npm leaves the prebuilt libraries out, or they do not run: the message says what does", async () => {
  await installNodeLlamaCpp(PINNED);
  const advice = "glibc.*musl.*node:22-bookworm-slim.*apk add build-base cmake git linux-headers.*LLAMA_STEER_FROM_SOURCE=1";
  for (const install of [() => undefined, () => installPlatform(PINNED)]) {
    await install();
    const installed = build({ ...MUSL, npm_lifecycle_event: "install" });
    expect(installed).toEqual({ status: 1, stderr: expect.stringMatching(new RegExp(`^llama-steer: .*${advice} npm install\n$`)) });
    // npm installs nothing again that it has installed.
    const byHand = build({ ...MUSL, npm_lifecycle_event: undefined });
    expect(byHand).toEqual({ status: 1, stderr: expect.stringMatching(new RegExp(`${advice} node ".*/native/build\\.mjs"\n$`)) });
    expect(installed.stderr + byHand.stderr).not.toContain("--include=optional");
  }
});

onLinux("on musl a build from source names Alpine's packages", async () => {
  await installNodeLlamaCpp(PINNED);
  const { stderr } = build({ ...MUSL, LLAMA_STEER_FROM_SOURCE: "1", PATH: await pathWith("git") });
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
  const { status, stderr } = build({ PATH: await pathWith(...present) });
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

const gpuTest = process.platform === "linux" && process.arch === "x64" ? test : test.skip;

gpuTest("the back end of a GPU is fetched into a folder whose path has a space", async () => {
  const spaced = join(root, "my files");
  await installNodeLlamaCpp(PINNED);
  for (const part of ["native", "node_modules", "package.json"]) await cp(join(root, part), join(spaced, part), { recursive: true });
  const bin = join(root, "bin");
  await mkdir(bin);
  // npm packs an archive that holds one file into the folder it is told, relative to its own.
  const npm = `#!/bin/sh\ntest "$5" = "@node-llama-cpp/linux-x64-vulkan@${PINNED}" && mkdir package && echo "$5" > package/name && tar czf "$4/x.tgz" package`;
  await writeFile(join(bin, "npm"), npm, { mode: 0o755 });
  const program = `import { installGpuBackends } from ${JSON.stringify(join(spaced, "native", "gpu.mjs"))}; installGpuBackends();`;
  const { stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    encoding: "utf8", env: { ...process.env, PATH: `${bin}:${process.env["PATH"]}`, LLAMA_STEER_GPU: "vulkan" },
  });
  expect(stderr).not.toContain("could not fetch");
  expect(await readFile(join(spaced, "build", "backends", "linux-x64-vulkan", "package", "name"), "utf8")).toBe(
    `@node-llama-cpp/linux-x64-vulkan@${PINNED}\n`,
  );
  expect(await readdir(join(spaced, "build", "backends"))).toEqual(["linux-x64-vulkan"]);
});
