import { Batch, type Context } from "../../lib/engine/index.js";
import type { HookSite, Model } from "../../lib/index.js";
import { HOOK_SITES } from "../../lib/vector/index.js";
import type { Tensor } from "../support/gguf-writer.js";
import { maxDifference } from "../support/tiny-files.js";

/** Longer than the windows of the tiny models. */
const TOKENS = [1, 70, 103, 35, 118, 200, 9, 77, 80, 12, 66, 90];
/** Sums of a few dozen floats of size 10. */
const ROUNDING = 1e-3;

/** What comes after the MLP is added to the stream too: a part of the embeddings. */
const FURTHER = new Set(["gemma4", "talkie"]);
/** A state-space model adds to the stream beside the attention. */
const BESIDE = new Set(["falcon-h1"]);

/** `[layer][row]` of each site. */
type Activations = Record<HookSite, Map<number, Float64Array[]>>;

/** Every row's activations at every site. */
async function readAll(model: Model, context: Context): Promise<Activations> {
  const activations = {} as Activations;
  for (const site of HOOK_SITES) {
    const layers = model.siteLayers(site);
    activations[site] = new Map();
    if (layers.length === 0) continue;
    context.kvClear();
    const into = model.createCapture(site, layers, TOKENS.length);
    const batch = new Batch();
    TOKENS.forEach((token, position) => batch.add(token, position, 0, { output: true, capture: { into, step: position, weight: 1 } }));
    await context.decode(batch);
    const { sums } = model.takeCapture(into);
    const width = sums.length / (layers.length * TOKENS.length);
    layers.forEach((layer, index) => activations[site].set(layer, TOKENS.map((_, row) => {
      const start = (index * TOKENS.length + row) * width;
      return sums.slice(start, start + width);
    })));
  }
  return activations;
}

const minus = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value - b[i]!);
const differ = (a: Float64Array, b: Float64Array): number => maxDifference(a, b) / Math.max(1, ...a.map(Math.abs));

/**
 * What the sites' names promise, by algebra on every row: W_O · head_out = attn_out; resid_post − resid_mid = mlp_out;
 * resid_mid − the stream before = what attention adds, which is attn_out, up to a bias, a norm or a scale after it. Where attention
 * and MLP stand side by side: resid_post − the stream before − mlp_out.
 *
 * @returns what does not hold
 */
export async function disproved(model: Model, tensors: readonly Tensor[]): Promise<string[]> {
  using context = await model.createContext({ nCtx: 128, nSeqMax: 16 });
  const at = await readAll(model, context);
  const weights = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const wrong = new Set<string>();
  const check = (holds: boolean, what: string, layer: number): void => { if (!holds) wrong.add(`${what} in layer ${layer}`); };
  for (let layer = 0; layer < model.info.nLayer; layer++) {
    const [head, attn, mlp, mid, post] = HOOK_SITES.map((site) => at[site].get(layer));
    const before = at.resid_post.get(layer - 1);
    TOKENS.forEach((_, row) => {
      const wo = weights.get(`blk.${layer}.attn_output.weight`);
      if (head && attn) check(differ(product(wo!, head[row]!), attn[row]!) < ROUNDING, "W_O · head_out is not attn_out", layer);
      if (!mid || !mlp || !post || FURTHER.has(model.info.architecture)) return;
      check(differ(minus(post[row]!, mid[row]!), mlp[row]!) < ROUNDING, "resid_post − resid_mid is not mlp_out", layer);
    });
    if (!before || !attn || !post || BESIDE.has(model.info.architecture) || !(mid ?? mlp)) continue;
    const parts = TOKENS.map((_, row) => (mid ? minus(mid[row]!, before[row]!) : minus(minus(post[row]!, before[row]!), mlp![row]!)));
    check(isAttention(parts, attn, weights, layer), "what attention adds to the stream is not attn_out", layer);
  }
  return [...wrong];
}

function product({ shape, data }: Tensor, input: Float64Array): Float64Array {
  const [rows, columns] = shape as [number, number];
  return Float64Array.from({ length: rows }, (_, row) => input.reduce((sum, value, i) => sum + value * data[row * columns + i]!, 0));
}

/** Whether what was added is W_O's product times one number, plus one vector, the same for every row; or that after a norm. */
function isAttention(parts: Float64Array[], attn: Float64Array[], weights: Map<string, Tensor>, layer: number): boolean {
  const names = ["post_attention_norm.weight", "attn_output_norm.weight", "post_attention_norm"];
  const norm = names.map((name) => weights.get(`blk.${layer}.${name}`)).find(Boolean);
  const bias = weights.get(`blk.${layer}.attn_output.bias`)?.data;
  const biased = attn.map((row) => (bias ? row.map((value, i) => value + bias[i]!) : row));
  const normed = norm && biased.map((row) => {
    const scale = 1 / Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / row.length + 1e-5);
    return row.map((value, i) => value * scale * norm.data[i]!);
  });
  return [biased, normed].some((candidate) => candidate && isMultiple(parts, candidate));
}

function isMultiple(parts: Float64Array[], candidate: Float64Array[]): boolean {
  const dot = (a: Float64Array[], b: Float64Array[]): number =>
    a.reduce((sum, row, i) => row.reduce((inner, value, j) => inner + value * b[i]![j]!, sum), 0);
  const factor = dot(parts, candidate) / dot(candidate, candidate);
  return parts.every((row, i) => differ(row, candidate[i]!.map((value) => value * factor)) < ROUNDING);
}
