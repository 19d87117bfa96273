import { seededRandom } from "../../lib/maths/random.js";
import { matrix, norm, type TensorSpec } from "./architecture-parts.js";
import { ggufBytes, type Metadata, type Tensor } from "./gguf-writer.js";

/** A tiny random encoder–decoder of T5's architecture; the encoder is deeper than the decoder, so that they cannot be mixed up. */
export const T5_SHAPE = { nEncoder: 3, nDecoder: 2, nEmbd: 32, nHead: 4, dHead: 16, nFf: 48, nBuckets: 32, epsilon: 1e-6 };

const PAD = 0, EOS = 1, UNKNOWN = 2;
/** `<pad>` starts the decoder, as in the published models. */
export const T5_TOKENS = { start: PAD, end: EOS };

const SPACE = "▁";
/** All characters of the vocabulary; a text is one token per character, with a space before it. */
const LETTERS = [SPACE, ..."abcdefghijklmnopqrstuvwxyzé<>/2_"];
const TAGS = ["<2en>", "<2fr>"];
const TYPES = { normal: 1, unknown: 2, control: 3, user: 4 };
const VOCABULARY: ReadonlyArray<readonly [text: string, type: number, score: number]> = [
  ["<pad>", TYPES.control, 0], ["</s>", TYPES.control, 0], ["<unk>", TYPES.unknown, 0],
  ...LETTERS.map((letter) => [letter, TYPES.normal, -2] as const),
  // The converter makes a model's own symbols ordinary tokens, of a score that every text with them prefers.
  ...TAGS.map((tag) => [tag, TYPES.normal, 0] as const),
  ["<extra_2>", TYPES.user, 0],
];

export interface TinyT5 {
  shape: typeof T5_SHAPE;
  nVocab: number;
  /** By name, row-major `[rows, columns]`; norms have one row. */
  weights: Map<string, { rows: number; columns: number; data: Float32Array }>;
}

/** Random weights, the same for the same seed. */
export function tinyT5(seed = 1, shape = T5_SHAPE): TinyT5 {
  const random = seededRandom(seed);
  const weights = new Map(specs(shape).map(({ name, shape: extents, draw }) => {
    const data = Float32Array.from({ length: extents.reduce((a, b) => a * b, 1) }, () => draw(random));
    return [name, { rows: extents.length === 1 ? 1 : extents[0]!, columns: extents.at(-1)!, data }];
  }));
  return { shape, nVocab: VOCABULARY.length, weights };
}

/** The model as the bytes of a GGUF; `metadata` changes or adds keys. */
export function encodeT5({ shape, weights }: TinyT5, metadata: Metadata = {}): Buffer {
  const tensors: Tensor[] = Array.from(
    weights, ([name, { rows, columns, data }]) => ({ name, shape: rows === 1 ? [columns] : [rows, columns], data }),
  );
  return ggufBytes({ ...t5Metadata(shape), ...metadata }, tensors);
}

/** Tokens of a text of the vocabulary's characters, written from SentencePiece's definition: a space before each word. */
export function letterTokens(text: string): number[] {
  return [...text.trim().split(/\s+/).map((word) => SPACE + word).join("")].map(tokenOf);
}

/** What the encoder reads: the tag as one token, the text letter by letter, the end. */
export function sourceTokens(tag: string, text: string): number[] {
  return [tokenOf(SPACE), tokenOf(tag), ...letterTokens(text), EOS];
}

/** The text that tokens stand for. */
export function textOf(tokens: readonly number[]): string {
  return tokens.map(
    (token) => (VOCABULARY[token]![1] === TYPES.normal || VOCABULARY[token]![1] === TYPES.user ? VOCABULARY[token]![0] : ""),
  ).join("").replaceAll(SPACE, " ").replace(/^ /, "");
}

function tokenOf(text: string): number {
  const token = VOCABULARY.findIndex(([known]) => known === text);
  if (token < 0) throw new Error(`no token ${text}`);
  return token;
}

