// GPU back ends for a clone of the repository. package.json's overrides keep node-llama-cpp's GPU packages (600 MB) out of a clone.
// If this machine has a GPU, this script fetches the matching package into build/backends.
// An application that depends on llama-steer gets the packages from npm and does not need this script.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { findNodeLlamaCpp, packageRoot, platformName, prebuiltFolder } from "./prebuilt.mjs";
import { spawnArguments } from "./spawn.mjs";

/**
 * Packages with the back end for this machine's GPU, if it seems to have one. LLAMA_STEER_GPU=cuda|vulkan|none overrides the detection,
 * for example when an image is built on one machine and runs on another.
 */
export function wantedGpuPackages() {
  const platform = platformName();
  if (!["linux-x64", "win-x64"].includes(platform)) return [];
  const asked = process.env.LLAMA_STEER_GPU;
  if (asked) return asked === "none" ? [] : [`${platform}-${asked}`];
  if (hasNvidiaDriver()) return [`${platform}-cuda`];
  return hasRenderNode() ? [`${platform}-vulkan`] : [];
}

function hasNvidiaDriver() {
  return existsSync("/proc/driver/nvidia/version") || spawnSync("nvidia-smi", ["-L"]).status === 0;
}

function hasRenderNode() {
  try {
    return readdirSync("/dev/dri").some((name) => name.startsWith("renderD"));
  } catch {
    return false;
  }
}

/** Fetch the wanted packages that are missing. A failure prints a message and leaves the CPU back end working. */
export function installGpuBackends() {
  const { folder, version } = findNodeLlamaCpp();
  for (const name of wantedGpuPackages()) {
    if (prebuiltFolder(folder, name, version) !== undefined) continue;
    console.error(`llama-steer: fetching the GPU back end @node-llama-cpp/${name}@${version}`);
    try {
      fetchPlatformPackage(name, version);
    } catch (error) {
      console.error(`llama-steer: could not fetch it (${error.message}); using the CPU. To try again, run: npm run build`);
    }
  }
}

/** Fetch a package of node-llama-cpp's libraries into build/backends, where `prebuiltFolder` looks for it. */
export function fetchPlatformPackage(name, version) {
  const backends = join(packageRoot, "build", "backends");
  const target = join(backends, name);
  mkdirSync(backends, { recursive: true });
  const partial = mkdtempSync(join(backends, ".partial-"));
  try {
    // Use npm, which knows the user's registry and checks the archive's integrity.
    run("npm", ["pack", "--json", "--pack-destination", ".", `@node-llama-cpp/${name}@${version}`], partial);
    const archive = readdirSync(partial).find((file) => file.endsWith(".tgz"));
    const fetched = join(partial, name);
    mkdirSync(fetched);
    run("tar", ["xzf", `../${archive}`], fetched); // a relative path, since GNU tar takes C: for the name of a machine
    if (existsSync(target)) renameSync(target, join(partial, "old")); // atomic; removed below with the rest
    renameSync(fetched, target);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

function run(command, args, cwd) {
  const [program, given, options] = spawnArguments(command, args);
  const result = spawnSync(program, given, { ...options, encoding: "utf8", cwd });
  if (result.error) throw result.error;
  if (result.status !== 0) throw new Error(result.stderr.trim().split("\n").at(-1) ?? `${command} failed`);
  return result.stdout;
}
