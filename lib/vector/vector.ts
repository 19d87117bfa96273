import { SteeringError } from "../errors.js";
import type { Tail } from "../steering/index.js";
import type { HookSite } from "./hook-site.js";
import type { ModelFingerprint, Provenance } from "./provenance.js";

/** Directions to add to activations, one per layer and token step, with their provenance. Immutable. */
export interface VectorData {
  readonly site: HookSite;
  /** 0-based block indices, ascending. */
  readonly layers: readonly number[];
  readonly nSteps: number;
  /** Values per direction: nHead · dHead at `head_out`, nEmbd elsewhere. */
  readonly width: number;
  /** `[layers, nSteps, width]` */
  readonly data: Float32Array;
  readonly provenance: Provenance;
}

/** Index of the direction to add at a token step: `nSteps` means the mean of all steps, undefined no direction. */
export function directionIndex(nSteps: number, step: number, tail: Tail): number | undefined {
  if (step < nSteps) return step;
  return { mean: nSteps, hold: nSteps - 1, stop: undefined }[tail];
}

const ORIGINS = { vector: { was: "extracted from", again: "Extract" }, probe: { was: "trained on", again: "Train" } };

/** Throws E_MODEL_MISMATCH, naming both models and listing every difference, unless the vector or probe was made with this model. */
export function assertMadeFor(
  { provenance }: { provenance: Pick<Provenance, "property" | "model"> }, model: ModelFingerprint, allowMismatch = false,
  kind: keyof typeof ORIGINS = "vector",
): void {
  const made = provenance.model;
  const keys = Object.keys(made) as Array<keyof ModelFingerprint>;
  const differences = keys.filter((key) => made[key] !== model[key]);
  if (differences.length === 0) return;
  const shapeAgrees = !differences.some((key) => key === "nLayer" || key === "nHead" || key === "nEmbd");
  if (allowMismatch && shapeAgrees) return;
  const list = differences.map((key) => `${key} ${brief(made[key])}, here ${brief(model[key])}`).join("; ");
  const { was, again } = ORIGINS[kind];
  const [theirs, ours] = [described(made), described(model)];
  const both = theirs === ours ? `both are ${ours}` : `${theirs}; this one is ${ours}`;
  const advice = shapeAgrees ? `${again} it again for this model, or pass --allow-mismatch.`
    : `${again} it again for this model${allowMismatch ? "; a mismatch of shapes cannot be allowed" : ""}.`;
  throw new SteeringError("E_MODEL_MISMATCH", `the ${kind} "${provenance.property}" was ${was} another model: ${both} (${list}). ${advice}`);
}

/** A model in words, e.g. "qwen2 with 24 layers of width 896, Q4_K_M". */
function described({ architecture, nLayer, nEmbd, quantisation }: ModelFingerprint): string {
  return `${architecture} with ${nLayer} layers of width ${nEmbd}, ${quantisation}`;
}

/** Shorten a hash to its first digits. */
function brief(value: string | number): string {
  return String(value).replace(/^([\w-]+:[0-9a-f]{12})[0-9a-f]+$/, "$1…");
}

/** Euclidean norm of each direction, `[layers][nSteps]`. */
export function norms(vector: VectorData): number[][] {
  const { layers, nSteps, width, data } = vector;
  return layers.map((_, layer) => Array.from({ length: nSteps }, (_unused, step) => {
    const start = (layer * nSteps + step) * width;
    let squares = 0;
    for (let i = start; i < start + width; i++) squares += data[i]! * data[i]!;
    return Math.sqrt(squares);
  }));
}
