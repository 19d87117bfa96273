// Builds the addon. Runs at install time where no prebuilt addon fits (install.mjs), and before any TypeScript is compiled: it only
// uses Node.
//
//   node native/build.mjs              build the addon in build/addon
//   node native/build.mjs --debug      the addon with assertions, in build/debug
//   node native/build.mjs --sanitize   the addon with AddressSanitizer and UndefinedBehaviorSanitizer, in build/sanitized
//   node native/build.mjs --bench      the benchmark's programs, in build/bench
//   node native/build.mjs --unit       the engine's own tests, in build/unit
//   node native/build.mjs --rpc        llama.cpp's RPC back end, in build/rpc
//   LLAMA_STEER_FROM_SOURCE=1            build llama.cpp from node-llama-cpp's bundle instead of linking its prebuilt libraries
//   LLAMA_STEER_CMAKE_OPTION_<NAME>=...  passed to CMake as -D<NAME>=..., e.g. LLAMA_STEER_CMAKE_OPTION_GGML_CUDA=ON
import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { requireLibraries, requireNodeLlamaCpp } from "./fetch.mjs";
import { gpuRefusalFromSource, installGpuBackends } from "./gpu.mjs";
import { extractLlamaCpp } from "./llama-cpp.mjs";
import { lacksGlibc, packageRoot as root, platformName, prebuiltAdvice, repeatCommand, scriptCommand } from "./prebuilt.mjs";
import { writeRpcSource } from "./rpc-source.mjs";
import { BuildError, howToInstall, run } from "./spawn.mjs";

const BUILDS = {
  "--debug": { folder: "debug", debug: true },
  "--sanitize": { folder: "sanitized", debug: true, definitions: { LLAMA_STEER_SANITIZE: "ON" } },
  "--bench": { folder: "bench", target: "bench", definitions: { LLAMA_STEER_BENCH: "ON" } },
  "--unit": { folder: "unit", debug: true, target: "engine-tests", definitions: { LLAMA_STEER_UNIT: "ON" } },
  "--rpc": { folder: "rpc", target: "ggml-rpc", definitions: { LLAMA_STEER_RPC: "ON" }, parts: "rpc" },
};

function checkTools() {
  for (const tool of ["git", "cmake"]) run(tool, ["--version"], "building the addon");
  if (process.platform === "win32") return undefined;
  const compiler = process.env.CXX ?? ["c++", "g++", "clang++"].find((name) => !spawnSync(name, ["--version"]).error);
  if (!compiler) throw new BuildError(`no C++ compiler found; building the addon needs one. ${howToInstall()}`);
  return compiler;
}

/** Path of AddressSanitizer's library, which Node has to preload because it is built without it. */
function sanitizerLibrary(compiler) {
  const needs = "the sanitised build needs GCC on a Linux with glibc, and GCC's sanitisers (Fedora: packages libasan and libubsan-static)";
  const ask = (option) => spawnSync(`${compiler} ${option}`, { encoding: "utf8", shell: true }).stdout.trim();
  if (!compiler || /clang/i.test(ask("--version"))) {
    throw new BuildError(`${needs}; found ${compiler ?? "Windows"}. If GCC is installed, set CXX=g++`);
  }
  const [asan] = ["libasan.so", "libubsan.a"].map((name) => {
    const path = ask(`-print-file-name=${name}`);
    if (!isAbsolute(path)) throw new BuildError(`${compiler} has no ${name}; ${needs}`);
    return path;
  });
  return asan;
}

