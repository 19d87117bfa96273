// Finds node-llama-cpp's prebuilt libraries for this platform. Shared by the build and lib/native.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The path of a file outside Electron's app.asar archive: neither the linker nor llama.cpp can read archives. */
export function unpacked(path) {
  return path.replace(/(?<=[\\/])app\.asar(?=[\\/])/, "app.asar.unpacked");
}

export const packageRoot = unpacked(dirname(dirname(fileURLToPath(import.meta.url))));

const OS_NAMES = { linux: "linux", darwin: "mac", win32: "win" };
const ARCH_NAMES = { x64: "x64", arm64: "arm64", arm: "armv7l", riscv64: "riscv64" };

/** Short name of this platform in node-llama-cpp's packages, e.g. `linux-x64`. */
export function platformName() {
  const base = `${OS_NAMES[process.platform] ?? process.platform}-${ARCH_NAMES[process.arch] ?? process.arch}`;
  return base === "mac-arm64" ? "mac-arm64-metal" : base;
}

/** True on a Linux without glibc, such as Alpine (musl), which cannot load llama.cpp's prebuilt libraries. */
export function lacksGlibc() {
  if (process.platform !== "linux") return false;
  process.report.excludeNetwork = true; // otherwise the report resolves the host names of all peers
  return process.report.getReport().header.glibcVersionRuntime === undefined;
}

/** What to do if the prebuilt libraries are missing or cannot be loaded. `build`: the command that builds the addon. */
export function prebuiltAdvice(build) {
  if (!lacksGlibc()) return "Optional packages may have been left out. Run: npm install --include=optional";
  return "llama.cpp's prebuilt libraries need glibc, and this Linux has another C library (Alpine has musl). Use a system with glibc, "
    + "for example the image node:22-bookworm-slim, or build llama.cpp from source, which takes minutes and needs a C++ compiler, CMake, "
    + `git and the kernel's headers (Alpine: apk add build-base cmake git linux-headers). Run: LLAMA_STEER_FROM_SOURCE=1 ${build}`;
}

/** The node-llama-cpp that llama-steer resolves: `{ folder, version, release }`, or undefined. */
export function findNodeLlamaCpp() {
  try {
    const folder = unpacked(dirname(dirname(fileURLToPath(import.meta.resolve("node-llama-cpp")))));
    const { version } = readJson(join(folder, "package.json"));
    const { release } = readJson(join(folder, "llama", "binariesGithubRelease.json"));
    return { folder, version, release };
  } catch {
    return undefined;
  }
}

/** The exact version of node-llama-cpp that package.json pins. */
export function pinnedVersion() {
  return readJson(join(packageRoot, "package.json")).dependencies["node-llama-cpp"];
}

/**
 * Folder of the shared libraries in `@node-llama-cpp/<name>` of exactly `version`. Resolves the package from node-llama-cpp's folder, so
 * that hoisting and pnpm's layout do not matter, otherwise in build/backends, where native/gpu.mjs puts it. Undefined if neither has it.
 */
export function prebuiltFolder(nodeLlamaCppFolder, name, version) {
  for (const folder of [installedPackage(nodeLlamaCppFolder, name), join(packageRoot, "build", "backends", name, "package")]) {
    if (folder === undefined || !existsSync(join(folder, "package.json"))) continue;
    if (readJson(join(folder, "package.json")).version !== version) continue;
    const bins = join(folder, "bins", name.replace(/-ext$/, ""));
    if (existsSync(bins)) return bins;
  }
  return undefined;
}

function installedPackage(nodeLlamaCppFolder, name) {
  try {
    const resolve = createRequire(join(nodeLlamaCppFolder, "package.json")).resolve;
    return unpacked(dirname(dirname(resolve(`@node-llama-cpp/${name}`))));
  } catch {
    return undefined;
  }
}

function readJson(path) {
  return JSON.parse(readFileSync(path, "utf8"));
}
