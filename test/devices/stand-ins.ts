import { fork, spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { packageRoot } from "#native/prebuilt";
import { freePort, listens } from "./ports.js";

/** A device with memory of its own that any machine can have. */
export interface StandIn {
  name: string;
  /** For the processes that are to compute on it. */
  env: NodeJS.ProcessEnv;
  stop(): void;
}

/** No GPU that the machine may have, and no other stand-in. */
const NO_DEVICES: NodeJS.ProcessEnv = { CUDA_VISIBLE_DEVICES: "", GGML_VK_VISIBLE_DEVICES: "", LLAMA_STEER_RPC: "" };

/** Mesa's Vulkan device that computes on the CPU; a reason where it cannot be had. */
export function softwareVulkan(): StandIn | string {
  // Debian's package is of no use to other systems, whose users install theirs.
  if (process.platform === "linux" && process.getuid?.() === 0 && !hasSoftwareDriver()) {
    run("apt-get", ["update", "-q"]);
    run("apt-get", ["install", "-y", "-q", "mesa-vulkan-drivers"]);
  }
  run(process.execPath, [join(packageRoot, "native", "build.mjs")], { LLAMA_STEER_GPU: "vulkan" });
  // In single precision, as far as the back end has it.
  const env = { ...NO_DEVICES, GGML_VK_VISIBLE_DEVICES: "0", GGML_VK_DISABLE_F16: "1", GGML_VK_DISABLE_INTEGER_DOT_PRODUCT: "1" };
  const device = devicesWith(env).find(({ name }) => name.startsWith("Vulkan"));
  if (!device) return "no Vulkan device (Debian: apt-get install mesa-vulkan-drivers)";
  return { name: `Vulkan: ${device.description}`, env, stop: () => undefined };
}

function hasSoftwareDriver(): boolean {
  const folder = "/usr/share/vulkan/icd.d";
  return existsSync(folder) && readdirSync(folder).some((name) => name.startsWith("lvp"));
}

/** llama.cpp's RPC back end: a process on this machine that lends its CPU. */
export async function loopbackRpc(threads = 1): Promise<StandIn | string> {
  run(process.execPath, [join(packageRoot, "native", "build.mjs"), "--rpc"]);
  const port = await freePort();
  const endpoint = `127.0.0.1:${port}`;
  const server = fork(fileURLToPath(new URL("./rpc-server.js", import.meta.url)), [endpoint, String(threads)], {
    stdio: ["ignore", "ignore", "inherit", "ipc"], env: { ...process.env, ...NO_DEVICES },
  });
  const stop = (): void => void server.kill("SIGKILL");
  const env = { ...NO_DEVICES, LLAMA_STEER_RPC: endpoint };
  for (let attempt = 0; attempt < 20 && server.exitCode === null; attempt++) {
    if (await listens(port)) return { name: `RPC: ${endpoint}`, env, stop };
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  stop();
  return "its server does not answer";
}

interface Device {
  name: string;
  description: string;
}

function devicesWith(env: NodeJS.ProcessEnv): Device[] {
  const { stdout } = spawnSync(
    process.execPath, [fileURLToPath(new URL("./list-devices.js", import.meta.url))], { encoding: "utf8", env: { ...process.env, ...env } },
  );
  return stdout === "" ? [] : JSON.parse(stdout) as Device[];
}

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): void {
  spawnSync(command, args, { stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, ...env } });
}
