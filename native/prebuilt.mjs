// Finds what is prebuilt for this platform: node-llama-cpp's libraries, and our addon for them. Shared by the build and lib/native.
import { createHash } from "node:crypto";
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
  return process.platform === "linux" && glibcVersion() === undefined;
}

let report;

function glibcVersion() {
  process.report.excludeNetwork = true; // otherwise the report resolves the host names of all peers
  report ??= process.report.getReport(); // takes milliseconds
  return report.header.glibcVersionRuntime;
}

/** Installs what a build from source needs on Alpine. */
export const APK = "apk add build-base cmake git linux-headers";

/** What to do if the prebuilt libraries are missing or cannot be loaded. `build`: the command that builds the addon. */
export function prebuiltAdvice(build) {
  if (!lacksGlibc()) return "Optional packages may have been left out. Run: npm install --include=optional";
  return "llama.cpp's prebuilt libraries and the addon for them need glibc, and this Linux has another C library (Alpine has musl). Use a "
    + "system with glibc, for example the image node:22-bookworm-slim, or build llama.cpp from source, which takes minutes and needs a C++ "
    + `compiler, CMake, git and the kernel's headers (Alpine: ${APK}). Run: LLAMA_STEER_FROM_SOURCE=1 ${build}`;
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

/** Version of Node-API that the addon is written for. */
export const NODE_API = 9;
/** Folder of the prebuilt addons, which native/prebuild.mjs makes and the published package contains. */
export const prebuiltsFolder = join(packageRoot, "build", "prebuilt");

/** What the prebuilt addons were built for, and their SHA-256 by platform; undefined if there are none, as in a clone. */
export function prebuiltManifest() {
  const path = join(prebuiltsFolder, "manifest.json");
  return existsSync(path) ? readJson(path) : undefined;
}

/**
 * The prebuilt addon for this platform, after its SHA-256 was compared with the manifest's: `{ path, nodeLlamaCpp, llamaCpp }`. If none
 * fits, `{ refusal }` says why.
 */
export function prebuiltAddon() {
  const manifest = prebuiltManifest();
  if (!manifest) return { refusal: "this package has no prebuilt addons" };
  const { nodeLlamaCpp, llamaCpp, nodeApi } = manifest;
  const addon = manifest.addons[platformName()];
  const installed = findNodeLlamaCpp()?.version;
  const path = join(prebuiltsFolder, platformName(), "llama-steer.node");
  if (!addon) return { refusal: `there is no prebuilt addon for ${platformName()}` };
  if (lacksGlibc()) return { refusal: "the prebuilt addon needs glibc, and this Linux has another C library (Alpine has musl)" };
  if (process.platform === "linux" && compareVersions(glibcVersion(), addon.glibc) < 0) {
    return { refusal: `the prebuilt addon needs glibc ${addon.glibc}, and this system has ${glibcVersion()}` };
  }
  if (Number(process.versions.napi) < nodeApi) {
    return { refusal: `the prebuilt addon needs Node-API ${nodeApi}, and this Node has ${process.versions.napi}` };
  }
  if (installed !== nodeLlamaCpp) {
    return { refusal: `the prebuilt addon is for node-llama-cpp ${nodeLlamaCpp}, and ${installed ?? "none"} is installed` };
  }
  if (!existsSync(path)) return { refusal: `the prebuilt addon is missing (${path})` };
  if (hashOf(readFileSync(path)) !== addon.sha256) return { refusal: `the prebuilt addon is damaged: its SHA-256 is not the manifest's (${path})` };
  return { path, nodeLlamaCpp, llamaCpp };
}

/** The SHA-256 of bytes, in hexadecimal. */
export function hashOf(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Negative, zero or positive, as the first version, e.g. `2.36`, is older than, the same as or newer than the second. */
export function compareVersions(first, second) {
  const [a, b] = [first, second].map((version) => version.split(".").map(Number));
  const index = a.findIndex((number, place) => number !== (b[place] ?? 0));
  return index === -1 ? a.length - b.length : a[index] - (b[index] ?? 0);
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
