// Builds the addons that the published package contains, for other platforms than this one too. A maintainer runs it before `npm publish`.
//   node native/prebuild.mjs PLATFORM...   e.g. linux-arm64; or all
//   node native/prebuild.mjs --check       fails if an addon is missing or was built from other sources
//   node native/prebuild.mjs --symbols PLATFORM...   only checks that everything these addons take from elsewhere is exported there
// Needs CMake, Ninja, git, zig (Python package ziglang: set ZIG, or PYTHON), for Linux g++ of each processor, and llvm-nm (llvm).
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { PLATFORMS } from "./cross/platforms.mjs";
import { checkSymbols } from "./cross/symbols.mjs";
import { requireLibraries, requireNodeLlamaCpp } from "./fetch.mjs";
import { extractLlamaCpp } from "./llama-cpp.mjs";
import { hashOf, NODE_API, packageRoot as root, pinnedVersion, prebuiltManifest, prebuiltsFolder } from "./prebuilt.mjs";

const require = createRequire(join(root, "package.json"));

function run(command, args, options = {}) {
  const { error, status } = spawnSync(command, args, { stdio: ["ignore", 2, 2], ...options });
  if (error) throw new Error(`${command}: ${error.message}`);
  if (status !== 0) throw new Error(`${basename(command)} ${args[0]} failed; see the messages above`);
}

function findZig() {
  if (process.env.ZIG) return process.env.ZIG;
  const where = "import os, ziglang; print(os.path.join(os.path.dirname(ziglang.__file__), 'zig'))";
  const { status, stdout } = spawnSync(process.env.PYTHON ?? "python3", ["-c", where], { encoding: "utf8" });
  if (status !== 0) throw new Error("zig not found. Run: pip install ziglang, or name it: ZIG=PATH");
  return stdout.trim();
}

/** SHA-256 of all that an addon is compiled from, apart from llama.cpp. */
export function sourcesHash() {
  const sources = ["native", "native/engine"].flatMap((folder) => readdirSync(join(root, folder))
    .filter((name) => /\.(cc|h)$/.test(name)).sort().map((name) => `${folder}/${name}`));
  const hash = createHash("sha256");
  for (const path of ["CMakeLists.txt", ...sources]) hash.update(`${path}\n`).update(readFileSync(join(root, path)));
  return hash.digest("hex");
}

/** Builds one platform's addon, checks it, and puts it into the folder with its line in the manifest. */
function build(name, zig, { folder: nodeLlamaCpp, version, release }) {
  const started = Date.now();
  const bins = requireLibraries(name, version);
  const folder = join(root, "build", "cross", name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const { system, processor, target, cxx, definitions, bins: linked = bins } = PLATFORMS[name]({ zig, bins, folder });
  const all = {
    CMAKE_BUILD_TYPE: "Release",
    CMAKE_SYSTEM_NAME: system,
    CMAKE_SYSTEM_PROCESSOR: processor,
    CMAKE_C_COMPILER: [zig, "cc", "-target", target].join(";"),
    CMAKE_CXX_COMPILER: [zig, cxx, "-target", target].join(";"),
    CMAKE_JS_INC: require("node-api-headers").include_dir,
    NODE_ADDON_API_DIR: dirname(require.resolve("node-addon-api/package.json")),
    LLAMA_CPP_DIR: extractLlamaCpp(nodeLlamaCpp, release, "headers"),
    LLAMA_BINS_DIR: linked,
    LLAMA_RELEASE: release,
    ...definitions,
  };
  run("cmake", ["-S", root, "-B", folder, "-G", "Ninja", ...Object.entries(all).map(([key, value]) => `-D${key}=${value}`)]);
  run("cmake", ["--build", folder, "--target", "llama-steer"]);
  const built = join(folder, "llama-steer.node");
  const { glibc } = checkSymbols(name, built, bins, zig);
  const bytes = readFileSync(built);
  if (bytes.includes(folder)) throw new Error(`${name}: the addon contains the path of the folder that it was built in`);
  mkdirSync(join(prebuiltsFolder, name), { recursive: true });
  copyFileSync(built, join(prebuiltsFolder, name, "llama-steer.node"));
  record(name, { sha256: hashOf(bytes), size: bytes.length, ...(glibc && { glibc }), sources: sourcesHash() }, { version, release });
  console.error(`> ${name}: ${Math.round(bytes.length / 1000)} kB in ${Math.round((Date.now() - started) / 1000)} s`);
}

function record(name, addon, { version, release }) {
  const old = prebuiltManifest();
  const addons = old?.nodeLlamaCpp === version ? old.addons : {};
  const manifest = { nodeLlamaCpp: version, llamaCpp: release, nodeApi: NODE_API, addons: { ...addons, [name]: addon } };
  const partial = mkdtempSync(join(prebuiltsFolder, ".partial-"));
  writeFileSync(join(partial, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  renameSync(join(partial, "manifest.json"), join(prebuiltsFolder, "manifest.json"));
  rmSync(partial, { recursive: true });
}

/** What keeps the addons from being published, one line each. */
function faults() {
  const manifest = prebuiltManifest();
  const version = pinnedVersion();
  if (manifest?.nodeLlamaCpp !== version) return [`no addons for node-llama-cpp ${version}`];
  const sources = sourcesHash();
  return Object.keys(PLATFORMS).flatMap((name) => {
    const addon = manifest.addons[name];
    const path = join(prebuiltsFolder, name, "llama-steer.node");
    if (!addon || !existsSync(path)) return [`${name} is missing`];
    if (addon.sources !== sources) return [`${name} was built from other sources`];
    return addon.sha256 === hashOf(readFileSync(path)) ? [] : [`${name} is not the file that was built`];
  });
}

function reportSymbols(name, zig, { version }) {
  const { imported, glibc } = checkSymbols(name, join(prebuiltsFolder, name, "llama-steer.node"), requireLibraries(name, version), zig);
  console.log(`${name}: ${imported} functions of llama.cpp; everything is exported${glibc ? `; needs glibc ${glibc}, as the libraries do` : ""}`);
}

function main() {
  const options = { check: { type: "boolean" }, symbols: { type: "boolean" } };
  const { values: { check, symbols }, positionals } = parseArgs({ allowPositionals: true, options });
  const names = positionals.includes("all") ? Object.keys(PLATFORMS) : positionals;
  const unknown = names.filter((name) => !(name in PLATFORMS));
  if (unknown.length > 0 || (names.length === 0 && !check)) {
    throw new Error(`${unknown[0] ? `unknown platform ${unknown[0]}; ` : ""}expected ${Object.keys(PLATFORMS).join(", ")} or all`);
  }
  const zig = names.length > 0 ? findZig() : "";
  for (const name of names) (symbols ? reportSymbols : build)(name, zig, requireNodeLlamaCpp());
  const found = check ? faults() : [];
  if (found.length > 0) throw new Error(`the prebuilt addons are not complete: ${found.join("; ")}. Run: npm run prebuilt -- all`);
}

try {
  main();
} catch (error) {
  console.error(`llama-steer: ${error.message}`);
  process.exitCode = 1;
}
