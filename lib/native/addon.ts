import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { findNodeLlamaCpp, lacksGlibc, packageRoot, pinnedVersion, platformName, prebuiltAdvice, prebuiltFolder } from "#native/prebuilt";
import { SteeringError } from "../errors.js";
import type { NativeAddon, NativeDevice } from "./binding.js";

/** What the addon was built for. */
export interface Built {
  nodeLlamaCpp: string;
  llamaCpp: string;
  fromSource: boolean;
}

/** What was found of the addon and llama.cpp's libraries; `llama-steer doctor` shows it. */
export interface NativeInstallation {
  addonPath: string;
  built: Built;
  /** Folder of the shared libraries that the addon uses. */
  librariesFolder: string;
  /** Paths of GPU back ends that node-llama-cpp's packages hold for this platform. */
  gpuBackends: string[];
}

const GPU_PACKAGES: Record<string, string[]> = {
  "linux-x64": ["linux-x64-cuda", "linux-x64-vulkan"],
  "win-x64": ["win-x64-cuda", "win-x64-vulkan"],
};

let loaded: NativeAddon | undefined;

/** The addon with its back ends loaded, once per environment. Throws E_NATIVE with what to do. */
export function addon(): NativeAddon {
  loaded ??= loadAddon();
  return loaded;
}

/** Devices that models can run on. Throws E_NATIVE. */
export function devices(): NativeDevice[] {
  return addon().devices();
}

/** The processor's features that ggml uses. Throws E_NATIVE. */
export function systemInfo(): string {
  return addon().systemInfo();
}

function loadAddon(): NativeAddon {
  // ggml would print a backtrace through gdb when it aborts.
  process.env["GGML_NO_BACKTRACE"] ??= "1";
  const installation = findInstallation();
  const require = createRequire(import.meta.url);
  try {
    if (!installation.built.fromSource) preloadLibraries(installation.librariesFolder, require);
    const native = require(installation.addonPath) as NativeAddon;
    native.loadBackends(installation.librariesFolder, installation.gpuBackends);
    // Not yet a feature: how tests put layers into another process.
    const servers = process.env["LLAMA_STEER_RPC"];
    if (servers) native.addRpcServers(servers.split(","));
    return native;
  } catch (cause) {
    const advice = lacksGlibc() && !installation.built.fromSource ? prebuiltAdvice(rebuildCommand()) : `Rebuild it: ${rebuildCommand()}`;
    throw new SteeringError("E_NATIVE", `the addon cannot be loaded: ${(cause as Error).message.split("\n")[0]}. ${advice}`, { cause });
  }
}

/** Find the addon and the libraries it was built for. Throws E_NATIVE. */
export function findInstallation(): NativeInstallation {
  if (!existsSync(join(packageRoot, "CMakeLists.txt"))) {
    throw new SteeringError("E_NATIVE", `llama-steer runs outside of its package, in ${packageRoot}, most likely as a part of a bundle, where it cannot find its addon. `
      + "Keep llama-steer external to the bundle, and install it beside it (docs/bundlers.md)");
  }
  const folder = join(packageRoot, "build", process.env["LLAMA_STEER_ADDON"] ?? "addon");
  if (!existsSync(join(folder, "built.json"))) {
    throw new SteeringError("E_NATIVE", `the addon is not built (nothing in ${folder}). Build it: ${rebuildCommand()}`);
  }
  const built = JSON.parse(readFileSync(join(folder, "built.json"), "utf8")) as Built;
  const configuration = ["Release", "Debug"].find((name) => existsSync(join(folder, name, "llama-steer.node"))) ?? "Release";
  const addonPath = join(folder, configuration, "llama-steer.node");
  if (built.fromSource) return { addonPath, built, librariesFolder: join(folder, "bin"), gpuBackends: [] };

  const found = findNodeLlamaCpp();
  if (!found || found.version !== built.nodeLlamaCpp) {
    throw new SteeringError("E_NATIVE", `the addon was built for node-llama-cpp ${built.nodeLlamaCpp}, but `
      + `${found ? `${found.version} is installed` : "it is not installed"}. Run: npm install node-llama-cpp@${pinnedVersion()} && ${rebuildCommand()}`);
  }
  const librariesFolder = prebuiltFolder(found.folder, platformName(), found.version);
  if (!librariesFolder) {
    throw new SteeringError("E_NATIVE", `@node-llama-cpp/${platformName()}@${found.version} is not installed. ${prebuiltAdvice(rebuildCommand())}`);
  }
  const gpuBackends = (GPU_PACKAGES[platformName()] ?? [])
    .map((name) => prebuiltFolder(found.folder, name, found.version))
    .flatMap((bins) => (bins ? gpuLibraries(bins) : []))
    .concat([join(packageRoot, "build", "rpc", "Release", "libggml-rpc.so")].filter(existsSync));
  return { addonPath, built, librariesFolder, gpuBackends };
}

function rebuildCommand(): string {
  // Whatever package manager it was installed by, and whether that runs install scripts or not.
  return existsSync(join(packageRoot, "tsconfig.json")) ? "npm run build" : `node "${join(packageRoot, "native", "build.mjs")}"`;
}

function gpuLibraries(folder: string): string[] {
  return readdirSync(folder).filter((name) => /^(lib)?ggml-(cuda|vulkan)\.(so|dll)$/.test(name)).map((name) => join(folder, name));
}

/**
 * The addon carries no path of llama.cpp's libraries, since npm may move them (hoisting, pnpm). node-llama-cpp's own
 * addon lies beside them and loads them; the linker then finds them by name. Loading it has no other effect.
 */
function preloadLibraries(folder: string, require: NodeJS.Require): void {
  require(join(folder, "llama-addon.node"));
}
