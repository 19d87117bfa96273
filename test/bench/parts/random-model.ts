import { open } from "node:fs/promises";
import { seededRandom } from "../../../lib/maths/random.js";
import { SHAPE, type Shape } from "../../support/architecture-parts.js";
import { ggufHeader, tensorSize } from "../../support/gguf-writer.js";
import { architectureMetadata, architectureSpecs } from "../../support/tiny-architectures.js";

/** Shapes of Llama models; the vocabulary stays that of the tiny ones, 259 tokens. */
export const SHAPES = {
  tiny: { nLayer: 4, nEmbd: 256, nHead: 8, nHeadKv: 4, dHead: 32, nFf: 512 },
  "1b": { nLayer: 16, nEmbd: 2048, nHead: 32, nHeadKv: 8, dHead: 64, nFf: 8192 },
  "7b": { nLayer: 32, nEmbd: 4096, nHead: 32, nHeadKv: 8, dHead: 128, nFf: 14336 },
} satisfies Record<string, Partial<Shape>>;

const Q8_BLOCK_BYTES = 34;
const CHUNK_BLOCKS = 32_768;

/** Write a Llama model of random Q8_0 weights, by pieces: a large one does not fit into memory. */
export async function writeRandomModel(path: string, name: keyof typeof SHAPES): Promise<void> {
  const shape: Shape = { ...SHAPE, nCtx: 8192, ...SHAPES[name] };
  const tensors = architectureSpecs("llama", shape).map(({ name: tensor, shape: extents, exact }) => ({
    name: tensor, shape: extents, type: exact ? "F32" : "Q8_0",
  } as const));
  const random = seededRandom(1);
  const file = await open(path, "w");
  try {
    await file.write(ggufHeader(architectureMetadata("llama", shape, true), tensors));
    const blocks = randomBlocks(random, shape.nEmbd);
    for (const tensor of tensors) {
      const size = tensorSize(tensor);
      if (tensor.type === "F32") await file.write(Buffer.from(Float32Array.from({ length: size / 4 }, () => 0.8 + 0.4 * random()).buffer));
      else for (let written = 0; written < size; written += blocks.length) await file.write(
        blocks, 0, Math.min(blocks.length, size - written),
      );
    }
  } finally {
    await file.close();
  }
}

/** Q8_0 blocks of values that keep activations of the size that they have. */
function randomBlocks(random: () => number, width: number): Buffer {
  const bytes = Buffer.alloc(CHUNK_BLOCKS * Q8_BLOCK_BYTES);
  // The scale in half precision: 2^-k nearest to 1.5/(64·√width), the exponent alone.
  const exponent = Math.round(Math.log2(1.5 / (64 * Math.sqrt(width))));
  for (let block = 0; block < CHUNK_BLOCKS; block++) {
    bytes.writeUInt16LE((exponent + 15) << 10, block * Q8_BLOCK_BYTES);
    for (let i = 2; i < Q8_BLOCK_BYTES; i++) bytes.writeInt8(Math.floor(random() * 255) - 127, block * Q8_BLOCK_BYTES + i);
  }
  return bytes;
}
