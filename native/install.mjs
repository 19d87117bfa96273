// The package's install script: takes the prebuilt addon if one fits, otherwise builds one. A clone always builds its own.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { installGpuBackends } from "./gpu.mjs";
import { findNodeLlamaCpp, lacksGlibc, packageRoot, platformName, prebuiltAddon, prebuiltFolder } from "./prebuilt.mjs";

const isClone = existsSync(join(packageRoot, "tsconfig.json"));
const wantsBuild = /^(1|true|yes)$/i.test(process.env.LLAMA_STEER_FROM_SOURCE ?? "")
  || Object.keys(process.env).some((name) => name.startsWith("LLAMA_STEER_CMAKE_OPTION_"));
const { refusal } = isClone || wantsBuild ? {} : prebuiltAddon();
const hasLibraries = () => {
  const { folder, version } = findNodeLlamaCpp();
  return prebuiltFolder(folder, platformName(), version) !== undefined;
};

// Without llama.cpp's libraries, or without glibc, build.mjs says what is missing.
if (isClone || wantsBuild || refusal !== undefined || !hasLibraries()) {
  if (refusal !== undefined && !lacksGlibc()) console.error(`llama-steer: ${refusal}; building the addon from source`);
  await import("./build.mjs");
} else {
  console.error(`llama-steer: using the prebuilt addon for ${platformName()} (SHA-256 verified); nothing is compiled`);
  installGpuBackends();
}
