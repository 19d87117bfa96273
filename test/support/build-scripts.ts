// A package with the build scripts in a folder of its own, and commands that stand in for npm, git and compilers.
import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "./io-helpers.js";

export const REPOSITORY = fileURLToPath(new URL("../../../", import.meta.url));
export const PINNED = "3.22.1";
/** The folder of the package that `makePackage` made last. */
export let root: string;

/** A package with the build scripts, and nothing that npm would have installed. */
export async function makePackage(): Promise<void> {
  root = await temporaryFolder();
  for (const name of ["build.mjs", "fetch.mjs", "gpu.mjs", "llama-cpp.mjs", "prebuilt.mjs", "rpc-source.mjs", "spawn.mjs"]) await cp(
    join(REPOSITORY, "native", name), join(root, "native", name),
  );
  await cp(join(REPOSITORY, "package.json"), join(root, "package.json"));
}

export async function installNodeLlamaCpp(version: string, folder = join(root, "node_modules", "node-llama-cpp")): Promise<void> {
  for (const part of ["dist", "llama"]) await mkdir(join(folder, part), { recursive: true });
  await writeFile(join(folder, "package.json"), JSON.stringify({ name: "node-llama-cpp", version, main: "dist/index.js" }));
  await writeFile(join(folder, "dist", "index.js"), "");
  await writeFile(join(folder, "llama", "binariesGithubRelease.json"), JSON.stringify({ release: "v0.5.0" }));
}

export async function installPlatform(version: string): Promise<void> {
  const { platformName } = await import(join(REPOSITORY, "native", "prebuilt.mjs")) as { platformName(): string };
  const folder = join(root, "node_modules", "@node-llama-cpp", platformName());
  await mkdir(join(folder, "dist"), { recursive: true });
  await mkdir(join(folder, "bins", platformName()), { recursive: true });
  await writeFile(
    join(folder, "package.json"), JSON.stringify({ name: `@node-llama-cpp/${platformName()}`, version, main: "dist/index.js" }),
  );
  await writeFile(join(folder, "dist", "index.js"), "");
}

/** A PATH on which only these commands are found. They succeed; npm does what `npm`, a script for the shell, says. */
export async function pathWith(commands: readonly string[], npm = ""): Promise<string> {
  const folder = join(root, "commands");
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
  for (const command of [...commands, "npm"]) {
    await writeFile(join(folder, command), `#!/bin/sh\n${command === "npm" ? npm : ""}\nexit 0\n`, { mode: 0o755 });
  }
  return folder;
}
export const TOOLS = ["git", "cmake", "c++"];
/** As npm says that it has no such package. */
export const NOT_THERE = ["code E404", "404 No match found for version", "404", "A complete log of this run can be found in: /x.log"]
  .map((line) => `echo "npm error ${line}" >&2`).concat("exit 1").join("\n");
export const NODE_WARNS = 'echo "(node:1) ExperimentalWarning: x" >&2\n';

export function build(env: NodeJS.ProcessEnv = {}, ...options: string[]): { status: number | null; stderr: string } {
  const unset = { CXX: undefined, LLAMA_STEER_FROM_SOURCE: undefined, npm_lifecycle_event: undefined };
  const clean: NodeJS.ProcessEnv = { ...process.env, ...unset, ...env };
  const { status, stderr } = spawnSync(process.execPath, [join(root, "native", "build.mjs"), ...options], { encoding: "utf8", env: clean });
  return { status, stderr };
}