function compile(cmakeJs, compiler, definitions, { folder, debug, target }) {
  const out = join(root, "build", folder);
  // CMake's cache contains the path of its source folder: a copied cache would build the sources of the original.
  const cache = join(out, "CMakeCache.txt");
  const home = `CMAKE_HOME_DIRECTORY:INTERNAL=${root.replaceAll("\\", "/")}\n`;
  if (existsSync(cache) && !readFileSync(cache, "utf8").includes(home)) rmSync(out, { recursive: true });
  const options = [...(debug ? ["--debug"] : []), ...(target ? ["--target", target] : [])];
  // cmake-js looks only for these two, and CMake also takes others.
  const isKnown = !compiler || ["g++", "clang++"].some((name) => !spawnSync(name, ["--version"]).error);
  if (!isKnown) options.push("--cc", process.env.CC ?? "cc", "--cxx", compiler);
  const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL || `${availableParallelism()}`;
  const args = [cmakeJs, "compile", "--out", out, "--parallel", jobs, ...options];
  for (const [name, value] of Object.entries(definitions)) args.push(`--CD${name}=${value}`);
  run(process.execPath, args, "compiling the addon", { cwd: root });
  return out;
}

function cmakeOptions() {
  const prefix = "LLAMA_STEER_CMAKE_OPTION_";
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith(prefix))
    .map(([name, value]) => [name.slice(prefix.length), value]));
}

function main() {
  const options = process.argv.slice(2);
  const build = options.length === 0 ? { folder: "addon" } : new Map(Object.entries(BUILDS)).get(options.join(" "));
  if (!build) throw new BuildError(`build.mjs does not know ${options.join(" ")}; expected one of ${Object.keys(BUILDS).join(", ")}, or nothing`);
  // The Windows packages contain no import libraries to link with.
  const fromSource = process.platform === "win32" || /^(1|true|yes)$/i.test(process.env.LLAMA_STEER_FROM_SOURCE ?? "");
  const again = repeatCommand("build.mjs", ...options);
  if (build.parts === "rpc" && lacksGlibc()) {
    throw new BuildError("llama.cpp's RPC back end is a plug-in of the prebuilt libraries, which need glibc");
  }
  if (!fromSource && lacksGlibc()) throw new BuildError(prebuiltAdvice(again));
  const refusal = fromSource && build.target === undefined ? gpuRefusalFromSource() : undefined;
  if (refusal !== undefined) throw new BuildError(refusal);
  const compiler = checkTools();
  const bins = fromSource ? "" : libraries(build, again);
  const { folder, version, release } = requireNodeLlamaCpp();
  const toolFolder = (name) => dirname(createRequire(join(folder, "package.json")).resolve(`${name}/package.json`));
  const preload = build.folder === "sanitized" ? sanitizerLibrary(compiler) : undefined;
  const source = extractLlamaCpp(folder, release, fromSource ? "source" : build.parts ?? "headers");
  if (build.parts === "rpc") writeRpcSource(join(source, "ggml", "src", "ggml-rpc"));
  const out = compile(join(toolFolder("cmake-js"), "bin", "cmake-js"), compiler, {
    LLAMA_CPP_DIR: source,
    LLAMA_BINS_DIR: bins,
    LLAMA_RELEASE: release,
    NODE_ADDON_API_DIR: toolFolder("node-addon-api"),
    ...build.definitions,
    ...cmakeOptions(),
  }, build);
  const partial = join(out, `.built-${randomUUID()}.json`);
  const built = { nodeLlamaCpp: version, llamaCpp: release, fromSource, preload };
  writeFileSync(partial, `${JSON.stringify(built, null, 2)}\n`, { flag: "wx" });
  renameSync(partial, join(out, "built.json"));
  if (!fromSource && build.target === undefined) installGpuBackends(scriptCommand("build.mjs"));
}

function libraries({ parts }, again) {
  try {
    return requireLibraries(platformName());
  } catch (error) {
    if (parts === "rpc") throw new BuildError(`${error.message}. To try again, run: ${again}`);
    throw new BuildError(`${error.message}\nOr build llama.cpp from source: LLAMA_STEER_FROM_SOURCE=1 ${again}`);
  }
}

try {
  main();
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(`llama-steer: ${error.message}`);
  process.exitCode = 1;
}
