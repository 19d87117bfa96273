import { SteeringError } from "../errors.js";
import type { Batch, Engine } from "../engine/index.js";
import { sigmoid } from "../maths/index.js";
import type { CaptureHandle } from "../native/index.js";
import { parseOperation, parseTail, type Operation, type Tail } from "../steering/index.js";
import { directionIndex, select, type HookSite, type Selection, type VectorData } from "../vector/index.js";
import { probeLogit, type Probe } from "./probe.js";

/** A vector that is added during a monitored generation. */
export interface WatchedSteering extends Selection, Operation {
  vector: VectorData;
  tail?: Tail;
}

/** The amount per alpha that one steering adds to a probe's log odds where the probe reads. */
interface Push {
  /** Index of the steering. */
  property: number;
  tail: Tail;
  nSteps: number;
  /** `[nSteps + 1]`; the last element is for the mean of all steps. */
  perAlpha: Float64Array;
}

/** The intensity of one steering at the step that is read. */
interface Added {
  alpha: number;
}

/** What a steering adds, of its layers and heads. Throws E_BAD_ARGUMENT if one of the probes cannot read a generation that has it. */
export function watched(model: Engine, probes: readonly Probe[], steering: WatchedSteering): VectorData {
  const vector = select(steering.vector, steering, model.info.nHead);
  for (const probe of probes) {
    checkPath(model, probe, vector);
    checkOperator(probe, vector, steering);
  }
  return vector;
}

/** A capture at one site, of all layers that probes read there. */
interface Watch {
  into: CaptureHandle;
  layers: number[];
}

/**
 * Probes that watch one generation: each judges the state that chose a token, that of the output row. Activations are captured
 * before a vector is added at the same place, but that vector is part of the state and counts too.
 */
export class Monitor {
  private readonly watches = new Map<HookSite, Watch>();
  /** Pushes of all steerings, per probe. */
  private readonly pushes: Push[][];
  private nSteerings = 0;
  /** Rows that one capture keeps apart. */
  private nRows = 1;

  /** The caller may append to `steer` later. Throws E_SHAPE, E_NO_SITE, E_BAD_ARGUMENT. */
  constructor(
    private readonly model: Engine, private readonly probes: readonly Probe[], private readonly steer: readonly WatchedSteering[],
  ) {
    for (const site of new Set(probes.map((probe) => probe.site))) {
      const layers = [...new Set(probes.filter((probe) => probe.site === site).map(({ layer }) => layer))].sort((a, b) => a - b);
      const into = model.createCapture(site, layers, this.nRows);
      const width = model.takeCapture(into).sums.length / layers.length;
      const wrong = probes.find((probe) => probe.site === site && probe.weights.length !== width);
      if (wrong) {
        throw new SteeringError("E_SHAPE",
          `the probe "${wrong.provenance.property}" has width ${wrong.weights.length}; ${site} of this model has ${width}`);
      }
      this.watches.set(site, { into, layers });
    }
    this.pushes = probes.map(() => []);
    this.takeNew();
  }

  /** Compute the pushes of steerings appended since the last call. */
  private takeNew(): void {
    for (; this.nSteerings < this.steer.length; this.nSteerings++) {
      const steering = this.steer[this.nSteerings]!;
      const vector = watched(this.model, this.probes, steering);
      for (const [index, probe] of this.probes.entries()) {
        this.pushes[index]!.push(...pushOf(probe, vector, this.nSteerings, parseTail(steering.tail)));
      }
    }
  }

  /**
   * Capture the states of the rows, one of which is the output's, in the decode that computes them. Throws E_BAD_ARGUMENT if an appended
   * steering is not allowed.
   */
  watch(batch: Batch, rows: readonly number[]): void {
    this.takeNew();
    if (rows.length > this.nRows) {
      this.nRows = rows.length;
      for (const [site, watch] of this.watches) watch.into = this.model.createCapture(site, watch.layers, this.nRows);
    }
    for (const { into } of this.watches.values()) rows.forEach((row, step) => batch.capture(row, { into, step, weight: 1 }));
  }

