// Fetches with npm what was not installed with llama-steer: llama.cpp's libraries, for this machine or its GPU, and what builds need.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { backendsFolder, buildToolsFolder, findNodeLlamaCpp, pinnedVersion, prebuiltFolder } from "./prebuilt.mjs";
import { BuildError, spawnArguments } from "./spawn.mjs";

/**
 * Folder of the shared libraries in `@node-llama-cpp/<name>`, which is fetched if it is not there. `options`: further ones for npm.
 * Throws a BuildError.
 */
export function requireLibraries(name, version = pinnedVersion(), options = []) {
  const installed = prebuiltFolder(name, version);
  if (installed !== undefined) return installed;
  const specifier = `@node-llama-cpp/${name}@${version}`;
  console.error(`llama-steer: fetching ${specifier} (llama.cpp's libraries)`);
  // Use npm, which knows the user's registry and checks the archive's integrity.
  return fetchInto(join(backendsFolder, name), specifier, () => prebuiltFolder(name, version), (folder) => {
    npm(["pack", "--json", "--pack-destination", ".", specifier, ...options], folder);
    const archive = readdirSync(folder).find((file) => file.endsWith(".tgz"));
    run("tar", ["xzf", archive], folder); // a relative path, since GNU tar takes C: for the name of a machine
    for (const name of [archive, "package.json"]) rmSync(join(folder, name));
  });
}

/**
 * node-llama-cpp in exactly the version that package.json pins, because its structs are passed by value: it has llama.cpp's sources, and
 * depends on cmake-js and node-addon-api. Only a build needs it, so it is fetched if it is not there. Throws a BuildError.
 */
export function requireNodeLlamaCpp() {
  const installed = findNodeLlamaCpp();
  if (installed !== undefined) return installed;
  const specifier = `node-llama-cpp@${pinnedVersion()}`;
  console.error(`llama-steer: fetching ${specifier} (llama.cpp's sources, cmake-js, node-addon-api)`);
  return fetchInto(buildToolsFolder, specifier, findNodeLlamaCpp, (folder) => {
    const light = ["--omit=optional", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"];
    npm(["install", "--prefix=.", ...light, specifier], folder);
  });
}

/** Fills a new folder, moves it to `target` as a whole, and returns what `find` finds then. What another install was faster with stays. */
function fetchInto(target, specifier, find, fill) {
  let partial;
  process.on("SIGINT", goOn);
  try {
    mkdirSync(dirname(target), { recursive: true });
    removeAbandoned(dirname(target));
    partial = mkdtempSync(join(dirname(target), ".partial-"));
    const fetched = join(partial, "fetched");
    mkdirSync(fetched);
    fill(fetched);
    if (find() === undefined) {
      if (existsSync(target)) renameSync(target, join(partial, "old")); // removed below with the rest
      renameSync(fetched, target);
    }
  } catch (error) {
    if (find() === undefined) throw new BuildError(`${specifier} could not be fetched: ${error.message}`);
  } finally {
    if (partial !== undefined) rmSync(partial, { recursive: true, force: true });
    process.off("SIGINT", goOn);
  }
  const found = find();
  if (found === undefined) throw new BuildError(`${specifier} was fetched, and is not what it should be`);
  return found;
}

/** Ctrl-C ends npm, so the fetch fails and nothing stays; without a handler, it would end this process first. */
function goOn() {}

const ONE_DAY_MS = 24 * 60 * 60 * 1000;

/** Removes what a fetch that was killed left in `folder`. */
function removeAbandoned(folder) {
  for (const name of readdirSync(folder).filter((each) => each.startsWith(".partial-"))) {
    const path = join(folder, name);
    const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: Infinity }; // another install has removed it
    if (Date.now() - mtimeMs > ONE_DAY_MS) rmSync(path, { recursive: true, force: true });
  }
}

/** Settings of the install under way, which npm hands to its scripts and which a second npm would take for its own. */
const OF_THE_INSTALL = /^npm_config_(global|location|prefix|local_prefix|include|omit|workspaces?|include_workspace_root|dry_run|save.*)$/i;

/** Runs npm in `cwd` with the application's .npmrc, which may name registries and have tokens for them, so no copy of it stays. */
function npm(args, cwd) {
  const { npm_config_local_prefix: prefix, INIT_CWD: initial, ...rest } = process.env;
  const env = Object.fromEntries(Object.entries(rest).filter(([name]) => !OF_THE_INSTALL.test(name)));
  const [own, copy] = [join(prefix ?? initial ?? process.cwd(), ".npmrc"), join(cwd, ".npmrc")];
  writeFileSync(join(cwd, "package.json"), '{ "private": true }\n'); // npm looks for .npmrc beside the nearest one
  if (existsSync(own)) copyFileSync(own, copy);
  try {
    run("npm", [...args, "--loglevel=error"], cwd, env);
  } finally {
    rmSync(copy, { force: true });
  }
}

function run(command, args, cwd, env = process.env) {
  const [program, given, options] = spawnArguments(command, args);
  const result = spawnSync(program, given, { ...options, encoding: "utf8", cwd, env, maxBuffer: 1 << 28 });
  if (result.error?.code === "ENOENT") throw new Error(`${command} not found${command === "npm" ? "; it comes with Node" : ""}`);
  if (result.error) throw result.error;
  if (result.signal) throw new Error(`${command} was stopped by ${result.signal}`);
  if (result.status !== 0) throw new Error(reason(result.stderr) ?? `${command} failed`);
}

/** The line with which npm says why it failed. Node's warnings may stand before it. */
function reason(stderr) {
  const lines = stderr.trim().split("\n");
  const said = lines.flatMap((line) => /^npm (?:error|ERR!) (.*)/.exec(line)?.[1] ?? []);
  return [...said, ...lines].find((line) => !/^code |^A complete log/.test(line)) || undefined;
}
