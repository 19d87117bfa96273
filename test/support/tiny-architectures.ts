import { seededRandom } from "../../lib/maths/random.js";
import {
  biased, embedding, experts, fusedProjections, gatedFf, headNorms, matrix, MOE, norm, N_VOCAB, output, ownOutput, projections, sequential,
  SHAPE, TIED,
  WIDE, WINDOW, type Architecture, type Shape, type TensorSpec,
} from "./architecture-parts.js";
import { ggufBytes, type Metadata, type Tensor } from "./gguf-writer.js";
import { OTHERS } from "./other-architectures.js";

export const EPSILON = 1e-5;
export const ROPE_BASE = 10000;

const SUPPORTED: Record<string, Architecture> = {
  llama: { layer: (shape) => sequential(shape, [...projections(shape), output(shape)], gatedFf(shape)) },
  mixtral: {
    architecture: "llama", shape: MOE, layer: (shape) => sequential(shape, [...projections(shape), output(shape)], experts(shape)),
  },
  qwen2: { layer: (shape) => sequential(shape, [...biased(...projections(shape)), output(shape)], gatedFf(shape)) },
  qwen3: { shape: WIDE, layer: (shape) => sequential(shape, [...projections(shape), ...headNorms(shape), output(shape)], gatedFf(shape)) },
  qwen3moe: {
    shape: { ...WIDE, ...MOE },
    layer: (shape) => sequential(shape, [...projections(shape), ...headNorms(shape), output(shape)], experts(shape)),
  },
  gemma2: {
    ...TIED,
    shape: WIDE,
    // Windows in every other layer, from the first. Caps low enough to bend scores and logits.
    metadata: () => ({ ...WINDOW, attn_logit_softcapping: { f32: 5 }, final_logit_softcapping: { f32: 8 } }),
    layer: (shape) => sequential(shape,
      [...projections(shape), output(shape), postNorm("post_attention_norm", shape)],
      [...gatedFf(shape), postNorm("post_ffw_norm", shape)]),
  },
  gemma3: {
    ...TIED,
    // Every sixth layer sees everything, the others a window.
    shape: { ...WIDE, nLayer: 6 },
    metadata: () => ({ ...WINDOW, "rope.freq_base_swa": { f32: 1000 } }),
    layer: (shape) => sequential(shape,
      [...projections(shape), ...headNorms(shape), output(shape), postNorm("post_attention_norm", shape)],
      [...gatedFf(shape), postNorm("post_ffw_norm", shape)]),
  },
  phi3: {
    layer: (shape) => sequential(shape,
      [fusedProjections(shape), output(shape)],
      [matrix("ffn_up", [2 * shape.nFf, shape.nEmbd]), matrix("ffn_down", [shape.nEmbd, shape.nFf])]),
  },
};

const ALL: Record<string, Architecture> = { ...SUPPORTED, ...OTHERS };

/** Those and the other ones below. */
export const ALL_ARCHITECTURES: readonly string[] = Object.keys(ALL);

const isSample = process.env["LLAMA_STEER_TEST_SAMPLE"] !== undefined;
/** A plain one, and one with norms after both parts, windows and shared embeddings. */
const SAMPLE = ["llama", "gemma3"];
/** Parts side by side, and a hybrid. */
const OTHER_SAMPLE = ["command-r", "lfm2"];

/** Architectures that the graph path knows; a sample of them where a slow device computes (test/devices/run.ts). */
export const ARCHITECTURES: readonly string[] = isSample ? SAMPLE : Object.keys(SUPPORTED);

/** Causal architectures of other structures: they work at head_out or are refused. */
export const OTHER_ARCHITECTURES: readonly string[] = isSample ? OTHER_SAMPLE : Object.keys(OTHERS);

export interface GgufOptions {
  seed?: number;
  /** Q8_0 for what llama.cpp's own quantisation would take; norms, biases, routers and convolutions stay F32. */
  quantised?: boolean;
}

/** The bytes of a tiny random model, the same for the same seed. */
export function architectureGguf(name: string, { seed = 1, quantised = false }: GgufOptions = {}): Buffer {
  return encodeArchitecture(name, architectureShape(name), architectureTensors(name, { seed, quantised }));
}

