// Finds what is prebuilt for this platform: node-llama-cpp's libraries, and our addon for them. Shared by the build and lib/native.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The path of a file outside Electron's app.asar archive: neither the linker nor llama.cpp can read archives. */
export function unpacked(path) {
  return path.replace(/(?<=[\\/])app\.asar(?=[\\/])/, "app.asar.unpacked");
}

export const packageRoot = unpacked(dirname(dirname(fileURLToPath(import.meta.url))));

export const isClone = existsSync(join(packageRoot, "tsconfig.json"));

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
  if (!lacksGlibc()) return `Optional packages may have been left out. Run: ${scriptCommand("install.mjs")}`;
  return "llama.cpp's prebuilt libraries and the addon for them need glibc, and this Linux has another C library (Alpine has musl). Use a "
    + "system with glibc, for example the image node:22-bookworm-slim, or build llama.cpp from source, which takes minutes and needs a C++ "
    + `compiler, CMake, git and the kernel's headers (Alpine: ${APK}). Run: LLAMA_STEER_FROM_SOURCE=1 ${build}`;
}

/** The command that runs a script of native/, whatever installed the package. It needs Node, even if the application runs elsewhere. */
export function scriptCommand(script, ...args) {
  const command = [`node "${join(packageRoot, "native", script)}"`, ...args].join(" ");
  return process.versions.bun ?? process.versions.deno ? `${command} (needs Node and npm)` : command;
}

/** The command that repeats a script that failed. npm has then removed the package, if it was about to install it. */
export function repeatCommand(script, ...args) {
  const { npm_lifecycle_event: event, npm_config_user_agent: agent, npm_config_global: global } = process.env;
  if (event !== "install" || !agent?.startsWith("npm/")) return scriptCommand(script, ...args);
  if (isClone) return "npm install";
  return `npm install ${global === "true" ? "--global " : ""}llama-steer`;
}

/** The exact version that package.json pins, of node-llama-cpp and of its packages with llama.cpp's libraries. */
export function pinnedVersion() {
  return readJson(join(packageRoot, "package.json")).optionalDependencies["@node-llama-cpp/linux-x64"];
}

/** Where native/fetch.mjs puts libraries, and what a build needs, if npm has not installed them. */
export const backendsFolder = join(packageRoot, "build", "backends");
export const buildToolsFolder = join(packageRoot, "build", "tools");

/**
 * node-llama-cpp, which only builds need, in the pinned version: `{ folder, version, release }`, or undefined. It is installed in a clone,
 * and perhaps by the application.
 */
export function findNodeLlamaCpp() {
  const version = pinnedVersion();
  const folders = [installedPackage("node-llama-cpp"), join(buildToolsFolder, "node_modules", "node-llama-cpp")];
  const folder = folders.find((candidate) => candidate !== undefined && versionOf(candidate) === version);
  return folder && { folder, version, release: readJson(join(folder, "llama", "binariesGithubRelease.json")).release };
}

/**
 * Folder of the shared libraries in `@node-llama-cpp/<name>` of exactly `version`. The package is the one that npm installed, otherwise
 * the one that native/fetch.mjs put into build/backends. Undefined if neither is there.
 */
export function prebuiltFolder(name, version = pinnedVersion()) {
  const folders = [installedPackage(`@node-llama-cpp/${name}`), join(backendsFolder, name, "package")];
  const folder = folders.find((candidate) => candidate !== undefined && versionOf(candidate) === version);
  const bins = folder && join(folder, "bins", name.replace(/-ext$/, ""));
  return bins && existsSync(bins) ? bins : undefined;
}

/** `{ nodeLlamaCpp, llamaCpp, fromSource }` of the addon that native/build.mjs has built in `folder`; undefined if there is none. */
export function builtIn(folder) {
  const path = join(folder, "built.json");
  return existsSync(path) ? readJson(path) : undefined;
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
  const pinned = pinnedVersion();
  const path = join(prebuiltsFolder, platformName(), "llama-steer.node");
  if (!addon) return { refusal: `there is no prebuilt addon for ${platformName()}` };
  if (lacksGlibc()) return { refusal: "the prebuilt addon needs glibc, and this Linux has another C library (Alpine has musl)" };
  if (process.platform === "linux" && compareVersions(glibcVersion(), addon.glibc) < 0) {
    return { refusal: `the prebuilt addon needs glibc ${addon.glibc}, and this system has ${glibcVersion()}` };
  }
  if (Number(process.versions.napi) < nodeApi) {
    return { refusal: `the prebuilt addon needs Node-API ${nodeApi}, and this Node has ${process.versions.napi}` };
  }
  if (pinned !== nodeLlamaCpp) {
    return { refusal: `the prebuilt addon is for node-llama-cpp ${nodeLlamaCpp}, and package.json names ${pinned}` };
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

/** Folder of a package that llama-steer can resolve, wherever npm put it. */
function installedPackage(name) {
  try {
    return unpacked(dirname(dirname(fileURLToPath(import.meta.resolve(name))))); // it resolves to its dist/index.js
  } catch {
    return undefined;
  }
}

function versionOf(folder) {
  const path = join(folder, "package.json");
  return existsSync(path) ? readJson(path).version : undefined;
}

function readJson(path) {
  return JSON.parse(readFileSync(path, "utf8"));
}
