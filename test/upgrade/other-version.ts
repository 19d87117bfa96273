import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot, platformName } from "#native/prebuilt";
import { outputOf } from "./processes.js";

/** A copy of this package that has another node-llama-cpp. */
export interface OtherVersion {
  root: string;
  version: string;
  /** llama.cpp's, e.g. `v0.5.0`. */
  release: string;
  nodeLlamaCpp: string;
  /** Folder of the prebuilt libraries; undefined where npm has none for this platform. */
  libraries: string | undefined;
}

/** Of our node_modules: what the copy has its own of. */
const REPLACED = /^(node-llama-cpp|@node-llama-cpp|\..*)$/;
/** Of our package: what neither a build nor the tests read. */
const LEFT_OUT = new Set(["node_modules", "build", "runs", "coverage", ".git"]);

/** Fetch another version, with the prebuilt libraries that it names for this platform, and copy this package around it into `folder`. */
export async function installOther(wanted: string, folder: string, signal: AbortSignal): Promise<OtherVersion> {
  const root = join(folder, "package");
  const modules = join(root, "node_modules");
  mkdirSync(join(modules, "@node-llama-cpp"), { recursive: true });
  const nodeLlamaCpp = join(modules, "node-llama-cpp");
  await fetchPackage(`node-llama-cpp@${wanted}`, nodeLlamaCpp, folder, signal);
  const { version, optionalDependencies = {} } = readJson(join(nodeLlamaCpp, "package.json"));
  const { release } = readJson(join(nodeLlamaCpp, "llama", "binariesGithubRelease.json"));
  const platform = `@node-llama-cpp/${platformName()}`;
  const prebuilt = optionalDependencies[platform];
  if (prebuilt) await fetchPackage(`${platform}@${prebuilt}`, join(modules, platform), folder, signal);
  const libraries = join(modules, platform, "bins", platformName());
  for (const name of readdirSync(packageRoot)) {
    if (!LEFT_OUT.has(name)) cpSync(join(packageRoot, name), join(root, name), { recursive: true });
  }
  for (const name of readdirSync(join(packageRoot, "node_modules"))) {
    if (!REPLACED.test(name)) symlinkSync(join(packageRoot, "node_modules", name), join(modules, name));
  }
  const own = readJson(join(root, "package.json"));
  for (const kind of ["devDependencies", "optionalDependencies"]) {
    for (const name of Object.keys(own[kind])) if (REPLACED.test(name.split("/")[0]!)) own[kind][name] = version;
  }
  writeFileSync(join(root, "package.json"), JSON.stringify(own));
  // What it asserts is reported by itself, and is not to keep the rest from being compared.
  writeFileSync(join(root, "native", "engine", "llama_abi.h"), "#pragma once\n");
  return { root, version, release, nodeLlamaCpp, libraries: prebuilt && existsSync(libraries) ? libraries : undefined };
}

/**
 * For functions that a llama.cpp lacks, a header with ones that end the process, or do what `body` says: the rest can then be compiled, and
 * compared.
 *
 * @returns its path
 */
export function writeStandIns(folder: string, declarations: readonly string[], body = "std::abort();"): string {
  const path = join(folder, "stand-ins.h");
  const headers = ["gguf.h", "llama.h", "cstdlib"].map((header) => `#include <${header}>`);
  const functions = declarations.map((declaration) => `static inline ${declaration.replace(/^\w+_API /, "")} { ${body} }`);
  // CMake tries the compiler with the same options, but without llama.cpp's headers.
  writeFileSync(path, ["#pragma once", "#if __has_include(<llama.h>)", ...headers, ...functions, "#endif", ""].join("\n"));
  return path;
}

/** One package without its dependencies. */
async function fetchPackage(specifier: string, target: string, folder: string, signal: AbortSignal): Promise<void> {
  const archives = join(folder, "archives");
  mkdirSync(archives);
  await outputOf("npm", ["pack", "--loglevel=error", "--pack-destination", archives, specifier], { cwd: folder, signal });
  await outputOf("cmake", ["-E", "tar", "xzf", ...readdirSync(archives)], { cwd: archives, signal });
  renameSync(join(archives, "package"), target);
  rmSync(archives, { recursive: true });
}

/** The headers of the llama.cpp that a node-llama-cpp bundles, in `folder`. */
export async function extractHeaders(nodeLlamaCpp: string, folder: string, signal: AbortSignal): Promise<string> {
  const [bare, archive, target] = ["git", "archive.tar", "headers"].map((name) => join(folder, name)) as [string, string, string];
  mkdirSync(target, { recursive: true });
  await outputOf("git", ["clone", "--quiet", "--bare", join(nodeLlamaCpp, "llama", "gitRelease.bundle"), bare], { signal });
  // Old ones lack some.
  const wanted = ["include", "ggml/include", "src/llama-ext.h"];
  const paths = (await outputOf("git", ["-C", bare, "ls-tree", "--name-only", "HEAD", ...wanted], { signal })).trim().split("\n");
  await outputOf("git", ["-C", bare, "archive", "--output", archive, "HEAD", ...paths], { signal });
  await outputOf("cmake", ["-E", "tar", "xf", archive], { cwd: target, signal });
  rmSync(bare, { recursive: true });
  return target;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any
function readJson(path: string): any {
  return JSON.parse(readFileSync(path, "utf8"));
}
