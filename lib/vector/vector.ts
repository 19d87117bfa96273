import { SteeringError } from "../errors.js";
import type { Tail, WrittenSchedule } from "../steering/index.js";

/** Where in a block an activation is read and changed (docs/architecture.md, "Hook sites"). */
export const HOOK_SITES = ["head_out", "attn_out", "mlp_out", "resid_mid", "resid_post"] as const;
/** One of `HOOK_SITES`. */
export type HookSite = (typeof HOOK_SITES)[number];

/** What a vector is bound to: it means nothing in another model. */
export interface ModelFingerprint {
  architecture: string;
  nLayer: number;
  nEmbd: number;
  nHead: number;
  /** Hash of every token's text and attributes. */
  tokenizerHash: string;
  /** Hash of the model file's content. */
  fileHash: string;
  quantisation: string;
}

/** A dataset that a delta came from. */
export interface DatasetReference {
  name: string;
  /** SHA-256 of the rows and the instruction. */
  hash: string;
}

/** Contrast of prompts with demonstrations, as published (docs/method.md §2 and §3). */
export interface IclOrigin {
  kind: "icl";
  positive: DatasetReference;
  negative: DatasetReference;
  /** ICL demonstrations per prompt. */
  iclExamples: number;
  /** Prompts per side, drawn with replacement. */
  support: number;
  /** Seed of the draw, and the prompts drawn. */
  seed: number | null;
  supportIndices: number[];
  /** Most token steps that were asked for, and how prompts were written; not known of vectors of version 0.1. */
  maxNewTokens?: number | undefined;
  promptFormat?: "clean" | "published" | undefined;
  /** SHA-256 of the token ids of all prompts of both sides. */
  promptsHash: string;
}

/** How a direction is found in the activations of pairs of texts. */
export const PAIR_METHODS = ["mean", "pca", "probe"] as const;
/** One of `PAIR_METHODS`. */
export type PairMethod = (typeof PAIR_METHODS)[number];

/** Contrast of pairs of texts that are given, e.g. CAA. */
export interface PairsOrigin {
  kind: "pairs";
  method: PairMethod;
  positive: DatasetReference;
  negative: DatasetReference;
  /** How the question is put before the text: as `Q:…\nA:`, by the model's chat template, or not at all. */
  template: "question" | "chat" | "none";
  /** Which of the text's rows are read: their mean, the last, or one per token step. */
  pooling: "mean" | "last" | "step";
  /** Pairs that the directions are made of. */
  nPairs: number;
  /** Of each layer that was tried: how well its direction tells pairs apart that it was not made of. */
  layerScores?: Array<{ layer: number; accuracy: number; auc: number }> | undefined;
  seed: number;
  promptsHash: string;
}

/** Made of other vectors. */
export interface DerivedOrigin {
  kind: "derived";
  /** What was done, e.g. "0.5 · (ITA vs ENG) − FRA vs ENG". */
  expression: string;
  /** The vectors it was done to. */
  from: Array<{ property: string; hash: string }>;
}

/** Read from a file of another program, which says less. */
export interface ImportedOrigin {
  kind: "imported";
  format: "control-vector" | "published";
  /** Name of the file, and SHA-256 of its content. */
  file: string;
  hash: string;
}

/** Intensity that was found to have an effect at the least cost in fluency. */
export interface Calibration {
  schedule: WrittenSchedule;
  /** What was measured, e.g. "language ITA". */
  effect: string;
  /** Share of answers with it that was wanted, and that was found. */
  wanted: number;
  found: number;
  /** Median ΔPPL of the answers. */
  deltaPerplexity: number;
  /** Questions asked. */
  n: number;
  questions: DatasetReference;
}

/** How a vector came to be. */
export interface Provenance {
  /** The behaviour, e.g. "ITA vs ENG". */
  property: string;
  origin: IclOrigin | PairsOrigin | DerivedOrigin | ImportedOrigin;
  calibration?: Calibration | undefined;
  model: ModelFingerprint;
  /** Version of llama-steer that made it. */
  madeBy: string;
}

/** Directions to add to activations: one per layer and token step, with its provenance. Immutable. */
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

/** Index of the direction for a token step; `nSteps` stands for the mean of all. Undefined: none. */
export function directionIndex(nSteps: number, step: number, tail: Tail): number | undefined {
  if (step < nSteps) return step;
  return { mean: nSteps, hold: nSteps - 1, stop: undefined }[tail];
}

const ORIGINS = { vector: { was: "extracted from", again: "Extract" }, probe: { was: "trained on", again: "Train" } };

/** Throws E_MODEL_MISMATCH, naming every difference, unless the vector, or the probe, was made with this model. */
export function assertMadeFor({ provenance }: { provenance: Pick<Provenance, "property" | "model"> }, model: ModelFingerprint, allowMismatch = false, kind: keyof typeof ORIGINS = "vector"): void {
  const made = provenance.model;
  const keys = Object.keys(made) as Array<keyof ModelFingerprint>;
  const differences = keys.filter((key) => made[key] !== model[key]);
  if (differences.length === 0) return;
  const shapeAgrees = !differences.some((key) => key === "nLayer" || key === "nHead" || key === "nEmbd");
  if (allowMismatch && shapeAgrees) return;
  const list = differences.map((key) => `${key} ${brief(made[key])}, here ${brief(model[key])}`).join("; ");
  const { was, again } = ORIGINS[kind];
  const advice = shapeAgrees ? `${again} it again for this model, or pass --allow-mismatch.`
    : `${again} it again for this model${allowMismatch ? "; a mismatch of shapes cannot be allowed" : ""}.`;
  throw new SteeringError("E_MODEL_MISMATCH", `the ${kind} "${provenance.property}" was ${was} another model (${list}). ${advice}`);
}

/** A hash by its first digits. */
function brief(value: string | number): string {
  return String(value).replace(/^([\w-]+:[0-9a-f]{12})[0-9a-f]+$/, "$1…");
}

/** Euclidean norm of each direction `[layers][nSteps]`. */
export function norms(vector: VectorData): number[][] {
  const { layers, nSteps, width, data } = vector;
  return layers.map((_, layer) => Array.from({ length: nSteps }, (_unused, step) => {
    const start = (layer * nSteps + step) * width;
    let squares = 0;
    for (let i = start; i < start + width; i++) squares += data[i]! * data[i]!;
    return Math.sqrt(squares);
  }));
}
