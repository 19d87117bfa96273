import { spawnSync } from "node:child_process";
import colours from "picocolors";
import type { CommandModule } from "yargs";
import { datasets as datasetsApi } from "../../lib/experiments.js";
import { models as modelsApi, SteeringError } from "../../lib/index.js";
import { isOwn } from "../../lib/models/index.js";
import { findInstallation, devices, systemInfo } from "../../lib/native/index.js";
import { print, type OutputOptions } from "../common.js";
import { EXIT } from "../exit-codes.js";
import { megabytes } from "../progress.js";

interface Check {
  name: string;
  ok: boolean;
  found: string;
}

/** `llama-steer doctor` */
export const doctorCommand: CommandModule<object, OutputOptions> = {
  command: "doctor",
  describe: "Show what was found: addon, back ends, models, datasets",
  handler: ({ json }) => {
    const checks = [node(), ...native(), pip(), models(), datasets()];
    if (json) print(JSON.stringify(checks, null, 2));
    else for (const { name, ok, found } of checks) print(`${ok ? colours.green("ok     ") : colours.red("missing")} ${name.padEnd(10)} ${found}`);
    if (checks.some((check) => !check.ok)) process.exitCode = EXIT.installation;
  },
};

function node(): Check {
  return { name: "node", ok: true, found: `${process.version}, ${process.platform}-${process.arch}` };
}

function native(): Check[] {
  try {
    const { addonPath, built, librariesFolder, gpuBackends } = findInstallation();
    const found = devices().map(({ name, description, kind, totalBytes }) => `${name} (${kind}, ${description.trim()}, ${megabytes(totalBytes)})`);
    return [
      { name: "addon", ok: true, found: addonPath },
      { name: "llama.cpp", ok: true, found: `${built.llamaCpp}, ${built.fromSource ? "built from source" : `node-llama-cpp ${built.nodeLlamaCpp}`}, ${librariesFolder}` },
      { name: "devices", ok: true, found: found.join("; ") },
      { name: "gpu", ok: true, found: gpuBackends.length === 0 ? "none installed; models run on the CPU" : gpuBackends.join("; ") },
      { name: "processor", ok: true, found: systemInfo().trim() },
    ];
  } catch (error) {
    if (!(error instanceof SteeringError)) throw error;
    return [{ name: "addon", ok: false, found: error.message }];
  }
}

/** pip is one of two ways to the second source of models, so its absence is no failure. */
function pip(): Check {
  const result = spawnSync("python3", ["-m", "pip", "--version"], { encoding: "utf8" });
  return { name: "pip", ok: true, found: result.status === 0 ? result.stdout.trim() : "not found; the package index is asked directly" };
}

function models(): Check {
  const list = modelsApi.list().map((model) => `${model.name} (${isOwn(model) ? "in the package" : modelsApi.isInstalled(model) ? "downloaded" : "not downloaded"})`);
  return { name: "models", ok: true, found: `${list.join(", ")}; downloads go to ${modelsApi.homeFolder()}` };
}

function datasets(): Check {
  const names = datasetsApi.names();
  return { name: "datasets", ok: names.length > 0, found: names.join(", ") || "none" };
}
