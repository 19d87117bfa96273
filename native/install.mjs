// The package's install script: takes the prebuilt addon if one fits, otherwise builds one. A clone always builds its own.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { requireLibraries } from "./fetch.mjs";
import { installGpuBackends } from "./gpu.mjs";
import { isClone, lacksGlibc, packageRoot, platformName, prebuiltAddon, repeatCommand, scriptCommand } from "./prebuilt.mjs";
import { BuildError } from "./spawn.mjs";

const wantsBuild = /^(1|true|yes)$/i.test(process.env.LLAMA_STEER_FROM_SOURCE ?? "")
  || Object.keys(process.env).some((name) => name.startsWith("LLAMA_STEER_CMAKE_OPTION_"));

function takePrebuilt() {
  try {
    requireLibraries(platformName());
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(`llama-steer: ${error.message}. To try again, run: ${repeatCommand("install.mjs")}`);
    process.exitCode = 1;
    return;
  }
  const own = join(packageRoot, "build", "addon");
  if (existsSync(join(own, "built.json"))) {
    console.error(`llama-steer: using the addon that was compiled on this machine. To use the prebuilt one, remove ${own}`);
  } else console.error(`llama-steer: using the prebuilt addon for ${platformName()} (SHA-256 verified); nothing is compiled`);
  installGpuBackends(scriptCommand("install.mjs"));
}

const { refusal } = isClone || wantsBuild ? {} : prebuiltAddon();
// Without glibc, build.mjs says what is missing.
if (refusal !== undefined && !lacksGlibc()) console.error(`llama-steer: ${refusal}; building the addon from source`);
if (isClone || wantsBuild || refusal !== undefined) await import("./build.mjs");
else takePrebuilt();
