// GPU back ends for a clone of the repository. package.json's overrides keep node-llama-cpp's GPU packages (600 MB)
// out of a clone; where this machine has a GPU, its package is fetched here, into build/backends.
// An application that depends on llama-steer has the packages from npm itself and never comes this way.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { findNodeLlamaCpp, packageRoot, platformName, prebuiltFolder } from "./prebuilt.mjs";
import { spawnArguments } from "./spawn.mjs";

/**
 * Packages with the back end of the GPU that this machine seems to have; none on a machine without one.
 * LLAMA_STEER_GPU=cuda|vulkan|none decides instead, e.g. where an image is built on another machine than it runs on.
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

/** Fetch what is wanted and missing. A failure leaves the CPU working and says so. */
export function installGpuBackends() {
  const { folder, version } = findNodeLlamaCpp();
  for (const name of wantedGpuPackages()) {
    if (prebuiltFolder(folder, name, version) !== undefined) continue;
    console.error(`llama-steer: fetching the GPU back end @node-llama-cpp/${name}@${version}`);
    try {
      fetchPackage(name, version);
    } catch (error) {
      console.error(`llama-steer: could not fetch it (${error.message}); going on with the CPU. Try again with: npm run build`);
    }
  }
}

function fetchPackage(name, version) {
  const backends = join(packageRoot, "build", "backends");
  const target = join(backends, name);
  mkdirSync(backends, { recursive: true });
  const partial = mkdtempSync(join(backends, ".partial-"));
  try {
    // npm knows the user's registry and checks the archive's integrity.
    run("npm", ["pack", "--json", "--pack-destination", ".", `@node-llama-cpp/${name}@${version}`], partial);
    const archive = join(partial, readdirSync(partial).find((file) => file.endsWith(".tgz")));
    const fetched = join(partial, name);
    mkdirSync(fetched);
    run("cmake", ["-E", "tar", "xzf", archive], fetched);
    if (existsSync(target)) renameSync(target, join(partial, "old")); // removed with the rest, and never half there
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