  /** Forgets the watched rows, which are computed again. */
  drop(): void {
    for (const { into } of this.watches.values()) this.model.takeCapture(into);
  }

  /**
   * Probability per probe for one of the watched rows, to which each steering added the direction of its own token step. Throws
   * E_NOT_FINITE.
   */
  read(steps: readonly number[], readings: readonly Added[], picked = 0): number[] {
    const states = new Map(Array.from(this.watches, ([site, { into, layers }]) => [site, { layers, ...this.model.takeCapture(into) }]));
    return this.probes.map((probe, index) => {
      const { layers, sums, weights } = states.get(probe.site)!;
      if (weights[picked] !== 1) throw new Error(`${weights[picked]} rows were captured for one token`);
      const width = sums.length / layers.length / this.nRows;
      const start = (layers.indexOf(probe.layer) * this.nRows + picked) * width;
      const unpushed = probeLogit(probe, sums.subarray(start, start + width));
      return sigmoid(this.pushes[index]!.reduce((logit, push) => logit + pushAt(push, steps, readings), unpushed));
    });
  }
}

type Directions = Pick<VectorData, "site" | "layers" | "nSteps" | "width" | "data">;

function pushOf(probe: Probe, { site, layers, nSteps, width, data }: Directions, property: number, tail: Tail): Push[] {
  const layer = layers.indexOf(probe.layer);
  if (site !== probe.site || layer < 0) return [];
  const unbiased = { weights: probe.weights, bias: 0 };
  const perAlpha = new Float64Array(nSteps + 1);
  for (let step = 0; step < nSteps; step++) {
    const start = (layer * nSteps + step) * width;
    perAlpha[step] = probeLogit(unbiased, data.subarray(start, start + width));
    perAlpha[nSteps]! += perAlpha[step]! / nSteps;
  }
  return [{ property, tail, nSteps, perAlpha }];
}

function pushAt({ property, tail, nSteps, perAlpha }: Push, steps: readonly number[], readings: readonly Added[]): number {
  const index = directionIndex(nSteps, steps[property] ?? 0, tail);
  if (index === undefined) return 0;
  return (readings[property]?.alpha ?? 0) * perAlpha[index]!; // no reading yet: the steering was appended during this step
}

/**
 * Throws E_BAD_ARGUMENT if a probe would read where a vector is added on the "graph" path, which is for tests and diagnosis. That path
 * adds vectors at other nodes than those that are captured, so the vector would be missing from the state, or counted twice.
 */
function checkPath({ steeringPath }: Engine, { site, layer, provenance }: Probe, vector: Pick<VectorData, "site" | "layers">): void {
  if (steeringPath !== "graph") return;
  const isSameSite = vector.site === site || (vector.site === "head_out" && site === "attn_out");
  if (!vector.layers.includes(layer) || !isSameSite) return;
  throw new SteeringError("E_BAD_ARGUMENT", `the probe "${provenance.property}" reads ${site} of layer ${layer}, where a vector is added; `
    + 'steeringPath "graph" does not support this: use "auto"');
}

/**
 * Throws E_BAD_ARGUMENT if a probe would read where an operator other than `add` acts, or the norm is kept: what these make of a state is
 * not among the states that are captured.
 */
function checkOperator({ site, layer, provenance }: Probe, vector: Pick<VectorData, "site" | "layers">, steering: Operation): void {
  const { operator, keepNorm } = parseOperation(steering);
  if ((operator === "add" && !keepNorm) || vector.site !== site || !vector.layers.includes(layer)) return;
  const how = operator === "add" ? "keepNorm" : `the operator ${operator}`;
  throw new SteeringError("E_BAD_ARGUMENT", `the probe "${provenance.property}" reads ${site} of layer ${layer}, where a vector acts with `
    + `${how}: use a probe of another layer, or leave this layer out of the steering`);
}
