import type { Metadata } from "./gguf-writer.js";

/** What every tiny model is asked to be; an architecture takes the keys that it knows. */
const LAYERS = 4;
const EMBEDDING = 64;
const HEADS = 4;
const HEAD = EMBEDDING / HEADS;

const COMMON: Metadata = {
  block_count: LAYERS,
  context_length: 256,
  embedding_length: EMBEDDING,
  feed_forward_length: 96,
  "attention.head_count": HEADS,
  "attention.head_count_kv": HEADS,
  "attention.layer_norm_epsilon": { f32: 1e-5 },
  "attention.layer_norm_rms_epsilon": { f32: 1e-5 },
  "attention.group_norm_epsilon": { f32: 1e-5 },
  "attention.group_norm_groups": 8,
  "attention.clamp_kqv": { f32: 8 },
  "attention.max_alibi_bias": { f32: 8 },
  "attention.q_lora_rank": 32,
  "attention.kv_lora_rank": 32,
  "attention.sliding_window": 8,
  "attention.sliding_window_pattern": 2,
  "attention.decay_lora_rank": 16,
  "attention.iclr_lora_rank": 16,
  "attention.value_residual_mix_lora_rank": 16,
  "attention.gate_lora_rank": 16,
  "attention.indexer.head_count": 4,
  "attention.indexer.key_length": 64,
  "attention.indexer.top_k": 131072,
  "attention.indexer.block_size": 4,
  "attention.indexer.local_blocks": 1,
  "rope.freq_base": { f32: 10000 },
  "rope.freq_base_swa": { f32: 10000 },
  "rope.dimension_sections": [HEAD / 4, HEAD / 4, HEAD / 4, HEAD / 4],
  time_mix_extra_dim: 16,
  time_decay_extra_dim: 16,
  "ssm.conv_kernel": 4,
  "ssm.inner_size": 2 * EMBEDDING,
  "ssm.state_size": 16,
  "ssm.time_step_rank": HEADS,
  "ssm.group_count": 2,
  full_attention_interval: 2,
  leading_dense_block_count: 1,
  interleave_moe_layer_step: 2,
  use_parallel_residual: true,
  logit_scale: { f32: 0.8 },
  residual_scale: { f32: 1.3 },
  embedding_scale: { f32: 2 },
  embedding_length_per_layer_input: 16,
  "activation.situ_beta": { f32: 4 },
  "activation.situ_linear_beta": { f32: 25 },
  "attn_res.block_size": 12,
  "hyper_connection.count": 4,
  "hyper_connection.sinkhorn_iterations": 2,
  "hyper_connection.epsilon": { f32: 1e-6 },
  num_loops: 1,
};

const EXPERTS: Metadata = {
  expert_count: 4,
  expert_used_count: 2,
  expert_shared_count: 1,
  expert_feed_forward_length: 48,
  expert_shared_feed_forward_length: 48,
  expert_latent_length: 48,
  expert_chunk_feed_forward_length: 48,
  expert_gating_func: 2,
  expert_group_scale: { f32: 1 },
  experts_per_group: 1,
  expert_weights_scale: { f32: 1 },
  expert_weights_norm: true,
};

/** KV heads in every layer but one: the others are of another kind. */
const HYBRID: Metadata = { "attention.head_count_kv": [HEADS, 0, HEADS, HEADS] };
/** Windows in every other layer. */
const EVERY_OTHER: Metadata = { "attention.sliding_window_pattern": [1, 0, 1, 0] };
/** Multi-head latent attention: the cache holds 32 values and 16 rotated ones. */
const MLA: Metadata = {
  "attention.key_length": 48, "attention.value_length": 32, "rope.dimension_count": 16,
  "attention.key_length_mla": 40, "attention.value_length_mla": 24, "attention.head_count_kv": 1,
};
/** Beside linear attention of the same width. */
const MLA_HYBRID: Metadata = { ...MLA, "attention.head_count_kv": [0, 1, 0, 1], "attention.value_length_mla": HEAD };
const DELTA: Metadata = { "ssm.inner_size": 64, "ssm.state_size": 16 };
const KDA: Metadata = { "kda.head_dim": HEAD, "kda.safe_gate": true, "kda.gate_lower_bound": { f32: -5 } };
const WKV: Metadata = { "wkv.head_size": HEAD };
/** The CPU's vectors are as long: smaller heads it does not compute. */
const WKV7: Metadata = { "wkv.head_size": 64 };
const SHORT: Metadata = { ...HYBRID, "shortconv.l_cache": 3 };
const NEMOTRON: Metadata = { "attention.head_count_kv": [HEADS, 0, 0, HEADS], feed_forward_length: [0, 0, 96, 0] };
const INDEXED: Metadata = { "attention.indexer.types": [1, 0, 1, 0] };
const XIELU = Object.fromEntries(["alpha_n", "alpha_p", "beta", "eps"].map(
  (name) => [`xielu.${name}`, { f32: name === "eps" ? 1e-6 : 0.8 }],
));

