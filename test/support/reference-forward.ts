import type { HookSite } from "../../lib/index.js";
import { addTo, matrixOf, product, rmsNormed, softmax } from "./linear.js";
import { EPSILON, ROPE_BASE } from "./tiny-architectures.js";
import type { TinyModel } from "./tiny-model.js";

/** What to add to the input of W_O: `[width]`, or undefined for nothing. */
export type HeadOutHook = (layer: number, position: number) => Float64Array | undefined;

/** What to make of an activation at any site. */
export type SiteHook = (site: HookSite, layer: number, position: number, x: Float64Array) => Float64Array;

export interface ForwardResult {
  /** `[position][nVocab]` */
  logits: Float64Array[];
  /** Input of W_O before the hook, `[layer][position][nHead · dHead]`. */
  headOut: Float64Array[][];
  /** The stream behind each block, `[layer][position][nEmbd]`. */
  residPost: Float64Array[][];
}

/**
 * Llama's forward pass over a whole sequence in double precision, written from the architecture's definition: no KV
 * cache, no batching, nothing shared with the addon.
 */
export function forward(
  model: TinyModel, tokens: readonly number[], hook: HeadOutHook = () => undefined, change: SiteHook = (_site, _layer, _position, x) => x,
): ForwardResult {
  const { nLayer, nEmbd, nHead, nHeadKv } = model.shape;
  const dHead = nEmbd / nHead;
  const embedding = matrixOf(model, "token_embd.weight");
  const stream = tokens.map((token): Float64Array => Float64Array.from(embedding.data.subarray(token * nEmbd, (token + 1) * nEmbd)));
  const headOut: Float64Array[][] = [];
  const residPost: Float64Array[][] = [];
  for (let layer = 0; layer < nLayer; layer++) {
    const name = (part: string): string => `blk.${layer}.${part}.weight`;
    const normed = stream.map((x) => rmsNormed(x, matrixOf(model, name("attn_norm")), EPSILON));
    const queries = normed.map((x, position) => rotate(product(matrixOf(model, name("attn_q")), x), position, dHead));
    const keys = normed.map((x, position) => rotate(product(matrixOf(model, name("attn_k")), x), position, dHead));
    const values = normed.map((x) => product(matrixOf(model, name("attn_v")), x));
    const outputs = queries.map((query, position) => attend(query, keys, values, position, nHead, nHeadKv, dHead));
    headOut.push(outputs);
    outputs.forEach((output, position) => {
      const added = hook(layer, position);
      const input = change("head_out", layer, position, added ? output.map((value, i) => value + added[i]!) : output);
      addTo(stream[position]!, change("attn_out", layer, position, product(matrixOf(model, name("attn_output")), input)));
      stream[position] = change("resid_mid", layer, position, stream[position]!);
    });
    for (const [position, x] of stream.entries()) {
      const y = rmsNormed(x, matrixOf(model, name("ffn_norm")), EPSILON);
      const gate = product(matrixOf(model, name("ffn_gate")), y);
      const up = product(matrixOf(model, name("ffn_up")), y);
      const mlp = product(matrixOf(model, name("ffn_down")), gate.map((g, i) => (g / (1 + Math.exp(-g))) * up[i]!));
      addTo(x, change("mlp_out", layer, position, mlp));
      stream[position] = change("resid_post", layer, position, x);
    }
    residPost.push(stream.map((x) => x.slice()));
  }
  const logits = stream.map((x) => product(matrixOf(model, "output.weight"), rmsNormed(x, matrixOf(model, "output_norm.weight"), EPSILON)));
  return { logits, headOut, residPost };
}

/** Rotary embedding of adjacent pairs, per head. */
function rotate(x: Float64Array, position: number, dHead: number): Float64Array {
  const result = Float64Array.from(x);
  for (let i = 0; i < x.length; i += 2) {
    const angle = position * ROPE_BASE ** (-(i % dHead) / dHead);
    const [a, b] = [x[i]!, x[i + 1]!];
    result[i] = a * Math.cos(angle) - b * Math.sin(angle);
    result[i + 1] = a * Math.sin(angle) + b * Math.cos(angle);
  }
  return result;
}

function attend(
  query: Float64Array, keys: Float64Array[], values: Float64Array[], position: number, nHead: number, nHeadKv: number, dHead: number,
): Float64Array {
  const result = new Float64Array(nHead * dHead);
  for (let head = 0; head < nHead; head++) {
    const shared = Math.floor(head / (nHead / nHeadKv)) * dHead;
    const scores = Array.from({ length: position + 1 }, (_, at) => {
      let score = 0;
      for (let i = 0; i < dHead; i++) score += query[head * dHead + i]! * keys[at]![shared + i]!;
      return score / Math.sqrt(dHead);
    });
    const weights = softmax(scores);
    weights.forEach((weight, at) => {
      for (let i = 0; i < dHead; i++) result[head * dHead + i]! += weight * values[at]![shared + i]!;
    });
  }
  return result;
}
