import { cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { beforeEach, expect, test } from "@jest/globals";
import { build, installNodeLlamaCpp, makePackage, NOT_THERE, pathWith, PINNED, root, TOOLS } from "../support/build-scripts.js";

beforeEach(makePackage);

const gpuTest = process.platform === "linux" && process.arch === "x64" ? test : test.skip;

gpuTest("the back end of a GPU is fetched into a folder whose path has a space", async () => {
  const spaced = join(root, "my files");
  await installNodeLlamaCpp(PINNED);
  for (const part of ["native", "node_modules", "package.json"]) await cp(join(root, part), join(spaced, part), { recursive: true });
  const bin = join(root, "bin");
  await mkdir(bin);
  // npm packs the archive into the folder it is told, relative to its own.
  const name = "linux-x64-vulkan";
  const npm = `#!/bin/sh\ntest "$5" = "@node-llama-cpp/${name}@${PINNED}" && mkdir -p package/bins/${name} && echo '{ "version": "${PINNED}" }' > package/package.json && tar czf "$4/x.tgz" package && rm -r package`;
  await writeFile(join(bin, "npm"), npm, { mode: 0o755 });
  const program = `import { installGpuBackends } from ${JSON.stringify(join(spaced, "native", "gpu.mjs"))}; installGpuBackends();`;
  const { stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    encoding: "utf8", env: { ...process.env, PATH: `${bin}:${process.env["PATH"]}`, LLAMA_STEER_GPU: "vulkan" },
  });
  expect(stderr).toBe(`llama-steer: fetching @node-llama-cpp/${name}@${PINNED} (llama.cpp's libraries)\n`);
  expect(await readdir(join(spaced, "build", "backends"))).toEqual([name]);
  expect(await readdir(join(spaced, "build", "backends", name))).toEqual(["package"]);
});

test("a back end that is not published for this platform, or that is none, fails the install if LLAMA_STEER_GPU asks for it", async () => {
  const url = JSON.stringify(join(root, "native", "gpu.mjs"));
  const PATH = await pathWith([], NOT_THERE);
  const ends = (platform: string, arch: string, LLAMA_STEER_GPU: string): unknown[] => {
    const program = `for (const [name, value] of [["platform", "${platform}"], ["arch", "${arch}"]]) Object.defineProperty(process, name, { value });
      const { installGpuBackends } = await import(${url}); installGpuBackends();`;
    const env = { ...process.env, PATH, LLAMA_STEER_GPU, npm_lifecycle_event: "install", npm_config_user_agent: "npm/11" };
    const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8", env });
    return [status, stderr];
  };
  const published = (platform: string, option: string): string => `this back end is not published for ${platform}. To build llama.cpp with it, `
    + `run: LLAMA_STEER_FROM_SOURCE=1 LLAMA_STEER_CMAKE_OPTION_${option}=ON npm install llama-steer. LLAMA_STEER_GPU=none installs without it\n`;
  expect(ends("linux", "arm64", "cuda")).toEqual([1, `llama-steer: LLAMA_STEER_GPU=cuda: ${published("linux-arm64", "GGML_CUDA")}`]);
  expect(ends("darwin", "x64", "vulkan")).toEqual([1, `llama-steer: LLAMA_STEER_GPU=vulkan: ${published("mac-x64", "GGML_VULKAN")}`]);
  for (const name of ["cuda12", "metal"]) expect(ends("linux", "x64", name)).toEqual(
    [1, `llama-steer: LLAMA_STEER_GPU=${name} names no back end; expected cuda, vulkan or none\n`],
  );
  for (const name of ["none", ""]) expect(ends("linux", "arm64", name)).toEqual([0, ""]);
  expect(ends("darwin", "arm64", "metal")).toEqual([0, ""]);
});

test("a build from source does not ignore LLAMA_STEER_GPU", async () => {
  const source = { PATH: await pathWith([...TOOLS], NOT_THERE), LLAMA_STEER_FROM_SOURCE: "1", LLAMA_STEER_GPU: "cuda" };
  const refusal = "set LLAMA_STEER_CMAKE_OPTION_GGML_CUDA=ON; LLAMA_STEER_GPU=none builds without it";
  expect(build(source)).toEqual({ status: 1, stderr: expect.stringContaining(refusal) });
  for (const more of [{ LLAMA_STEER_CMAKE_OPTION_GGML_CUDA: "ON" }, { LLAMA_STEER_GPU: "none" }]) {
    expect(build({ ...source, ...more }).stderr).toMatch(/node-llama-cpp@\S+ could not be fetched: 404/);
  }
});

gpuTest("a back end that cannot be fetched fails the install if LLAMA_STEER_GPU asks for it", async () => {
  const PATH = `${await pathWith([], `echo "$@" > ${root}/asked\n${NOT_THERE}`)}:${process.env["PATH"]}`;
  const asked = (): Promise<string> => readFile(join(root, "asked"), "utf8");
  const url = JSON.stringify(join(root, "native", "gpu.mjs"));
  const ends = (LLAMA_STEER_GPU: string): unknown[] => {
    const args = ["--input-type=module", "-e", `import { installGpuBackends } from ${url}; installGpuBackends("again");`];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", env: { ...process.env, PATH, LLAMA_STEER_GPU } });
    return [status, stderr.split("\n").slice(1, -1)];
  };
  expect(ends("cuda")).toEqual([1, [`llama-steer: @node-llama-cpp/linux-x64-cuda@${PINNED} could not be fetched: `
    + "404 No match found for version; LLAMA_STEER_GPU=cuda asks for it. LLAMA_STEER_GPU=none installs without it"]]);
  expect(await asked()).not.toContain("--fetch-retries");
  expect(ends("none")).toEqual([0, []]);
  await writeFile(join(root, "commands", "nvidia-smi"), "#!/bin/sh\n", { mode: 0o755 }); // a GPU is found, and nobody asked
  expect(ends("")).toEqual([0, [`llama-steer: @node-llama-cpp/linux-x64-cuda@${PINNED} could not be fetched: `
    + "404 No match found for version; using the CPU. To try again, run: again"]]);
  expect(await asked()).toContain("--fetch-retries=0");
});
