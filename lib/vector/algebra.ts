import { createHash } from "node:crypto";
import { SteeringError } from "../errors.js";
import { select, type Selection } from "./selection.js";
import { sharedForm } from "./asked-form.js";
import type { Provenance } from "./provenance.js";
import type { VectorData } from "./vector.js";

/** A vector and its factor in a sum. */
export interface WeightedVector {
  vector: VectorData;
  factor: number;
}

/**
 * Σ factor · vector. A layer that a vector lacks counts as zeros; a vector of one step applies to all steps. Throws E_SHAPE if
 * sites, widths or step counts differ, E_MODEL_MISMATCH if models differ, E_BAD_ARGUMENT for a non-finite factor, E_NOT_FINITE
 * if a sum overflows 32-bit floats.
 */
export function linearCombination(parts: readonly WeightedVector[]): VectorData {
  const [first] = parts;
  if (!first) throw new SteeringError("E_BAD_ARGUMENT", "no vectors given; expected at least one");
  for (const { vector, factor } of parts) {
    if (!Number.isFinite(factor)) throw new SteeringError("E_BAD_ARGUMENT", `the factor is ${factor}; expected a finite number`);
    assertAlike(first.vector, vector);
  }
  const { site, width } = first.vector;
  const nSteps = Math.max(...parts.map(({ vector }) => vector.nSteps));
  const layers = [...new Set(parts.flatMap(({ vector }) => vector.layers))].sort((a, b) => a - b);
  const sums = new Float64Array(layers.length * nSteps * width);
  for (const { vector, factor } of parts) {
    vector.layers.forEach((layer, index) => {
      const to = layers.indexOf(layer) * nSteps * width;
      const from = index * vector.nSteps * width;
      for (let i = 0; i < nSteps * width; i++) sums[to + i]! += factor * vector.data[from + (vector.nSteps === 1 ? i % width : i)]!;
    });
  }
  const provenance = derived(parts.map(({ vector }) => vector), written(parts));
  return { site, layers, nSteps, width, data: finite(sums), provenance };
}

/**
 * Remove another vector's directions, per layer and step: v − (v·u / u·u) u. Layers that the other lacks, and those where its
 * direction is zero, are unchanged. Throws E_SHAPE, E_MODEL_MISMATCH, E_NOT_FINITE.
 */
export function projectOut(vector: VectorData, other: VectorData): VectorData {
  assertAlike(vector, other);
  if (other.nSteps > vector.nSteps) {
    throw new SteeringError("E_SHAPE", `cannot project ${other.nSteps} steps out of a vector of ${vector.nSteps}; pool the other vector`);
  }
  const data = Float64Array.from(vector.data);
  vector.layers.forEach((layer, index) => {
    const otherIndex = other.layers.indexOf(layer);
    if (otherIndex < 0) return;
    for (let step = 0; step < vector.nSteps; step++) {
      const own = data.subarray((index * vector.nSteps + step) * vector.width).subarray(0, vector.width);
      const along = direction(other, otherIndex, other.nSteps === 1 ? 0 : step);
      const square = dot(along, along);
      const part = square === 0 ? 0 : dot(own, along) / square;
      for (let i = 0; i < own.length; i++) own[i]! -= part * along[i]!;
    }
  });
  return { ...vector, data: finite(data), provenance: derived([vector, other], `${term(vector)} without ${term(other)}`) };
}

/** Average all steps into one: the direction that `tail: "mean"` adds after the last step. */
export function pooled(vector: VectorData): VectorData {
  const { layers, nSteps, width, data } = vector;
  const means = new Float64Array(layers.length * width);
  for (let i = 0; i < data.length; i++) means[Math.floor(i / (nSteps * width)) * width + (i % width)]! += data[i]! / nSteps;
  return { ...vector, nSteps: 1, data: finite(means), provenance: derived([vector], `mean over steps of ${term(vector)}`) };
}

/** Scale every direction to norm 1; zero directions stay zero. */
export function normalised(vector: VectorData): VectorData {
  const { width, data } = vector;
  const scaled = new Float64Array(data.length);
  for (let start = 0; start < data.length; start += width) {
    const row = data.subarray(start, start + width);
    const norm = Math.sqrt(dot(row, row));
    for (let i = 0; i < width; i++) scaled[start + i] = norm === 0 ? 0 : row[i]! / norm;
  }
  return { ...vector, data: finite(scaled), provenance: derived([vector], `${term(vector)} at norm 1`) };
}

/**
 * Keep only these layers and, at `head_out`, heads. The provenance lists them, and drops the calibration of the whole vector.
 * Throws E_SHAPE.
 */