/** Shape of `architectureGguf`'s model; W_O's input is `[nHead · dHead]` wide. */
export function architectureShape(name: string): Shape {
  return { ...SHAPE, ...architectureOf(name).shape };
}

/** Random weights before quantisation, with the type that they are to be stored in. */
export function architectureTensors(
  name: string, { seed = 1, quantised = false }: GgufOptions = {}, shape = architectureShape(name),
): Tensor[] {
  const random = seededRandom(seed);
  return architectureSpecs(name, shape).map(({ name, shape, draw, exact }) => ({
    name, shape,
    data: Float32Array.from({ length: shape.reduce((product, extent) => product * extent, 1) }, () => draw(random)),
    type: quantised && !exact ? "Q8_0" : "F32",
  }));
}

/** The tensors of a model, without values. */
export function architectureSpecs(name: string, shape: Shape): TensorSpec[] {
  const { before = (s: Shape) => [embedding(s)], layer, after = ownOutput } = architectureOf(name);
  const layers = Array.from(
    { length: shape.nLayer }, (_, il) => layer(shape, il).map((spec) => ({ ...spec, name: `blk.${il}.${spec.name}` })),
  );
  return [...before(shape), ...layers.flat(), ...after(shape)];
}

/** A GGUF of given tensors, with the metadata of an architecture and a shape. */
export function encodeArchitecture(name: string, shape: Shape, tensors: readonly Tensor[]): Buffer {
  return ggufBytes(architectureMetadata(name, shape, tensors.some(({ type }) => type === "Q8_0")), tensors);
}

export function architectureMetadata(name: string, shape: Shape, quantised: boolean): Metadata {
  const { architecture = name, metadata = () => ({}) } = architectureOf(name);
  const own = Object.entries({ ...commonMetadata(shape), ...metadata(shape) }).map(([key, value]) => [`${architecture}.${key}`, value]);
  return {
    "general.architecture": architecture,
    // Nothing more: llama.cpp takes a name with "phi3" in it for a promise of Phi's special tokens.
    "general.name": "tiny random",
    "general.file_type": quantised ? 7 : 0,
    ...Object.fromEntries(own) as Metadata,
    ...byteVocabulary(),
  };
}

function architectureOf(name: string): Architecture {
  const found = ALL[name];
  if (!found) throw new Error(`no tiny ${name}`);
  return found;
}

/** Norm of what a sublayer adds; large, so that it counts beside the embeddings, which Gemma multiplies by √nEmbd. */
function postNorm(name: string, { nEmbd }: Shape): TensorSpec {
  return norm(name, nEmbd, 2);
}

function commonMetadata({ nLayer, nEmbd, nHead, nHeadKv, dHead, nFf, nCtx, nExpert, nExpertUsed }: Shape): Metadata {
  return {
    block_count: nLayer,
    context_length: nCtx,
    embedding_length: nEmbd,
    feed_forward_length: nFf,
    "attention.head_count": nHead,
    "attention.head_count_kv": nHeadKv,
    // An architecture reads the one of its kind of norm.
    "attention.layer_norm_rms_epsilon": { f32: EPSILON },
    "attention.layer_norm_epsilon": { f32: EPSILON },
    "rope.freq_base": { f32: ROPE_BASE },
    "rope.dimension_count": dHead,
    // Left out where llama.cpp's default is right, as in most files.
    ...(nHead * dHead === nEmbd ? {} : { "attention.key_length": dHead, "attention.value_length": dHead }),
    ...(nExpert === 0 ? {} : { expert_count: nExpert, expert_used_count: nExpertUsed, expert_feed_forward_length: nFf }),
  };
}

/** SentencePiece with a token for each byte and no merges: three tokens for a space (U+2581), and one stands before the text. */
export function byteVocabulary(): Metadata {
  const bytes = Array.from({ length: N_VOCAB - 3 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  return {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", ...bytes],
    "tokenizer.ggml.scores": { f32: new Array<number>(N_VOCAB).fill(0) },
    // 2 = unknown, 3 = control, 6 = byte
    "tokenizer.ggml.token_type": [2, 3, 3, ...bytes.map(() => 6)],
    "tokenizer.ggml.unknown_token_id": 0,
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
  };
}
