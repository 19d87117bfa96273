import { addTo, dot, matrixOf, product, rmsNormed, softmax } from "./linear.js";
import { T5_TOKENS, type TinyT5 } from "./tiny-t5.js";

export interface ReferenceTranslation {
  /** Without the end. */
  tokens: number[];
  /** Sum over the tokens and the end, in nats. */
  logProbability: number;
  isTruncated: boolean;
  /** By how much each step's likeliest token beats the next one, in nats. */
  margins: number[];
}

/** Farther apart is as far as this. */
const FARTHEST = 128;

/**
 * Greedy translation by T5's definition (v1.1: gated GELU, output matrix of its own) in double precision: every step
 * computes the whole decoder anew; no cache, no batching, nothing shared with the addon.
 */
export function referenceTranslation(model: TinyT5, source: readonly number[], maxNewTokens: number): ReferenceTranslation {
  const memory = encode(model, source);
  const result: ReferenceTranslation = { tokens: [], logProbability: 0, isTruncated: true, margins: [] };
  while (result.isTruncated && result.tokens.length < maxNewTokens) {
    const probabilities = softmax(nextLogits(model, memory, [T5_TOKENS.start, ...result.tokens]));
    const [first, second] = [...probabilities].sort((a, b) => b - a) as [number, number];
    const token = probabilities.indexOf(first);
    result.margins.push(Math.log(first / second));
    result.logProbability += Math.log(first);
    if (token === T5_TOKENS.end) result.isTruncated = false;
    else result.tokens.push(token);
  }
  return result;
}

function encode(model: TinyT5, tokens: readonly number[]): Float64Array[] {
  const stream = embed(model, tokens);
  for (let layer = 0; layer < model.shape.nEncoder; layer++) {
    const name = `enc.blk.${layer}`;
    const normed = stream.map((x) => rmsNorm(model, `${name}.attn_norm`, x));
    const bias = (query: number, key: number): number[] => distanceBias(model, "enc", bucketBothWays(key - query, model.shape.nBuckets));
    attention(model, `${name}.attn`, normed, normed, bias).forEach((y, at) => addTo(stream[at]!, y));
    stream.forEach((x) => addTo(x, feedForward(model, `${name}.ffn`, x)));
  }
  return stream.map((x) => rmsNorm(model, "enc.output_norm", x));
}

function nextLogits(model: TinyT5, memory: Float64Array[], tokens: readonly number[]): Float64Array {
  const stream = embed(model, tokens);
  for (let layer = 0; layer < model.shape.nDecoder; layer++) {
    const name = `dec.blk.${layer}`;
    const normed = stream.map((x) => rmsNorm(model, `${name}.attn_norm`, x));
    const bias = (query: number, key: number): number[] | undefined => (key > query ? undefined : distanceBias(
      model, "dec", bucketBack(query - key, model.shape.nBuckets),
    ));
    attention(model, `${name}.attn`, normed, normed, bias).forEach((y, at) => addTo(stream[at]!, y));
    const queries = stream.map((x) => rmsNorm(model, `${name}.cross_attn_norm`, x));
    const none = new Array<number>(model.shape.nHead).fill(0);
    attention(model, `${name}.cross_attn`, queries, memory, () => none).forEach((y, at) => addTo(stream[at]!, y));
    stream.forEach((x) => addTo(x, feedForward(model, `${name}.ffn`, x)));
  }
  return multiply(model, "output", rmsNorm(model, "dec.output_norm", stream.at(-1)!));
}

/** Half of the buckets for keys up to the query, half for those behind it. */
function bucketBothWays(distance: number, nBuckets: number): number {
  const half = nBuckets / 2;
  return (distance > 0 ? half : 0) + bucketBack(Math.abs(distance), half);
}

/** One bucket each for the nearer distances, then wider and wider ones up to the farthest. */
function bucketBack(distance: number, nBuckets: number): number {
  const nExact = nBuckets / 2;
  if (distance < nExact) return distance;
  const part = Math.log2(distance / nExact) / Math.log2(FARTHEST / nExact);
  return Math.min(nBuckets - 1, nExact + Math.floor(part * (nBuckets - nExact)));
}

/** Per head; all layers use the first one's. */
function distanceBias(model: TinyT5, side: "enc" | "dec", bucket: number): number[] {
  const { data, columns } = matrixOf(model, `${side}.blk.0.attn_rel_b.weight`);
  return Array.from(data.subarray(bucket * columns, (bucket + 1) * columns));
}

/** Scores are not divided by the heads' width. `bias`: per head, undefined where a query does not see a key. */
function attention(
  model: TinyT5, name: string, from: Float64Array[], to: Float64Array[], bias: (query: number, key: number) => number[] | undefined,
): Float64Array[] {
  const { nHead, dHead } = model.shape;
  const keys = to.map((x) => multiply(model, `${name}_k`, x));
  const values = to.map((x) => multiply(model, `${name}_v`, x));
  return from.map((x, at) => {
    const query = multiply(model, `${name}_q`, x);
    const heads = new Float64Array(nHead * dHead);
    for (let head = 0; head < nHead; head++) {
      const span = [head * dHead, (head + 1) * dHead] as const;
      const scores = keys.map((key, k) => {
        const biases = bias(at, k);
        return biases === undefined ? -Infinity : dot(query.subarray(...span), key.subarray(...span)) + biases[head]!;
      });
      softmax(scores).forEach(
        (weight, k) => values[k]!.subarray(...span).forEach((value, i) => { heads[span[0] + i]! += weight * value; }),
      );
    }
    return multiply(model, `${name}_o`, heads);
  });
}

/** GELU by the approximation with the hyperbolic tangent. */
function feedForward(model: TinyT5, name: string, x: Float64Array): Float64Array {
  const normed = rmsNorm(model, `${name}_norm`, x);
  const up = multiply(model, `${name}_up`, normed);
  const gated = multiply(model, `${name}_gate`, normed).map(
    (g, i) => 0.5 * g * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (g + 0.044715 * g ** 3))) * up[i]!,
  );
  return multiply(model, `${name}_down`, gated);
}

function embed(model: TinyT5, tokens: readonly number[]): Float64Array[] {
  const { data, columns } = matrixOf(model, "token_embd.weight");
  return tokens.map((token) => Float64Array.from(data.subarray(token * columns, (token + 1) * columns)));
}

function rmsNorm(model: TinyT5, name: string, x: Float64Array): Float64Array {
  return rmsNormed(x, matrixOf(model, `${name}.weight`), model.shape.epsilon);
}

function multiply(model: TinyT5, name: string, x: Float64Array): Float64Array {
  return product(matrixOf(model, `${name}.weight`), x);
}
