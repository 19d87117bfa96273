import { SHAPE, type Shape } from "./architecture-parts.js";
import { architectureTensors, encodeArchitecture } from "./tiny-architectures.js";

/** A tiny random model of llama's architecture, for the forward pass in double precision. */
export interface TinyModel {
  shape: Shape;
  nVocab: number;
  /** By tensor name, row-major `[rows, columns]`; norms have one row. */
  weights: Map<string, { rows: number; columns: number; data: Float32Array }>;
}

export const TINY_SHAPE: Shape = { ...SHAPE, nFf: 48 };

/** Random weights, the same for the same seed. */
export function tinyModel(seed = 1, shape = TINY_SHAPE): TinyModel {
  const tensors = architectureTensors("llama", { seed }, shape);
  const weights = new Map(
    tensors.map(({ name, shape, data }) => [name, { rows: shape.length === 1 ? 1 : shape[0]!, columns: shape.at(-1)!, data }]),
  );
  return { shape, nVocab: weights.get("output.weight")!.rows, weights };
}

/** The model as the bytes of a GGUF. */
export function encodeGguf({ shape, weights }: TinyModel): Buffer {
  const tensors = Array.from(
    weights, ([name, { rows, columns, data }]) => ({ name, shape: rows === 1 ? [columns] : [rows, columns], data }),
  );
  return encodeArchitecture("llama", shape, tensors);
}
