import { seededRandom } from "../../lib/maths/random.js";

/** Shape of a tiny random model of llama's architecture. */
export interface TinyShape {
  nLayer: number;
  nEmbd: number;
  nHead: number;
  nHeadKv: number;
  nFf: number;
  nCtx: number;
}

/** Weights by tensor name, row-major `[rows, columns]` (ggml's `ne` is `[columns, rows]`). */
export interface TinyModel {
  shape: TinyShape;
  nVocab: number;
  weights: Map<string, { rows: number; columns: number; data: Float32Array }>;
}

export const TINY_SHAPE: TinyShape = { nLayer: 3, nEmbd: 32, nHead: 4, nHeadKv: 2, nFf: 48, nCtx: 256 };

export const RMS_EPSILON = 1e-5;
export const ROPE_BASE = 10000;

/** Token ids: unknown, BOS, EOS, then one token per byte. */
export const N_SPECIAL = 3;

/** Random weights, the same for the same seed. */
export function tinyModel(seed = 1, shape = TINY_SHAPE): TinyModel {
  const { nLayer, nEmbd, nHead, nHeadKv, nFf } = shape;
  const nVocab = N_SPECIAL + 256;
  const random = seededRandom(seed);
  const weights: TinyModel["weights"] = new Map();
  // Uniform with variance 1/columns times a gain that keeps logits and attention away from uniform.
  const matrix = (name: string, rows: number, columns: number, gain = 1.5): void => {
    const scale = gain * Math.sqrt(12 / columns);
    weights.set(name, { rows, columns, data: Float32Array.from({ length: rows * columns }, () => (random() - 0.5) * scale) });
  };
  const norm = (name: string): void => void weights.set(name, { rows: 1, columns: nEmbd, data: Float32Array.from({ length: nEmbd }, () => 0.8 + 0.4 * random()) });
  const dHead = nEmbd / nHead;
  matrix("token_embd.weight", nVocab, nEmbd, 5);
  for (let layer = 0; layer < nLayer; layer++) {
    norm(`blk.${layer}.attn_norm.weight`);
    matrix(`blk.${layer}.attn_q.weight`, nEmbd, nEmbd);
    matrix(`blk.${layer}.attn_k.weight`, nHeadKv * dHead, nEmbd);
    matrix(`blk.${layer}.attn_v.weight`, nHeadKv * dHead, nEmbd);
    matrix(`blk.${layer}.attn_output.weight`, nEmbd, nEmbd);
    norm(`blk.${layer}.ffn_norm.weight`);
    matrix(`blk.${layer}.ffn_gate.weight`, nFf, nEmbd);
    matrix(`blk.${layer}.ffn_up.weight`, nFf, nEmbd);
    matrix(`blk.${layer}.ffn_down.weight`, nEmbd, nFf);
  }
  norm("output_norm.weight");
  matrix("output.weight", nVocab, nEmbd, 3);
  return { shape, nVocab, weights };
}

/** The model as the bytes of a GGUF (version 3, F32) with a byte-level SentencePiece vocabulary. */
export function encodeGguf({ shape, nVocab, weights }: TinyModel): Buffer {
  const pieces = ["<unk>", "<s>", "</s>", ...Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`)];
  const types = [2, 3, 3, ...Array.from({ length: 256 }, () => 6)];
  const pairs = [
    text("general.architecture", "llama"),
    text("general.name", "tiny random llama"),
    u32("general.file_type", 0),
    u32("llama.block_count", shape.nLayer),
    u32("llama.context_length", shape.nCtx),
    u32("llama.embedding_length", shape.nEmbd),
    u32("llama.feed_forward_length", shape.nFf),
    u32("llama.attention.head_count", shape.nHead),
    u32("llama.attention.head_count_kv", shape.nHeadKv),
    f32("llama.attention.layer_norm_rms_epsilon", RMS_EPSILON),
    f32("llama.rope.freq_base", ROPE_BASE),
    u32("llama.rope.dimension_count", shape.nEmbd / shape.nHead),
    text("tokenizer.ggml.model", "llama"),
    array("tokenizer.ggml.tokens", 8, pieces.map(bytesOfString)),
    array("tokenizer.ggml.scores", 6, pieces.map(() => float(0))),
    array("tokenizer.ggml.token_type", 5, types.map(uint)),
    u32("tokenizer.ggml.unknown_token_id", 0),
    u32("tokenizer.ggml.bos_token_id", 1),
    u32("tokenizer.ggml.eos_token_id", 2),
  ];
  if (pieces.length !== nVocab) throw new Error(`vocabulary of ${pieces.length} for ${nVocab} rows`);
  const infos: Buffer[] = [];
  const data: Buffer[] = [];
  let offset = 0;
  for (const [name, { rows, columns, data: values }] of weights) {
    const dimensions = rows === 1 ? [columns] : [columns, rows];
    infos.push(bytesOfString(name), uint(dimensions.length), ...dimensions.map(long), uint(0), long(offset));
    const padded = Buffer.alloc(Math.ceil(values.byteLength / 32) * 32);
    padded.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    data.push(padded);
    offset += padded.length;
  }
  const header = Buffer.concat([Buffer.from("GGUF"), uint(3), long(weights.size), long(pairs.length), ...pairs, ...infos]);
  const alignment = Buffer.alloc((32 - (header.length % 32)) % 32);
  return Buffer.concat([header, alignment, ...data]);
}

const text = (key: string, value: string): Buffer => Buffer.concat([bytesOfString(key), uint(8), bytesOfString(value)]);
const u32 = (key: string, value: number): Buffer => Buffer.concat([bytesOfString(key), uint(4), uint(value)]);
const f32 = (key: string, value: number): Buffer => Buffer.concat([bytesOfString(key), uint(6), float(value)]);

function array(key: string, type: number, items: Buffer[]): Buffer {
  return Buffer.concat([bytesOfString(key), uint(9), uint(type), long(items.length), ...items]);
}

function bytesOfString(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([long(bytes.length), bytes]);
}

function uint(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

function long(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer;
}

function float(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeFloatLE(value);
  return buffer;
}
