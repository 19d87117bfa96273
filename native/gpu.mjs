// llama.cpp's GPU back ends for this machine. They are large (CUDA 180 MB, Vulkan 70 MB), so npm does not install them with llama-steer: if
// this machine has a GPU, the install script fetches the one that fits, into build/backends.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { requireLibraries } from "./fetch.mjs";
import { pinnedVersion, platformName, prebuiltFolder, repeatCommand } from "./prebuilt.mjs";

/** The back ends that node-llama-cpp publishes as packages of their own. */
const BACKENDS = ["cuda", "vulkan"];
const PLATFORMS = ["linux-x64", "win-x64"];

/**
 * Why LLAMA_STEER_GPU cannot be followed on this platform, and what to do; undefined if it can or is not set. `command` builds from source.
 */
export function gpuRefusal(command) {
  const asked = process.env.LLAMA_STEER_GPU;
  const platform = platformName();
  if (!asked || asked === "none" || platform.endsWith(`-${asked}`)) return undefined; // Metal is in the Mac's libraries
  if (!BACKENDS.includes(asked)) return `LLAMA_STEER_GPU=${asked} names no back end; expected cuda, vulkan or none`;
  if (PLATFORMS.includes(platform)) return undefined;
  return `LLAMA_STEER_GPU=${asked}: this back end is not published for ${platform}. To build llama.cpp with it, run: `
    + `LLAMA_STEER_FROM_SOURCE=1 ${optionOf(asked)}=ON ${command}. LLAMA_STEER_GPU=none installs without it`;
}

/** Why LLAMA_STEER_GPU cannot be followed in a build from source; undefined if it can, or is not set. */
export function gpuRefusalFromSource() {
  const asked = process.env.LLAMA_STEER_GPU;
  if (!BACKENDS.includes(asked) || process.env[optionOf(asked)]) return undefined;
  return `LLAMA_STEER_GPU=${asked} fetches a back end for the prebuilt libraries, and llama.cpp is built from source. To build that back end, `
    + `set ${optionOf(asked)}=ON; LLAMA_STEER_GPU=none builds without it`;
}

function optionOf(backend) {
  return `LLAMA_STEER_CMAKE_OPTION_GGML_${backend.toUpperCase()}`;
}

/**
 * Packages with the back end for this machine's GPU, if it seems to have one. LLAMA_STEER_GPU=cuda|vulkan|none overrides the detection,
 * for example when an image is built on one machine and runs on another.
 */
export function wantedGpuPackages() {
  const platform = platformName();
  if (!PLATFORMS.includes(platform)) return [];
  const asked = process.env.LLAMA_STEER_GPU;
  if (asked) return BACKENDS.includes(asked) ? [`${platform}-${asked}`] : [];
  if (hasNvidiaDriver()) return [`${platform}-cuda`];
  return hasVulkanDriver() ? [`${platform}-vulkan`] : [];
}

/** Those of them that are not installed. */
export function missingGpuPackages() {
  return wantedGpuPackages().filter((name) => prebuiltFolder(name) === undefined);
}

/**
 * Fetch those that are missing. A failure prints a message and leaves the CPU back end working. npm does not show what a successful install
 * script prints, so the process fails if LLAMA_STEER_GPU asks for the back end. `again`: the command to try again.
 */
export function installGpuBackends(again) {
  const asked = process.env.LLAMA_STEER_GPU;
  const refusal = gpuRefusal(repeatCommand("build.mjs"));
  if (refusal !== undefined) {
    console.error(`llama-steer: ${refusal}`);
    process.exitCode = 1;
  }
  for (const name of missingGpuPackages()) {
    try {
      // Without network, an install that did not ask should not wait for npm's retries.
      requireLibraries(name, pinnedVersion(), asked ? [] : ["--fetch-retries=0"]);
    } catch (error) {
      const advice = asked ? `LLAMA_STEER_GPU=${asked} asks for it. LLAMA_STEER_GPU=none installs without it`
        : `using the CPU. To try again, run: ${again}`;
      console.error(`llama-steer: ${error.message}; ${advice}`);
      if (asked) process.exitCode = 1;
    }
  }
}

function hasNvidiaDriver() {
  return existsSync("/proc/driver/nvidia/version") || spawnSync("nvidia-smi", ["-L"]).status === 0;
}

/** On Linux a render node; on Windows the loader that drivers with Vulkan bring. */
function hasVulkanDriver() {
  if (process.platform === "win32") return existsSync(join(process.env.SystemRoot ?? "C:\\Windows", "System32", "vulkan-1.dll"));
  try {
    return readdirSync("/dev/dri").some((name) => name.startsWith("renderD"));
  } catch {
    return false;
  }
}