function specs({ nEncoder, nDecoder, nEmbd, nHead, dHead, nFf, nBuckets }: typeof T5_SHAPE): TensorSpec[] {
  // T5 does not divide scores by the square root of the heads' width: smaller queries leave the attention soft.
  const attention = (prefix: string): TensorSpec[] => [
    matrix(`${prefix}_q`, [nHead * dHead, nEmbd], 0.4), matrix(`${prefix}_k`, [nHead * dHead, nEmbd], 1),
    matrix(`${prefix}_v`, [nHead * dHead, nEmbd]), matrix(`${prefix}_o`, [nEmbd, nHead * dHead]),
  ];
  const distances = (prefix: string, layer: number): TensorSpec[] => (layer > 0 ? [] : [matrix(`${prefix}_rel_b`, [nBuckets, nHead], 2)]);
  const feedForward = (prefix: string): TensorSpec[] => [
    norm(`${prefix}_norm`, nEmbd), matrix(`${prefix}_gate`, [nFf, nEmbd]), matrix(`${prefix}_up`, [nFf, nEmbd]),
    matrix(`${prefix}_down`, [nEmbd, nFf]),
  ];
  const encoder = Array.from({ length: nEncoder }, (_, layer) => {
    const name = `enc.blk.${layer}`;
    return [
      norm(`${name}.attn_norm`, nEmbd), ...attention(`${name}.attn`), ...distances(`${name}.attn`, layer), ...feedForward(`${name}.ffn`),
    ];
  });
  const decoder = Array.from({ length: nDecoder }, (_, layer) => {
    const name = `dec.blk.${layer}`;
    return [
      norm(`${name}.attn_norm`, nEmbd), ...attention(`${name}.attn`), ...distances(`${name}.attn`, layer),
      norm(`${name}.cross_attn_norm`, nEmbd), ...attention(`${name}.cross_attn`), ...feedForward(`${name}.ffn`),
    ];
  });
  return [
    matrix("token_embd", [VOCABULARY.length, nEmbd], 5), ...encoder.flat(), norm("enc.output_norm", nEmbd),
    ...decoder.flat(), norm("dec.output_norm", nEmbd), matrix("output", [VOCABULARY.length, nEmbd], 3),
  ];
}

function t5Metadata({ nEncoder, nDecoder, nEmbd, nHead, dHead, nFf, nBuckets, epsilon }: typeof T5_SHAPE): Metadata {
  return {
    "general.architecture": "t5",
    "general.name": "tiny random",
    "general.file_type": 0,
    "t5.context_length": 512,
    "t5.embedding_length": nEmbd,
    "t5.feed_forward_length": nFf,
    "t5.block_count": nEncoder,
    "t5.decoder_block_count": nDecoder,
    "t5.attention.head_count": nHead,
    "t5.attention.key_length": dHead,
    "t5.attention.value_length": dHead,
    "t5.attention.layer_norm_epsilon": { f32: epsilon },
    "t5.attention.layer_norm_rms_epsilon": { f32: epsilon },
    "t5.attention.relative_buckets_count": nBuckets,
    "t5.decoder_start_token_id": PAD,
    "tokenizer.ggml.model": "t5",
    "tokenizer.ggml.pre": "default",
    "tokenizer.ggml.tokens": VOCABULARY.map(([text]) => text),
    "tokenizer.ggml.token_type": VOCABULARY.map(([, type]) => type),
    "tokenizer.ggml.scores": { f32: VOCABULARY.map(([, , score]) => score) },
    "tokenizer.ggml.add_space_prefix": true,
    "tokenizer.ggml.remove_extra_whitespaces": true,
    "tokenizer.ggml.eos_token_id": EOS,
    "tokenizer.ggml.unknown_token_id": UNKNOWN,
    "tokenizer.ggml.padding_token_id": PAD,
  };
}
