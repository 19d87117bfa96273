import { SteeringError } from "../errors.js";
import { loadVector, saveVector } from "./vector-file.js";
import type { Only, Operation, ScheduleInput, SteeredPhase, Tail } from "../steering/index.js";
import { cosines, linearCombination, normalised, pooled, projectOut, selected, vectorHash, type WeightedVector } from "./algebra.js";
import type { Gate } from "./gate.js";
import type { Selection } from "./selection.js";
import type { HookSite } from "./hook-site.js";
import type { Provenance } from "./provenance.js";
import { norms, type VectorData } from "./vector.js";

/** Which parts of a vector to add, and when, beside its schedule. */
export interface HowToAdd extends Selection, Operation {
  /** What is added after the vector's last step. */
  tail?: Tail | undefined;
  /** When the vector is added: on the prompt, while the model thinks, while it answers (default: only then). */
  phases?: readonly SteeredPhase[] | undefined;
  /** At which tokens of these phases it is added; default: all. */
  only?: Only | undefined;
  /** When at all it is added, by what a probe reads; default: always. */
  gate?: Gate | undefined;
}

/**
 * Directions to add to a model's activations, one per layer and token step, with their provenance. Immutable: every method
 * returns a new vector. The result of an operation records its operands and stays bound to the model.
 */
export class SteeringVector implements VectorData {
  readonly site: HookSite;
  /** 0-based block indices, ascending. */
  readonly layers: readonly number[];
  readonly nSteps: number;
  /** Values per direction: nHead · dHead at `head_out`, nEmbd elsewhere. */
  readonly width: number;
  /** `[layers, nSteps, width]`; do not write to it. */
  readonly data: Float32Array;
  readonly provenance: Provenance;
  /** The file that it was loaded from. */
  readonly path: string | undefined;

  /** Throws E_BAD_ARGUMENT if `vector` is not a vector. */
  constructor(vector: VectorData, path?: string) {
    const { site, layers, nSteps, width, data, provenance } = (vector ?? {}) as VectorData;
    if (!Array.isArray(layers) || !ArrayBuffer.isView(data) || typeof provenance !== "object" || provenance === null) {
      throw new SteeringError("E_BAD_ARGUMENT", "new SteeringVector: expected { site, layers, nSteps, width, data, provenance }; "
        + "to load a vector file, use SteeringVector.load(path)");
    }
    this.site = site;
    this.layers = layers;
    this.nSteps = nSteps;
    this.width = width;
    this.data = data;
    this.provenance = provenance;
    this.path = path;
  }

  /** Load a vector file. Throws E_NOT_FOUND, E_BAD_VECTOR, E_NOT_FINITE. */
  static async load(path: string): Promise<SteeringVector> {
    return new SteeringVector(await loadVector(path), path);
  }

  /**
   * Σ factor · vector, for vectors of one model; rounded to 32 bits only once. A layer that a vector lacks counts as zeros.
   * Throws E_SHAPE, E_MODEL_MISMATCH, E_BAD_ARGUMENT, E_NOT_FINITE.
   */
  static sum(parts: readonly WeightedVector[]): SteeringVector {
    return new SteeringVector(linearCombination(parts));
  }

  /** Mean of vectors of one model. Throws E_SHAPE, E_MODEL_MISMATCH. */
  static mean(vectors: readonly VectorData[]): SteeringVector {
    return SteeringVector.sum(vectors.map((vector) => ({ vector, factor: 1 / vectors.length })));
  }

  /** The behaviour, e.g. "ITA vs ENG". */
  get property(): string {
    return this.provenance.property;
  }

  /** SHA-256 of its directions and of where they are added. */
  get hash(): string {
    return vectorHash(this);
  }

  /** Save it as a safetensors file, atomically. Throws E_WRITE, E_NOT_FINITE. */
  async save(path: string): Promise<void> {
    await saveVector(path, this);
  }

  /** Add another vector; a layer that either lacks counts as zeros. Throws E_SHAPE, E_MODEL_MISMATCH. */
  add(other: VectorData): SteeringVector {
    return SteeringVector.sum([{ vector: this, factor: 1 }, { vector: other, factor: 1 }]);
  }

  /** Subtract another vector. Throws E_SHAPE, E_MODEL_MISMATCH. */
  subtract(other: VectorData): SteeringVector {
    return SteeringVector.sum([{ vector: this, factor: 1 }, { vector: other, factor: -1 }]);
  }

  /** Multiply by a number. Throws E_BAD_ARGUMENT, E_NOT_FINITE. */
  scale(factor: number): SteeringVector {
    return SteeringVector.sum([{ vector: this, factor }]);
  }

  /** Remove another vector's directions from it. Throws E_SHAPE, E_MODEL_MISMATCH. */
  projectOut(other: VectorData): SteeringVector {
    return new SteeringVector(projectOut(this, other));
  }

  /** Average the steps into one direction per layer. */
  pooled(): SteeringVector {
    return new SteeringVector(pooled(this));
  }

  /** Scale every direction to norm 1. */
  normalised(): SteeringVector {
    return new SteeringVector(normalised(this));
  }

  /** Keep only these layers and, at `head_out`, heads; 0-based. Throws E_SHAPE. */
  select(selection: Selection): SteeringVector {
    return new SteeringVector(selected(this, selection));
  }

  /** Combine it with a schedule, for `steer`; a vector on its own uses its calibrated schedule. */
  with(schedule: ScheduleInput, how: HowToAdd = {}): { vector: SteeringVector; schedule: ScheduleInput } & HowToAdd {
    return { vector: this, schedule, ...how };
  }

  /** Euclidean norm of each direction, `[layers][nSteps]`. */
  norms(): number[][] {
    return norms(this);
  }

  /**
   * Cosine with another vector's directions in the common layers, `[layers][nSteps]`; null if a direction is zero.
   * Throws E_SHAPE, E_MODEL_MISMATCH.
   */
  cosine(other: VectorData): { layers: number[]; cosines: Array<Array<number | null>> } {
    return cosines(this, other);
  }
}