/** What single architectures want otherwise. */
const OWN: Record<string, Metadata> = {
  jamba: HYBRID, granitehybrid: HYBRID, plamo2: { ...HYBRID, "ssm.group_count": 0 }, lfm2: SHORT, lfm2moe: SHORT,
  "kimi-linear": { ...MLA_HYBRID, ...KDA }, bailingmoe3: { ...MLA_HYBRID, ...KDA }, "kimi-k3": { ...MLA_HYBRID, ...KDA },
  qwen3next: DELTA, qwen35: DELTA, qwen35moe: DELTA, qwen4exp: { ...DELTA, "hyper_connection.low_rank": 8 },
  nemotron_h: NEMOTRON, nemotron_h_moe: NEMOTRON,
  rwkv6: { ...WKV, token_shift_count: 2 }, rwkv7: { ...WKV7, token_shift_count: 2 }, rwkv6qwen2: { ...WKV, token_shift_count: 1 },
  arwkv7: { ...WKV7, token_shift_count: 1 },
  deepseek2: MLA, deepseek32: MLA, "glm-dsa": MLA, mistral4: MLA,
  plm: { "attention.key_length": 32, "attention.value_length": 16, "rope.dimension_count": 16 },
  hy_v4: { ...MLA, ...INDEXED, "hyper_connection.magnitude": { f32: 2 }, swiglu_clamp_exp: { f32: 10 } },
  dots3note: {
    ...MLA, ...EVERY_OTHER, ...INDEXED, "attention.kv_lora_rank_swa": 32, "attention.key_length_swa": 48, "attention.value_length_swa": 32,
    "attention.key_length_mla_swa": 40, "attention.value_length_mla_swa": 24,
  },
  deepseek4: {
    embedding_length: 512, "attention.head_count": 8, "attention.head_count_kv": 1, "attention.key_length": 64,
    "attention.value_length": 64, "attention.q_lora_rank": 64,
    "attention.output_group_count": 8, "attention.output_lora_rank": 32, "attention.compress_ratios": [0, 0, 4, 128],
    "attention.compress_rope_freq_base": { f32: 160000 }, "rope.dimension_count": 32, hash_layer_count: 0, swiglu_clamp_exp: { f32: 10 },
    expert_gating_func: 4,
  },
  gemma4: { ...EVERY_OTHER, "attention.key_length_swa": HEAD, "attention.value_length_swa": HEAD, "attention.shared_kv_layers": 0 },
  hrm_text: { block_count: 8, "hrm.layers_per_stack": 1, "hrm.h_cycles": 2, "hrm.l_cycles": 3 },
  cohere2moe: EVERY_OTHER, mimo2: EVERY_OTHER, step35: EVERY_OTHER, spark2_5: EVERY_OTHER, "muse-glimmer": EVERY_OTHER,
  granite_swa: EVERY_OTHER,
  maple: { ...EVERY_OTHER, swiglu_clamp_exp: { f32: 7 } },
  "minimax-01": { full_attention_interval: 2 },
};

const ALL = [0, 1, 2, 3];
const EVEN = [0, 2];
const MOST = [1, 2, 3];
const DENSE = { "ffn_gate.weight": [0], "ffn_down.weight": [0], "ffn_up.weight": [0] };
const ROUTED = { "ffn_gate_inp.weight": MOST, "ffn_gate_exps.weight": MOST, "ffn_down_exps.weight": MOST, "ffn_up_exps.weight": MOST };
const SHARED = { "ffn_gate_shexp.weight": MOST, "ffn_down_shexp.weight": MOST, "ffn_up_shexp.weight": MOST };
const DELTA_NET = { "attn_qkv.weight": EVEN, "attn_gate.weight": EVEN };
const INDEXER = Object.fromEntries(["k_norm.weight", "k_norm.bias", "proj.weight", "attn_k.weight", "attn_q_b.weight"].map(
  (name) => [`indexer.${name}`, ALL],
));

