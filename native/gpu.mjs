// llama.cpp's GPU back ends for this machine. They are large (CUDA 180 MB, Vulkan 70 MB), so npm does not install them with llama-steer: if
// this machine has a GPU, the install script fetches the one that fits, into build/backends.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { requireLibraries } from "./fetch.mjs";
import { pinnedVersion, platformName, prebuiltFolder } from "./prebuilt.mjs";

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
