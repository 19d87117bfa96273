// The package's install script: takes the prebuilt addon if one fits, otherwise builds one. A clone always builds its own.
import { join } from "node:path";
import { requireLibraries } from "./fetch.mjs";
import { installGpuBackends } from "./gpu.mjs";
import { builtIn, isClone, lacksGlibc, packageRoot, platformName, prebuiltAddon, repeatCommand, scriptCommand } from "./prebuilt.mjs";
import { BuildError } from "./spawn.mjs";

const wantsBuild = /^(1|true|yes)$/i.test(process.env.LLAMA_STEER_FROM_SOURCE ?? "")
  || Object.keys(process.env).some((name) => name.startsWith("LLAMA_STEER_CMAKE_OPTION_"));

const ownFolder = join(packageRoot, "build", "addon");
const own = builtIn(ownFolder);

function takePrebuilt() {
  try {
    requireLibraries(platformName());
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(`llama-steer: ${error.message}. To try again, run: ${repeatCommand("install.mjs")}`);
    process.exitCode = 1;
    return;
  }
  if (own) console.error(`llama-steer: using the addon that was compiled on this machine. To use the prebuilt one, remove ${ownFolder}`);
  else console.error(`llama-steer: using the prebuilt addon for ${platformName()} (SHA-256 verified); nothing is compiled`);
  installGpuBackends(scriptCommand("install.mjs"));
}

const { refusal } = isClone || wantsBuild ? {} : prebuiltAddon();
if (!isClone && !wantsBuild && refusal === undefined) takePrebuilt();
else if (refusal !== undefined && own?.fromSource) {
  // It needs none of the prebuilt libraries.
  console.error("llama-steer: using the addon and llama.cpp, which were compiled on this machine; nothing is compiled");
} else {
  // Without glibc, build.mjs says what is missing.
  if (refusal !== undefined && !lacksGlibc()) console.error(`llama-steer: ${refusal}; building the addon from source`);
  await import("./build.mjs");
}
