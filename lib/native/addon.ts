import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import {
  builtIn, isClone, lacksGlibc, packageRoot, pinnedVersion, platformName, prebuiltAddon, prebuiltAdvice, prebuiltFolder, scriptCommand,
} from "#native/prebuilt";
import { SteeringError } from "../errors.js";
import type { NativeAddon, NativeDevice } from "./binding.js";

/** The versions the addon was built for. */
export interface Built {
  nodeLlamaCpp: string;
  llamaCpp: string;
  /** Whether llama.cpp was compiled, too. */
  fromSource: boolean;
}

/** Where the addon and llama.cpp's libraries are; `llama-steer doctor` shows it. */
export interface NativeInstallation {
  addonPath: string;
  /** True for an addon that came with the package, false for one that was compiled on this machine. */
  isPrebuilt: boolean;
  built: Built;
  /** Folder of the shared libraries that the addon uses. */
  librariesFolder: string;
  /** Paths of the GPU back ends in node-llama-cpp's packages for this platform. */
  gpuBackends: string[];
}

const GPU_PACKAGES: Record<string, string[]> = {
  "linux-x64": ["linux-x64-cuda", "linux-x64-vulkan"],
  "win-x64": ["win-x64-cuda", "win-x64-vulkan"],
};

let loaded: NativeAddon | undefined;

/** Loads the addon and its back ends, once per environment. Throws E_NATIVE, with advice. */
export function addon(): NativeAddon {
  loaded ??= loadAddon();
  return loaded;
}

/** Lists the devices that models can run on. Throws E_NATIVE. */
export function devices(): NativeDevice[] {
  return addon().devices();
}

/** Names the processor features that ggml uses. Throws E_NATIVE. */
export function systemInfo(): string {
  return addon().systemInfo();
}

function loadAddon(): NativeAddon {
  // Without this, ggml prints a backtrace through gdb when it aborts.
  process.env["GGML_NO_BACKTRACE"] ??= "1";
  const installation = findInstallation();
  const require = createRequire(import.meta.url);
  try {
    if (!installation.built.fromSource) preloadLibraries(installation.librariesFolder, require);
    const native = require(installation.addonPath) as NativeAddon;
    native.loadBackends(installation.librariesFolder, installation.gpuBackends);
    return native;
  } catch (cause) {
    const { fromSource } = installation.built;
    const advice = lacksGlibc() && !fromSource ? prebuiltAdvice(rebuildCommand()) : `Rebuild it: ${rebuildCommand(fromSource)}`;
    throw new SteeringError("E_NATIVE", `the addon cannot be loaded: ${(cause as Error).message.split("\n")[0]}. ${advice}`, { cause });
  }
}

/** Finds the addon and the libraries it was built for. Throws E_NATIVE. */
export function findInstallation(): NativeInstallation {
  if (!existsSync(join(packageRoot, "CMakeLists.txt"))) {
    throw new SteeringError("E_NATIVE", `llama-steer cannot find its addon: it runs outside of its package, in ${packageRoot}, most likely `
      + "because it was bundled. Keep llama-steer external to the bundle, and install it next to the bundle (docs/bundlers.md)");
  }
  const folder = join(packageRoot, "build", process.env["LLAMA_STEER_ADDON"] ?? "addon");
  const own = ownAddon(folder) ?? cameWithPackage(folder);
  const { built } = own;
  if (built.fromSource) return { ...own, librariesFolder: join(folder, "bin"), gpuBackends: [] };

  const version = built.nodeLlamaCpp;
  if (version !== pinnedVersion()) {
    throw new SteeringError("E_NATIVE", `the addon was built for node-llama-cpp ${version}, but llama-steer now uses ${pinnedVersion()}. `
      + `Rebuild it: ${rebuildCommand()}`);
  }
  const librariesFolder = prebuiltFolder(platformName(), version);
  if (!librariesFolder) {
    const missing = `@node-llama-cpp/${platformName()}@${version}`;
    throw new SteeringError("E_NATIVE", `${missing} is not installed. ${prebuiltAdvice(rebuildCommand())}`);
  }
  const gpuBackends = (GPU_PACKAGES[platformName()] ?? [])
    .map((name) => prebuiltFolder(name, version))
    .flatMap((bins) => (bins ? gpuLibraries(bins) : []))
    .concat(rpcBackend() ?? []);
  return { ...own, librariesFolder, gpuBackends };
}

type Addon = Pick<NativeInstallation, "addonPath" | "isPrebuilt" | "built">;

/** The addon that was compiled on this machine, which takes precedence: its user wanted it. */
function ownAddon(folder: string): Addon | undefined {
  const built: Built | undefined = builtIn(folder);
  if (built === undefined) return undefined;
  const configuration = ["Release", "Debug"].find((name) => existsSync(join(folder, name, "llama-steer.node"))) ?? "Release";
  return { addonPath: join(folder, configuration, "llama-steer.node"), isPrebuilt: false, built };
}

/** The addon that came with the package. It is found even if the package manager did not run install scripts. */
function cameWithPackage(folder: string): Addon {
  const prebuilt = process.env["LLAMA_STEER_ADDON"] ? { refusal: "LLAMA_STEER_ADDON asks for another build" } : prebuiltAddon();
  if (prebuilt.refusal === undefined) {
    const { path, nodeLlamaCpp, llamaCpp } = prebuilt;
    return { addonPath: path, isPrebuilt: true, built: { nodeLlamaCpp, llamaCpp, fromSource: false } };
  }
  const why = lacksGlibc() ? `. ${prebuiltAdvice(rebuildCommand())}` : `, and ${prebuilt.refusal}. Build it: ${rebuildCommand()}`;
  throw new SteeringError("E_NATIVE", `the addon is not built (nothing in ${folder})${why}`);
}

/** Path of llama.cpp's RPC back end, which is built only where it is wanted; undefined if it is not. */
export function rpcBackend(): string | undefined {
  return ["libggml-rpc.so", "ggml-rpc.dll"].map((name) => join(packageRoot, "build", "rpc", "Release", name)).find(existsSync);
}

/** Throws E_NATIVE, with advice, if llama.cpp's RPC back end is not built, or cannot be loaded beside llama.cpp built from source. */
export function requireRpcBackend(): void {
  if (findInstallation().built.fromSource) {
    throw new SteeringError("E_NATIVE", "RPC needs llama.cpp's prebuilt libraries, but this addon was built with llama.cpp from source");
  }
  if (rpcBackend() !== undefined) return;
  throw new SteeringError("E_NATIVE", "llama.cpp's RPC back end is not built; it takes some seconds and a C++ compiler. Build it: "
    + scriptCommand("build.mjs", "--rpc"));
}

/** The command that builds the addon as it was built, for a POSIX shell. On Windows every build is from source. */
function rebuildCommand(fromSource = false): string {
  const setting = fromSource && process.platform !== "win32" ? "LLAMA_STEER_FROM_SOURCE=1 " : "";
  return setting + (isClone ? "npm run build" : scriptCommand("build.mjs"));
}

function gpuLibraries(folder: string): string[] {
  return readdirSync(folder).filter((name) => /^(lib)?ggml-(cuda|vulkan)\.(so|dll)$/.test(name)).map((name) => join(folder, name));
}

/**
 * Loads llama.cpp's libraries, so that the linker finds them by name. The addon does not contain their path, since npm may move them
 * (hoisting, pnpm). node-llama-cpp's own addon is in the same folder and loads them; loading it has no other effect.
 */
function preloadLibraries(folder: string, require: NodeJS.Require): void {
  require(join(folder, "llama-addon.node"));
}
