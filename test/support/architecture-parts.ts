import type { Metadata } from "./gguf-writer.js";

/** What a tiny model of any architecture is made of. */
export interface Shape {
  nLayer: number;
  nEmbd: number;
  nHead: number;
  nHeadKv: number;
  /** `nHead · dHead` is the width of W_O's input; it need not be nEmbd. */
  dHead: number;
  /** Width of the feed-forward network, or of each expert's. */
  nFf: number;
  nCtx: number;
  /** 0 = one dense network. */
  nExpert: number;
  nExpertUsed: number;
}

/** A tensor to be filled with random values. */
export interface TensorSpec {
  name: string;
  /** Row-major, `[rows, columns]` or `[experts, rows, columns]`. */
  shape: readonly number[];
  /** One value from numbers in [0, 1). */
  draw(random: () => number): number;
  /** Stays F32 in a quantised model, as llama.cpp's own quantisation leaves it. */
  exact: boolean;
}

/** What llama.cpp's loader requires of one architecture (its src/models). */
export interface Architecture {
  /** `general.architecture` where it is not the name. */
  architecture?: string;
  /** What differs from `SHAPE`. */
  shape?: Partial<Shape>;
  /** Keys without the architecture's prefix, beside the common ones or instead of them. */
  metadata?(shape: Shape): Metadata;
  /** Tensors outside the layers; default: embeddings, and an output matrix of its own after an RMS norm. */
  before?(shape: Shape): TensorSpec[];
  after?(shape: Shape): TensorSpec[];
  /** Tensors of a layer, their names without `blk.N.`. */
  layer(shape: Shape, layer: number): TensorSpec[];
}

/** Every width is a multiple of Q8_0's 32. */
export const SHAPE: Shape = { nLayer: 3, nEmbd: 32, nHead: 4, nHeadKv: 2, dHead: 8, nFf: 64, nCtx: 256, nExpert: 0, nExpertUsed: 0 };
export const MOE = { nExpert: 4, nExpertUsed: 2 };
/** Heads that are together wider than the residual stream. */
export const WIDE = { dHead: 16 };
/** Short enough to hide a part of a test's prompt. */
export const WINDOW = { "attention.sliding_window": 16 };

/** Tokens: unknown, BOS, EOS, then one per byte. */
export const N_VOCAB = 3 + 256;

/** Uniform with variance gain²/columns: a gain above 1 keeps attention and logits away from uniform. */
export function matrix(name: string, shape: readonly number[], gain = 1.5): TensorSpec {
  const scale = gain * Math.sqrt(12 / shape.at(-1)!);
  return { name: `${name}.weight`, shape, draw: (random) => (random() - 0.5) * scale, exact: false };
}

export function exactMatrix(name: string, shape: readonly number[], gain?: number): TensorSpec {
  return { ...matrix(name, shape, gain), exact: true };
}

/** Weights around `size`. */
export function norm(name: string, width: number | readonly number[], size = 1): TensorSpec {
  return { name: `${name}.weight`, shape: [width].flat(), draw: (random) => size * (0.8 + 0.4 * random()), exact: true };
}

export function bias(name: string, shape: readonly number[]): TensorSpec {
  return { name: `${name}.bias`, shape, draw: (random) => random() - 0.5, exact: true };
}

/** Decay rates of a state-space layer; the name has no suffix. */
export function negative(name: string, shape: readonly number[]): TensorSpec {
  return { name, shape, draw: (random) => -0.2 - random(), exact: true };
}

/** Each matrix followed by its bias, one value per row. */
export function biased(...specs: TensorSpec[]): TensorSpec[] {
  return specs.flatMap((spec) => [spec, bias(spec.name.replace(/\.weight$/, ""), spec.shape.slice(0, -1))]);
}

export function layerNorm(name: string, width: number): TensorSpec[] {
  return [norm(name, width), bias(name, [width])];
}

export function projections({ nEmbd, nHead, nHeadKv, dHead }: Shape): TensorSpec[] {
  return [matrix("attn_q", [nHead * dHead, nEmbd]), matrix("attn_k", [nHeadKv * dHead, nEmbd]), matrix("attn_v", [nHeadKv * dHead, nEmbd])];
}

export function fusedProjections({ nEmbd, nHead, nHeadKv, dHead }: Shape): TensorSpec {
  return matrix("attn_qkv", [(nHead + 2 * nHeadKv) * dHead, nEmbd]);
}

export function headNorms({ dHead }: Shape): TensorSpec[] {
  return [norm("attn_q_norm", dHead), norm("attn_k_norm", dHead)];
}

/** W_O. */
export function output({ nEmbd, nHead, dHead }: Shape): TensorSpec {
  return matrix("attn_output", [nEmbd, nHead * dHead]);
}

/** `suffix`: `_shexp` for an expert that every token uses. */
export function gatedFf({ nEmbd, nFf }: Shape, suffix = ""): TensorSpec[] {
  return [matrix(`ffn_gate${suffix}`, [nFf, nEmbd]), matrix(`ffn_up${suffix}`, [nFf, nEmbd]), matrix(`ffn_down${suffix}`, [nEmbd, nFf])];
}

export function plainFf({ nEmbd, nFf }: Shape): TensorSpec[] {
  return [matrix("ffn_up", [nFf, nEmbd]), matrix("ffn_down", [nEmbd, nFf])];
}

/** The router and its experts. */
export function experts({ nEmbd, nFf, nExpert }: Shape): TensorSpec[] {
  return [
    exactMatrix("ffn_gate_inp", [nExpert, nEmbd]),
    matrix("ffn_gate_exps", [nExpert, nFf, nEmbd]), matrix("ffn_up_exps", [nExpert, nFf, nEmbd]),
    matrix("ffn_down_exps", [nExpert, nEmbd, nFf]),
  ];
}

export function embedding({ nEmbd }: Shape, gain = 5): TensorSpec {
  return matrix("token_embd", [N_VOCAB, nEmbd], gain);
}

/** An output matrix of its own, after an RMS norm. */
export function ownOutput({ nEmbd }: Shape): TensorSpec[] {
  return [norm("output_norm", nEmbd), unembedding(nEmbd)];
}

export function ownOutputLayerNorm({ nEmbd }: Shape): TensorSpec[] {
  return [...layerNorm("output_norm", nEmbd), unembedding(nEmbd)];
}

export function unembedding(nEmbd: number): TensorSpec {
  return matrix("output", [N_VOCAB, nEmbd], 3);
}

/** The embeddings are the output matrix too: larger ones would make every token predict itself; the norm makes up for it. */
export const TIED: Pick<Architecture, "before" | "after"> = {
  before: (shape) => [embedding(shape, 1)],
  after: ({ nEmbd }) => [norm("output_norm", nEmbd, 3)],
};

/** Attention and a feed-forward network one after the other, each after an RMS norm. */
export function sequential({ nEmbd }: Shape, attention: TensorSpec[], feedForward: TensorSpec[]): TensorSpec[] {
  return [norm("attn_norm", nEmbd), ...attention, norm("ffn_norm", nEmbd), ...feedForward];
}

export function sequentialLayerNorm({ nEmbd }: Shape, attention: TensorSpec[], feedForward: TensorSpec[]): TensorSpec[] {
  return [...layerNorm("attn_norm", nEmbd), ...attention, ...layerNorm("ffn_norm", nEmbd), ...feedForward];
}
