// The engine's identities on devices with memory of their own, with every layer of the models there and with some:
//   npm run test:devices [-- --only vulkan|rpc]
// Neither device is a GPU, but a wrong write or a stale copy shows on them as on one. LLAMA_STEER_TEST_SLOW=sample: a sample of the
// architectures, and where layers are many or devices slow only the quick suites: CI has no time for more. A machine may lack the Vulkan
// driver, which is said out loud; RPC needs nothing that the build does not need too. One suite at a time: the RPC server serves one
// client, and the Vulkan device computes with all processors.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { packageRoot } from "#native/prebuilt";
import { isSampled } from "../support/slow.js";
import { loopbackRpc, softwareVulkan, type StandIn } from "./stand-ins.js";

const SUITES = [
  "sites", "splits", "paths", "steering", "capture", "batching", "dynamic.alone", "scoring", "scoring-pieces", "live", "gates", "operators",
  "budgets",
];
/** Those that take minutes where a software device compiles shaders for, and computes, every layer. */
const HEAVY = ["sites", "paths", "capture", "batching", "operators"];
/** Those that take minutes on every device: a sample has time for them once, on the quicker one. */
const HEAVIEST = ["gates", "budgets", "scoring-pieces"];
/** Software devices compile each shader for each process. */
const TIMEOUT_MS = 600_000;
const KINDS: Record<string, () => StandIn | string | Promise<StandIn | string>> = { vulkan: softwareVulkan, rpc: () => loopbackRpc() };

const args = process.argv.slice(2);
const only = args.includes("--only") ? args[args.indexOf("--only") + 1] : undefined;
let [failed, missing] = [0, 0];
for (const [kind, make] of Object.entries(KINDS)) {
  if (only !== undefined && only !== kind) continue;
  const standIn = await make();
  if (typeof standIn === "string") {
    if (kind === "rpc") failed++;
    missing++;
    console.error(`\n*** ${kind}: ${standIn}: ITS TESTS ARE NOT RUN ***\n`);
    continue;
  }
  for (const layers of ["all", "2"]) {
    const isWhole = !isSampled || (kind === "rpc" && layers === "all");
    const left = isWhole ? [] : kind === "vulkan" && layers === "all" ? [...HEAVY, ...HEAVIEST] : HEAVIEST;
    const suites = SUITES.filter((suite) => !left.includes(suite)).map((suite) => `native/${suite}.test`);
    failed += runSuites(standIn, layers, suites) ? 0 : 1;
  }
  standIn.stop();
  if (kind === "rpc") failed += runSuites({ name: "servers of its own", env: { LLAMA_STEER_RPC: "" } }, "all", ["devices/lent"]) ? 0 : 1;
}
console.error(
  `devices: ${failed === 0 ? "no failure" : `${failed} runs failed`}${missing > 0 ? `, ${missing} devices could not be had` : ""}`,
);
process.exit(failed > 0 ? 1 : 0);

function runSuites({ name, env }: Pick<StandIn, "name" | "env">, layers: string, suites: readonly string[]): boolean {
  console.error(`\n> ${name}, ${layers} layers there${isSampled ? ", a sample of architectures" : ""}: ${suites.join(", ")}`);
  const jest = [
    "--experimental-vm-modules", "--no-warnings", join(packageRoot, "node_modules", "jest", "bin", "jest.js"),
    `--testTimeout=${TIMEOUT_MS}`, "--runInBand",
  ];
  const { status } = spawnSync(process.execPath, [...jest, ...suites.map((suite) => `dist/test/${suite}`)], {
    stdio: "inherit", cwd: packageRoot,
    env: { ...process.env, ...env, LLAMA_STEER_TEST_GPU_LAYERS: layers },
  });
  return status === 0;
}
