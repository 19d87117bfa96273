import { SteeringError } from "../errors.js";
import type { Batch, Engine } from "../engine/index.js";
import { sigmoid } from "../maths/index.js";
import type { CaptureHandle } from "../native/index.js";
import { parseTail, type Tail } from "../steering/index.js";
import { directionIndex, select, type HookSite, type Selection, type VectorData } from "../vector/index.js";
import { probeLogit, type Probe } from "./probe.js";

/** A vector that is added during a monitored generation. */
export interface WatchedSteering extends Selection {
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

  /** The caller may append to `steer` later. Throws E_SHAPE, E_NO_SITE, E_BAD_ARGUMENT. */
  constructor(
    private readonly model: Engine, private readonly probes: readonly Probe[], private readonly steer: readonly WatchedSteering[],
  ) {
    for (const site of new Set(probes.map((probe) => probe.site))) {
      const layers = [...new Set(probes.filter((probe) => probe.site === site).map(({ layer }) => layer))].sort((a, b) => a - b);
      const into = model.createCapture(site, layers, 1);
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
      const vector = select(steering.vector, steering, this.model.info.nHead);
      for (const [index, probe] of this.probes.entries()) {
        checkPath(this.model, probe, vector);
        this.pushes[index]!.push(...pushOf(probe, vector, this.nSteerings, parseTail(steering.tail)));
      }
    }
  }

  /** Capture the state of a row in the decode that computes it. Throws E_BAD_ARGUMENT if an appended steering is not allowed. */
  watch(batch: Batch, row: number): void {
    this.takeNew();
    for (const { into } of this.watches.values()) batch.capture(row, { into, step: 0, weight: 1 });
  }

  /**
   * Probability per probe for the watched row, to which each steering added the direction of its own token step. Throws E_NOT_FINITE.
   */
  read(steps: readonly number[], readings: readonly Added[]): number[] {
    const states = new Map(Array.from(this.watches, ([site, { into, layers }]) => [site, { layers, ...this.model.takeCapture(into) }]));
    return this.probes.map((probe, index) => {
      const { layers, sums, weights } = states.get(probe.site)!;
      if (weights[0] !== 1) throw new Error(`${weights[0]} rows were captured for one token`);
      const width = sums.length / layers.length;
      const start = layers.indexOf(probe.layer) * width;
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
