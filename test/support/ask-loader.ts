import { writeFileSync } from "node:fs";
import { seededRandom } from "../../lib/maths/random.js";
import { addon } from "../../lib/native/index.js";
import { everyMetadata, knownShape, optionalTensors } from "./every-architecture.js";
import { ggufBytes, type Metadata, type Tensor } from "./gguf-writer.js";
import { byteVocabulary } from "./tiny-architectures.js";

/** Two for each tensor of the largest of these models. */
const MOST_TRIALS = 600;

/**
 * A tiny random model of any architecture as a GGUF at `path`. Which tensors it has, and their shapes, llama.cpp's loader
 * says itself, one refusal after the other. May end the process: llama.cpp asserts what its files are to be like.
 *
 * @returns the tensors
 * @throws the loader's last refusal, where it cannot be met
 */
export async function makeArchitecture(architecture: string, path: string): Promise<Tensor[]> {
  const metadata = {
    "general.architecture": architecture, "general.name": "tiny random", "general.file_type": 0, ...everyMetadata(architecture),
    ...byteVocabulary(),
  };
  const shapes = new Map<string, readonly number[]>(optionalTensors(architecture).map((name) => [name, [1]]));
  for (let trial = 0; trial < MOST_TRIALS; trial++) {
    const refusal = await refusalOf(
      path, metadata, [...shapes].map(([name, shape]) => ({ name, shape, data: new Float32Array(sizeOf(shape)) })),
    );
    if (refusal === undefined) {
      const tensors = [...shapes].map(([name, shape]) => filled(name, shape, !shapes.has("output.weight")));
      writeFileSync(path, ggufBytes(metadata, tensors));
      return tensors;
    }
    const missing = /missing tensor '(.+?)'|tensor '(.+?)' not found/.exec(refusal);
    const misshapen = /tensor '(.+?)' has wrong shape; expected ([\d, ]+), got/.exec(refusal);
    const name = missing?.[1] ?? missing?.[2];
    if (name !== undefined && !shapes.has(name)) shapes.set(name, knownShape(architecture, name) ?? likely(name, shapes));
    else if (misshapen) shapes.set(misshapen[1]!, misshapen[2]!.split(",").map(Number).reverse());
    else throw new Error(refusal.replace(/^.*error loading model( hyperparameters)?: /, ""));
  }
  throw new Error("the loader is never content");
}

async function refusalOf(path: string, metadata: Metadata, tensors: readonly Tensor[]): Promise<string | undefined> {
  writeFileSync(path, ggufBytes(metadata, tensors));
  try {
    (await addon().loadModel(path, { nGpuLayers: 0, useMmap: false })).dispose();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** The shape that another layer's has. */
function likely(name: string, shapes: ReadonlyMap<string, readonly number[]>): readonly number[] {
  const kind = kindOf(name);
  return [...shapes].findLast(([other]) => kindOf(other) === kind)?.[1] ?? [1];
}

function kindOf(name: string): string {
  return name.replace(/^blk\.\d+\./, "");
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/** Random values of a size that keeps attention and logits away from uniform. */
function filled(name: string, shape: readonly number[], isTied: boolean): Tensor {
  const random = seededRandom([...name].reduce((sum, character) => (sum * 31 + character.charCodeAt(0)) % 1_000_003, 7));
  const draw = drawOf(name, shape, isTied);
  return { name, shape, data: Float32Array.from({ length: sizeOf(shape) }, () => draw(random())) };
}

function drawOf(name: string, shape: readonly number[], isTied: boolean): (uniform: number) => number {
  const around = (size: number) => (uniform: number) => size * (0.8 + 0.4 * uniform);
  const matrix = (gain: number) => (uniform: number) => (uniform - 0.5) * gain * Math.sqrt(12 / shape.at(-1)!);
  if (/norm[^.]*(\.weight)?$/.test(name)) return around(name === "output_norm.weight" && isTied ? 3 : 1);
  if (/rope_|output_scale/.test(name)) return around(1);
  if (/time_mix_(w0|a0|v0|k_k|k_a|r_k)/.test(name)) return around(0.5);
  if (/\.ssm_a$/.test(name)) return (uniform) => -0.2 - uniform;
  if (name === "output.weight") return matrix(3);
  if (name === "token_embd.weight") return matrix(isTied ? 1 : 5);
  return shape.length === 1 || /\.bias$/.test(name) ? (uniform) => 0.4 * (uniform - 0.5) : matrix(1.5);
}