/** Tensors that llama.cpp does not insist on, but without which its graph would be another or none: the layers that are to have them. */
const OPTIONAL: Record<string, Record<string, readonly number[]>> = {
  qwen3next: DELTA_NET, qwen35: DELTA_NET, qwen35moe: DELTA_NET,
  phi3: { "attn_qkv.weight": ALL }, pockettts: { "attn_qkv.weight": ALL },
  "falcon-h1": { "ssm_conv1d.bias": ALL }, granitehybrid: { "ssm_conv1d.bias": [1] },
  nemotron_h: { "ssm_conv1d.bias": [1] }, nemotron_h_moe: { "ssm_conv1d.bias": [1] },
  rwkv6: { "time_mix_lerp_fused.weight": ALL },
  "glm-dsa": INDEXER,
  mimo2: { ...DENSE, ...ROUTED }, step35: { ...DENSE, ...ROUTED, ...SHARED }, hy_v3: { ...DENSE, ...ROUTED, ...SHARED },
  gemma4: { "layer_output_scale.weight": ALL },
};

/** Shapes that llama.cpp takes from the file, within bounds that it does not name. */
const SHAPES: Record<string, Record<string, readonly number[]>> = {
  laguna: { "attn_gate.weight": [HEADS, EMBEDDING] },
};

/** Architectures that are made of experts, in some layers at least. */
const EXPERTS_ONLY = new Set([
  "llama4", "cohere2moe", "grok", "qwen2moe", "qwen3moe", "qwen3next", "qwen3vlmoe", "qwen35moe", "qwen4exp", "phimoe", "dbrx", "olmoe",
  "arctic", "deepseek",
  "deepseek2", "deepseek2-ocr", "deepseek32", "dots3note", "deepseek4", "glm4moe", "glm-dsa", "exaone-moe", "bailingmoe", "bailingmoe2",
  "bailingmoe3", "dots1",
  "afmoe", "ernie4_5-moe", "hunyuan-moe", "hy_v3", "hy_v4", "gpt-oss", "lfm2moe", "smallthinker", "llada-moe", "grovemoe", "granitemoe",
  "minimax-01", "minimax-m2",
  "minimax-m3", "rnd1", "mimo2", "kimi-linear", "kimi-k3", "step35", "mistral4", "mellum", "laguna", "maple", "nemotron_h_moe",
]);

/** Metadata of a tiny model of any architecture; `xielu.` keys have no prefix. */
export function everyMetadata(architecture: string): Metadata {
  const own = { ...COMMON, ...(EXPERTS_ONLY.has(architecture) ? EXPERTS : {}), ...OWN[architecture] };
  return { ...Object.fromEntries(Object.entries(own).map(([key, value]) => [`${architecture}.${key}`, value])), ...XIELU };
}

/** Tensors to offer before they are asked for. */
export function optionalTensors(architecture: string): string[] {
  return Object.entries(OPTIONAL[architecture] ?? {}).flatMap(([name, layers]) => layers.map((layer) => `blk.${layer}.${name}`));
}

/** The shape of a tensor as far as it has to be known beforehand. */
export function knownShape(architecture: string, tensor: string): readonly number[] | undefined {
  return SHAPES[architecture]?.[tensor.replace(/^blk\.\d+\./, "")];
}

/** What is not a language model that generates by itself. */
export const OTHER_KINDS: Record<string, string> = {
  clip: "an image encoder", bert: "an encoder", "modern-bert": "an encoder", "nomic-bert": "an encoder", "nomic-bert-moe": "an encoder",
  "neo-bert": "an encoder",
  "jina-bert-v2": "an encoder", "jina-bert-v3": "an encoder", eurobert: "an encoder", "gemma-embedding": "an encoder",
  t5: "an encoder–decoder", t5encoder: "an encoder",
  "wavtokenizer-dec": "a decoder of sound", dream: "a diffusion model", llada: "a diffusion model", "llada-moe": "a diffusion model",
  rnd1: "a diffusion model",
  eagle3: "a draft model", dflash: "a draft model", "gemma4-assistant": "a draft model",
};
