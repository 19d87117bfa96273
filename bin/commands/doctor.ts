import { spawnSync } from "node:child_process";
import { gpuRefusal, missingGpuPackages } from "#native/gpu";
import { scriptCommand } from "#native/prebuilt";
import { datasets as datasetsApi } from "../../lib/experiments.js";
import { threadLimit } from "../../lib/engine/index.js";
import { models as modelsApi, SteeringError } from "../../lib/index.js";
import { findInstallation, devices, systemInfo } from "../../lib/native/index.js";
import { command } from "../command.js";
import { print } from "../common.js";
import { EXIT } from "../exit-codes.js";
import { modelState } from "../open-model.js";
import { megabytes } from "../progress.js";
import { onStdout } from "../colours.js";

interface Check {
  name: string;
  ok: boolean;
  found: string;
}

export default command({
  usage: "doctor",
  describe: "Check the installation: addon, back ends, models, datasets",
  options: {},
  run: ({ json }) => {
    const checks = [node(), ...native(), threads(), pip(), models(), datasets()];
    const state = (ok: boolean): string => (ok ? onStdout.green("ok     ") : onStdout.red("missing"));
    if (json) print(JSON.stringify(checks, null, 2));
    else for (const { name, ok, found } of checks) print(`${state(ok)} ${name.padEnd(10)} ${found}`);
    if (checks.some((check) => !check.ok)) process.exitCode = EXIT.installation;
  },
});

function node(): Check {
  const runtime = ["bun", "deno", "electron"].find((name) => process.versions[name] !== undefined);
  const version = runtime ? `${runtime} ${process.versions[runtime]}, in place of Node ${process.version}` : process.version;
  return { name: "node", ok: true, found: `${version}, ${process.platform}-${process.arch}` };
}

function native(): Check[] {
  try {
    const { addonPath, isPrebuilt, built, librariesFolder, gpuBackends } = findInstallation();
    const found = devices().map(({ name, description, kind, totalBytes }) =>
      `${name} (${kind}, ${description.trim()}, ${megabytes(totalBytes)})`);
    const missing = built.fromSource ? [] : missingGpuPackages().map((name) => `@node-llama-cpp/${name} fits this machine and is not installed. `
      + `Install it: ${scriptCommand("install.mjs")}`);
    const refusal = built.fromSource ? [] : gpuRefusal(scriptCommand("build.mjs")) ?? [];
    const gpu = [...gpuBackends, ...missing].join("; ") || "no GPU back end is installed; models run on the CPU";
    const source = built.fromSource ? "built from source" : `from node-llama-cpp ${built.nodeLlamaCpp}`;
    return [
      { name: "addon", ok: true, found: `${isPrebuilt ? "prebuilt, SHA-256 verified" : "compiled on this machine"}: ${addonPath}` },
      { name: "llama.cpp", ok: true, found: `${built.llamaCpp}, ${source}, in ${librariesFolder}` },
      { name: "devices", ok: true, found: found.join("; ") },
      { name: "gpu", ok: true, found: [gpu].concat(refusal).join("; ") },
      { name: "processor", ok: true, found: systemInfo().trim() },
    ];
  } catch (error) {
    if (!(error instanceof SteeringError)) throw error;
    return [{ name: "addon", ok: false, found: error.message }];
  }
}

function threads(): Check {
  const { threads: most, reason } = threadLimit();
  return { name: "threads", ok: true, found: `at most ${most}: ${reason}. Fewer while other programs compute; --threads overrides this` };
}

/** pip is optional: without it, models are downloaded from the package index directly. */
function pip(): Check {
  const result = spawnSync("python3", ["-m", "pip", "--version"], { encoding: "utf8" });
  const found = result.status === 0 ? result.stdout.trim() : "not found; models are downloaded from the package index directly";
  return { name: "pip", ok: true, found };
}

function models(): Check {
  const list = modelsApi.list().map((model) => `${model.name} (${modelState(model)})`);
  return { name: "models", ok: true, found: `${list.join(", ")}; downloads go to ${modelsApi.homeFolder()}` };
}

function datasets(): Check {
  const names = datasetsApi.names();
  return { name: "datasets", ok: names.length > 0, found: names.join(", ") || "none" };
}
