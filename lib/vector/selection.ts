import { SteeringError } from "../errors.js";
import { assertHeads } from "./hook-site.js";
import type { VectorData } from "./vector.js";

/** Parts of a vector to keep; everything by default. */
export interface Selection {
  /** Layers to keep, 0-based; the vector must have them all. */
  layers?: readonly number[] | "all";
  /** Heads to keep, 0-based, at `head_out` only. */
  heads?: readonly number[] | "all";
}

/** Keep only these layers, and set all but these heads to zero; `nHead` is that of the vector's model. Throws E_SHAPE. */
export function select(vector: VectorData, { layers = "all", heads = "all" }: Selection, nHead: number): VectorData {
  const withLayers = layers === "all" ? vector : selectLayers(vector, layers);
  return heads === "all" ? withLayers : selectHeads(withLayers, heads, nHead);
}

function selectLayers(vector: VectorData, layers: readonly number[]): VectorData {
  const size = vector.nSteps * vector.width;
  const kept = ascending(layers);
  const data = new Float32Array(kept.length * size);
  kept.forEach((layer, index) => {
    const from = vector.layers.indexOf(layer);
    if (from < 0) {
      throw new SteeringError("E_SHAPE", `the vector has no layer ${layer}; it has ${vector.layers[0]} to ${vector.layers.at(-1)}`);
    }
    data.set(vector.data.subarray(from * size, (from + 1) * size), index * size);
  });
  return { ...vector, layers: kept, data };
}

function selectHeads(vector: VectorData, heads: readonly number[], nHead: number): VectorData {
  assertHeads(vector.site, heads, nHead);
  const kept = new Set(ascending(heads));
  const dHead = vector.width / nHead;
  return { ...vector, data: vector.data.map((value, i) => (kept.has(Math.floor((i % vector.width) / dHead)) ? value : 0)) };
}

function ascending(indices: readonly number[]): number[] {
  if (indices.length === 0) throw new SteeringError("E_SHAPE", "the selection of layers or heads is empty; expected at least one");
  return [...new Set(indices)].sort((a, b) => a - b);
}
