import {
  bias, biased, embedding, exactMatrix, experts, fusedProjections, gatedFf, headNorms, layerNorm, matrix, MOE, negative, norm, output,
  ownOutputLayerNorm, plainFf, projections, sequential, sequentialLayerNorm, TIED, unembedding, WIDE, WINDOW,
  type Architecture, type Shape, type TensorSpec,
} from "./architecture-parts.js";

// deepseek2's parts of a query and a key, and the ranks of its low-rank projections.
const MLA = { query: 32, latent: 32, plain: 32, rotated: 8 };
// qwen3next's delta net.
const DELTA = { nHeadKey: 2, nHeadValue: 4, dHead: 16 };
const SSM = { kernel: 4, state: 16, rank: 2 };

/** Causal architectures of other structures than the supported ones. */
export const OTHERS: Record<string, Architecture> = {
  // Learned positions.
  gpt2: {
    before: (shape) => [embedding(shape), exactMatrix("position_embd", [shape.nCtx, shape.nEmbd], 5)],
    after: ownOutputLayerNorm,
    layer: (shape) => sequentialLayerNorm(shape, biased(fusedProjections(shape), output(shape)), biased(...plainFf(shape))),
  },
  // ALiBi, and a norm of the embeddings.
  bloom: {
    before: (shape) => [embedding(shape), ...layerNorm("token_embd_norm", shape.nEmbd)],
    after: ownOutputLayerNorm,
    layer: (shape) => sequentialLayerNorm(shape, biased(fusedProjections(shape), output(shape)), biased(...plainFf(shape))),
  },
  // Attention and feed-forward network side by side, each after its own norm; half of a head is rotated.
  gptneox: {
    metadata: ({ dHead }) => ({ use_parallel_residual: true, "rope.dimension_count": dHead / 2 }),
    after: ownOutputLayerNorm,
    layer: (shape) => sequentialLayerNorm(shape, biased(fusedProjections(shape), output(shape)), biased(...plainFf(shape))),
  },
  // Side by side after one norm; one KV head.
  falcon: {
    shape: { nHeadKv: 1 },
    after: ownOutputLayerNorm,
    layer: (shape) => [...layerNorm("attn_norm", shape.nEmbd), fusedProjections(shape), output(shape), ...plainFf(shape)],
  },
  starcoder2: {
    after: ownOutputLayerNorm,
    layer: (shape) => sequentialLayerNorm(shape, biased(...projections(shape), output(shape)), biased(...plainFf(shape))),
  },
  // The parallel variant, with a norm for each head.
  stablelm: {
    after: ownOutputLayerNorm,
    layer: (shape) => [
      ...layerNorm("attn_norm", shape.nEmbd), ...projections(shape), output(shape), ...gatedFf(shape),
      norm("attn_q_norm", [shape.nHead, shape.dHead]), norm("attn_k_norm", [shape.nHeadKv, shape.dHead]),
    ],
  },
  // Norms after the sublayers only, and over all heads at once.
  olmo2: {
    layer: (shape) => [
      ...projections(shape), output(shape), norm("attn_q_norm", shape.nHead * shape.dHead),
      norm("attn_k_norm", shape.nHeadKv * shape.dHead),
      norm("post_attention_norm", shape.nEmbd), ...gatedFf(shape), norm("post_ffw_norm", shape.nEmbd),
    ],
  },
  "command-r": {
    ...TIED,
    metadata: () => ({ logit_scale: { f32: 0.8 } }),
    layer: (shape) => [norm("attn_norm", shape.nEmbd), ...projections(shape), output(shape), ...gatedFf(shape)],
  },
  // Attention sinks, windows in every other layer, biases of experts.
  "gpt-oss": {
    shape: { ...WIDE, ...MOE },
    metadata: () => WINDOW,
    layer: (shape) => [
      norm("attn_norm", shape.nEmbd), ...biased(...projections(shape), output(shape)),
      { ...bias("attn_sinks", [shape.nHead]), name: "attn_sinks.weight" },
      norm("post_attention_norm", shape.nEmbd), ...biased(...experts(shape)),
    ],
  },
  // Multi-head latent attention: the cache holds a vector of `latent` and one rotated key; W_O's input is narrower.
  deepseek2: {
    shape: { ...WIDE, ...MOE },
    metadata: ({ dHead }) => ({
      "attention.head_count_kv": 1, "attention.q_lora_rank": MLA.query, "attention.kv_lora_rank": MLA.latent,
      "attention.key_length": MLA.latent + MLA.rotated, "attention.value_length": MLA.latent,
      "attention.key_length_mla": MLA.plain + MLA.rotated, "attention.value_length_mla": dHead, "rope.dimension_count": MLA.rotated,
      leading_dense_block_count: 1, expert_shared_count: 1,
    }),
    layer: (shape, layer) => sequential(shape, [
      matrix("attn_q_a", [MLA.query, shape.nEmbd]), norm("attn_q_a_norm", MLA.query),
      matrix("attn_q_b", [shape.nHead * (MLA.plain + MLA.rotated), MLA.query]),
      matrix("attn_kv_a_mqa", [MLA.latent + MLA.rotated, shape.nEmbd]), norm("attn_kv_a_norm", MLA.latent),
      matrix("attn_k_b", [shape.nHead, MLA.latent, MLA.plain]), matrix("attn_v_b", [shape.nHead, shape.dHead, MLA.latent]), output(shape),
    ], layer === 0 ? gatedFf(shape) : [...experts(shape), ...gatedFf(shape, "_shexp")]),
  },
  // A norm between the heads and W_O.
  bitnet: {
    ...TIED,
    layer: (shape) => sequential(shape,
      [...projections(shape), norm("attn_sub_norm", shape.nHead * shape.dHead), output(shape)],
      [...gatedFf(shape), norm("ffn_sub_norm", shape.nFf)]),
  },
  // Attention in the odd layers, with a gate between the heads and W_O; a gated delta net in the even ones.
  qwen3next: {
    shape: { ...WIDE, ...MOE, nLayer: 4 },
    metadata: ({ nFf }) => ({
      full_attention_interval: 2, expert_shared_feed_forward_length: nFf,
      "ssm.conv_kernel": SSM.kernel, "ssm.state_size": DELTA.dHead, "ssm.group_count": DELTA.nHeadKey,
      "ssm.time_step_rank": DELTA.nHeadValue,
      "ssm.inner_size": DELTA.nHeadValue * DELTA.dHead,
    }),
    layer: (shape, layer) => [
      norm("attn_norm", shape.nEmbd), ...(layer % 2 === 1 ? gatedAttention(shape) : deltaNet(shape)),
      norm("post_attention_norm", shape.nEmbd),
      ...experts(shape), exactMatrix("ffn_gate_inp_shexp", [shape.nEmbd]), ...gatedFf(shape, "_shexp"),
    ],
  },
  // Attention in the middle layer, convolutions in the others.
  lfm2: {
    metadata: ({ nHeadKv }) => ({ "attention.head_count_kv": [0, nHeadKv, 0], "shortconv.l_cache": 3 }),
    after: (shape) => [norm("token_embd_norm", shape.nEmbd), unembedding(shape.nEmbd)],
    layer: (shape, layer) => sequential(shape, layer === 1 ? [...projections(shape), ...headNorms(shape), output(shape)] : [
      matrix("shortconv.in_proj", [3 * shape.nEmbd, shape.nEmbd]), exactMatrix("shortconv.conv", [shape.nEmbd, 3]),
      matrix("shortconv.out_proj", [shape.nEmbd, shape.nEmbd]),
    ], gatedFf(shape)),
  },
  // No attention at all.
  mamba: {
    shape: { nHead: 0, nHeadKv: 0, dHead: 0, nFf: 0 },
    metadata: ({ nEmbd }) => ({
      "ssm.conv_kernel": SSM.kernel, "ssm.inner_size": 2 * nEmbd, "ssm.state_size": SSM.state, "ssm.time_step_rank": SSM.rank,
    }),
    layer: ({ nEmbd }) => [
      norm("attn_norm", nEmbd), matrix("ssm_in", [4 * nEmbd, nEmbd]), ...biased(exactMatrix("ssm_conv1d", [2 * nEmbd, SSM.kernel])),
      matrix("ssm_x", [SSM.rank + 2 * SSM.state, 2 * nEmbd]), ...biased(exactMatrix("ssm_dt", [2 * nEmbd, SSM.rank])),
      negative("ssm_a", [2 * nEmbd, SSM.state]), { ...bias("ssm_d", [2 * nEmbd]), name: "ssm_d" }, matrix("ssm_out", [nEmbd, 2 * nEmbd]),
    ],
  },
};

/** The query projection yields the gates too. */
function gatedAttention(shape: Shape): TensorSpec[] {
  const [, key, value] = projections(shape) as [TensorSpec, TensorSpec, TensorSpec];
  return [matrix("attn_q", [2 * shape.nHead * shape.dHead, shape.nEmbd]), key, value, ...headNorms(shape), output(shape)];
}

function deltaNet({ nEmbd }: Shape): TensorSpec[] {
  const { nHeadKey, nHeadValue, dHead } = DELTA;
  const mixed = (2 * nHeadKey + nHeadValue) * dHead;
  return [
    matrix("attn_qkv", [mixed, nEmbd]), matrix("attn_gate", [nHeadValue * dHead, nEmbd]), exactMatrix("ssm_conv1d", [mixed, SSM.kernel]),
    bias("ssm_dt", [nHeadValue]), negative("ssm_a", [nHeadValue]), matrix("ssm_ba", [2 * nHeadValue, nEmbd]),
    norm("ssm_norm", dHead), matrix("ssm_out", [nEmbd, nHeadValue * dHead]),
  ];
}