export function selected(vector: VectorData, { layers = "all", heads = "all" }: Selection): VectorData {
  const { nHead } = vector.provenance.model;
  const kept = select(vector, { layers, heads }, nHead);
  const hasAllHeads = heads === "all" || new Set(heads).size === nHead;
  if (kept.layers.length === vector.layers.length && hasAllHeads) return vector;
  const parts = [
    ...(layers === "all" ? [] : [`layers ${kept.layers.join("+")}`]),
    ...(hasAllHeads ? [] : [`heads ${[...new Set(heads)].join("+")}`]),
  ];
  return { ...kept, provenance: derived([vector], `${term(vector)} in ${parts.join(", ")}`) };
}

/**
 * Cosine between the directions of two vectors in their common layers, `[layers, nSteps]`; null if a direction is zero.
 * Throws E_SHAPE, E_MODEL_MISMATCH.
 */
export function cosines(a: VectorData, b: VectorData): { layers: number[]; cosines: Array<Array<number | null>> } {
  assertAlike(a, b);
  const layers = a.layers.filter((layer) => b.layers.includes(layer));
  if (layers.length === 0) throw new SteeringError("E_SHAPE", "the vectors have no layer in common; expected at least one");
  const nSteps = Math.max(a.nSteps, b.nSteps);
  const at = (vector: VectorData, layer: number, step: number): Float32Array =>
    direction(vector, vector.layers.indexOf(layer), vector.nSteps === 1 ? 0 : step);
  return {
    layers,
    cosines: layers.map((layer) => Array.from({ length: nSteps }, (_, step) => {
      const [x, y] = [at(a, layer, step), at(b, layer, step)];
      const size = Math.sqrt(dot(x, x)) * Math.sqrt(dot(y, y));
      return size === 0 ? null : dot(x, y) / size;
    })),
  };
}

/** SHA-256 of a vector's directions and of where they are added. */
export function vectorHash({ site, layers, nSteps, width, data }: VectorData): string {
  const hash = createHash("sha256").update(JSON.stringify([site, layers, nSteps, width]));
  return `sha256:${hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)).digest("hex")}`;
}

/** Throws E_SHAPE or E_MODEL_MISMATCH unless two vectors add to the same activations of the same model. */
function assertAlike(a: VectorData, b: VectorData): void {
  if (a.site !== b.site) {
    throw new SteeringError("E_SHAPE", `cannot combine a vector at ${a.site} with one at ${b.site}; expected vectors at the same site`);
  }
  if (a.width !== b.width) throw new SteeringError("E_SHAPE", `cannot combine vectors of width ${a.width} and ${b.width}`);
  if (a.nSteps !== b.nSteps && a.nSteps !== 1 && b.nSteps !== 1) {
    throw new SteeringError("E_SHAPE", `cannot combine vectors of ${a.nSteps} and ${b.nSteps} steps; pool one of them`);
  }
  const [made, other] = [a.provenance.model, b.provenance.model];
  if (made.fileHash === other.fileHash && made.tokenizerHash === other.tokenizerHash) return;
  const models = `${made.architecture} ${made.quantisation}, ${other.architecture} ${other.quantisation}`;
  throw new SteeringError("E_MODEL_MISMATCH",
    `${a.provenance.property} and ${b.provenance.property} were made with different models (${models}); expected vectors of one model`);
}

function derived(from: readonly VectorData[], expression: string): Provenance {
  const { model, madeBy } = from[0]!.provenance;
  const parts = from.map((vector) => ({ property: vector.provenance.property, hash: vectorHash(vector) }));
  return {
    property: expression, origin: { kind: "derived", expression, from: parts },
    ...sharedForm(from.map(({ provenance }) => provenance)), model, madeBy,
  };
}

/** The expression of a sum, e.g. "0.5 · (ITA vs ENG) − FRA vs ENG". */
function written(parts: readonly WeightedVector[]): string {
  return parts.map(({ vector, factor }, index) => {
    const sign = factor < 0 ? "−" : index > 0 ? "+" : "";
    const size = Math.abs(factor) === 1 ? "" : `${Math.abs(factor)} · `;
    return `${sign}${index > 0 ? " " : ""}${size}${term(vector)}`;
  }).join(" ");
}

function term({ provenance: { property } }: VectorData): string {
  return property.includes(" ") ? `(${property})` : property;
}

function direction({ nSteps, width, data }: VectorData, layer: number, step: number): Float32Array {
  return data.subarray((layer * nSteps + step) * width, (layer * nSteps + step + 1) * width);
}

function dot(a: Float32Array | Float64Array, b: Float32Array | Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function finite(values: Float64Array): Float32Array {
  const data = Float32Array.from(values);
  if (!data.every(Number.isFinite)) throw new SteeringError("E_NOT_FINITE", "a result overflows 32-bit floats");
  return data;
}
