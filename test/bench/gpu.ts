// What there is to check and to measure on a machine with a GPU:
//   npm run test:gpu [-- SHAPE...]     shapes: tiny 1b 7b; 1b and 7b by default
// The engine's tests with every layer on the GPU and with two of each tiny model's; then, on models of random weights,
// how often a decode stops in the middle of its graph on each path, and the benchmark.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadModel } from "../../lib/index.js";
import { devices } from "../../lib/native/index.js";
import { Batch } from "../../lib/engine/index.js";
import { packageRoot } from "#native/prebuilt";
import { randomVector } from "../support/tiny-files.js";
import { workOf } from "../support/work.js";
import { SHAPES, writeRandomModel } from "./random-model.js";

const names = process.argv.slice(2);
const gpus = devices().filter(({ kind }) => kind === "gpu" || kind === "igpu");
console.log(
  gpus.length === 0 ? "no GPU was found: all of this runs on the CPU" : `GPU: ${gpus.map(({ description }) => description).join(", ")}`,
);

for (const layers of ["all", "2"]) {
  console.log(`\n> the engine's tests, gpuLayers ${layers}`);
  run([
    "--experimental-vm-modules", "--no-warnings", join(packageRoot, "node_modules", "jest", "bin", "jest.js"),
    ...["sites", "paths", "steering", "capture"].map((name) => `dist/test/native/${name}`),
  ],
    gpus.length === 0 ? {} : { LLAMA_STEER_TEST_GPU_LAYERS: layers });
}

const folder = mkdtempSync(join(tmpdir(), "llama-steer-gpu-"));
try {
  for (const name of names.length > 0 ? names : ["1b", "7b"]) {
    const path = join(folder, `${name}.gguf`);
    await writeRandomModel(path, name as keyof typeof SHAPES);
    await showStops(path);
    console.log(`\n> the benchmark on ${name}`);
    run([join(packageRoot, "dist", "test", "bench", "engine.js"), path]);
    rmSync(path);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Stops in the middle of the graph per decoded token; CUDA keeps its graphs where there are none. */
async function showStops(path: string): Promise<void> {
  for (const steeringPath of ["graph", "callback"] as const) {
    const model = await loadModel(path, { steeringPath, vet: false });
    using context = await model.createContext({ nCtx: 64, nSeqMax: 1 });
    const vector = model.vectorHandle(await randomVector(model, 1));
    const batch = new Batch();
    batch.add(5, 0, 0, { output: true, terms: [{ vector, step: 0, alpha: 0.1 }] });
    const { stops } = await workOf(() => context.decode(batch));
    console.log(
      `${steeringPath} path: ${stops} synchronises and copies in the middle of the graph per token, ${model.info.nLayer} layers`,
    );
    model.dispose();
  }
}

function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): void {
  const { status } = spawnSync(process.execPath, args, { stdio: "inherit", cwd: packageRoot, env: { ...process.env, ...env } });
  if (status !== 0) process.exit(status ?? 1);
}
