import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadModel, type HookSite, type LoadModelOptions, type Model, type VectorData } from "../../lib/index.js";
import { seededRandom } from "../../lib/maths/random.js";
import { architectureGguf, type GgufOptions } from "./tiny-architectures.js";
import { encodeGguf, tinyModel, type TinyModel } from "./tiny-model.js";

/** Set by test/bench/gpu.ts and test/devices/run.ts: the engine's tests on a device, with all layers there or with some. */
const DEVICE_LAYERS = process.env["LLAMA_STEER_TEST_GPU_LAYERS"];
export const ON_DEVICE = DEVICE_LAYERS !== undefined;
const GPU_LAYERS = DEVICE_LAYERS === "all" ? "all" : Number(DEVICE_LAYERS ?? 0);

/** A device reached by RPC is a processor, which sums in another order; on GPUs matrix products go through half precision. */
const [DEVICE_TOLERANCE, DEVICE_DIGITS] = process.env["LLAMA_STEER_RPC"] ? [1e-4, 3] : [0.05, 1];

/** What two computations of the same may differ by. */
export function tolerance(onCpu: number): number {
  return ON_DEVICE ? Math.max(onCpu, DEVICE_TOLERANCE) : onCpu;
}

/** Likewise the digits after the point for `toBeCloseTo`. */
export function digits(onCpu: number): number {
  return ON_DEVICE ? Math.min(onCpu, DEVICE_DIGITS) : onCpu;
}

/** A folder that is gone after `use` of it ends. */
export interface Scratch extends Disposable {
  folder: string;
  path(name: string): string;
}

export function scratch(): Scratch {
  const folder = mkdtempSync(join(tmpdir(), "llama-steer-"));
  return { folder, path: (name) => join(folder, name), [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

/**
 * A tiny model on disk, loaded: with one thread (two wait for each other on a busy machine), on the CPU (GPUs round to half precision) and
 * exact unless options say otherwise.
 */
export async function loadTiny(space: Scratch, options: LoadModelOptions = {}, seed = 1): Promise<{ tiny: TinyModel; model: Model }> {
  const tiny = tinyModel(seed);
  const path = space.path(`tiny-${seed}.gguf`);
  writeFileSync(path, encodeGguf(tiny));
  return {
    tiny, model: await loadModel(path, { threads: 1, gpuLayers: GPU_LAYERS, flashAttention: false, kvType: "f32", vet: false, ...options }),
  };
}

/** A tiny model of any architecture, loaded likewise. */
export async function loadArchitecture(space: Scratch, name: string, options: LoadModelOptions & GgufOptions = {}): Promise<Model> {
  const { seed = 1, quantised = false, ...load } = options;
  const path = space.path(`${name}-${seed}-${quantised}.gguf`);
  if (!existsSync(path)) writeFileSync(path, architectureGguf(name, { seed, quantised }));
  return loadModel(path, { threads: 1, gpuLayers: GPU_LAYERS, flashAttention: false, kvType: "f32", vet: false, ...load });
}

export interface RandomVectorOptions {
  site?: HookSite;
  nSteps?: number;
  scale?: number;
  layers?: number[];
}

/** A random vector, by default for all layers that have the site, which is head_out by default. */
export async function randomVector(model: Model, seed: number, options: RandomVectorOptions = {}): Promise<VectorData> {
  const { site = "head_out", nSteps = 4, scale = 0.5, layers = model.siteLayers(site) } = options;
  const random = seededRandom(seed);
  const width = model.siteWidth(site);
  return {
    site, layers, nSteps, width,
    data: Float32Array.from({ length: layers.length * nSteps * width }, () => (random() - 0.5) * scale),
    provenance: {
      property: `random ${seed}`,
      origin: { kind: "icl", positive: { name: "a", hash: "sha256:a" }, negative: { name: "b", hash: "sha256:b" },
      iclExamples: 0, support: 1, seed, supportIndices: [0], promptsHash: "sha256:none" }, model: await model.fingerprint(), madeBy: "test",
    },
  };
}

/** `alpha` times the direction of a vector at (layer, step). */
export function direction(
  { layers, nSteps, width, data }: VectorData, layer: number, step: number, alpha: number,
): Float64Array | undefined {
  const index = layers.indexOf(layer);
  if (index < 0) return undefined;
  const start = (index * nSteps + step) * width;
  return Float64Array.from(data.subarray(start, start + width), (value) => alpha * value);
}

export function allLayers(model: Model): number[] {
  return Array.from({ length: model.info.nLayer }, (_, layer) => layer);
}

/** Largest absolute difference. */
export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return a.length === b.length ? largest : Infinity;
}
