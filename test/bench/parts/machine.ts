import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { arch, cpus, platform, release, totalmem } from "node:os";
import { pinnedVersion } from "#native/prebuilt";
import { engineVersion } from "../../../lib/engine/index.js";
import { packageVersion } from "../../../lib/formats/index.js";
import { devices } from "../../../lib/native/index.js";

/** Where and with what something was measured; figures of different machines or versions do not compare. */
export interface Machine {
  cpu: string;
  cores: number;
  /** The vector instructions that ggml can use. */
  instructions: string[];
  gpus: string[];
  memory: number;
  system: string;
  node: string;
  llamaSteer: string;
  /** Null outside a clone. */
  commit: string | null;
  nodeLlamaCpp: string;
  llamaCpp: string;
}

const INSTRUCTIONS = /^(avx\d*|avx512\w*|avx_vnni|amx\w*|f16c|fma|asimd\w*|sve\d*|i8mm)$/;

export function describeMachine(): Machine {
  const commit = spawnSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" });
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown", cores: cpus().length, instructions: instructions(),
    gpus: devices().filter(({ kind }) => kind === "gpu" || kind === "igpu").map(({ description }) => description),
    memory: totalmem(), system: `${platform()} ${release()} ${arch()}`, node: process.version, llamaSteer: packageVersion(),
    commit: commit.status === 0 ? commit.stdout.trim() : null, nodeLlamaCpp: pinnedVersion(), llamaCpp: engineVersion(),
  };
}

/** Those that Linux lists; none elsewhere. */
function instructions(): string[] {
  if (!existsSync("/proc/cpuinfo")) return [];
  const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "";
  return flags.split(/\s+/).filter((flag) => INSTRUCTIONS.test(flag));
}

export function machineLine({ cpu, cores, instructions: flags, gpus, memory, system, node, ...versions }: Machine): string {
  const widest = flags.includes("avx512f") ? "AVX-512" : flags.includes("avx2") ? "AVX2" : flags.join(" ");
  return `${[cpu, `${cores} cores`, widest, ...gpus, `${(memory / 2 ** 30).toFixed(0)} GiB`].filter(Boolean).join(", ")}; ${system}, `
    + `Node ${node}; llama-steer ${versions.llamaSteer}${versions.commit === null ? "" : ` (${versions.commit})`}, `
    + `node-llama-cpp ${versions.nodeLlamaCpp}, llama.cpp ${versions.llamaCpp}`;
}
