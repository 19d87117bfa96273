import { SteeringError } from "../errors.js";
import type { Batch, Engine } from "../engine/index.js";
import { sigmoid } from "../maths/index.js";
import type { CaptureHandle } from "../native/index.js";
import { parseTail, type Tail } from "../steering/index.js";
import { directionIndex, select, type HookSite, type Selection, type VectorData } from "../vector/index.js";
import { probeLogit, type Probe } from "./probe.js";

/** What is added while a monitor watches. */
export interface WatchedSteering extends Selection {
  vector: VectorData;
  tail?: Tail;
}

/** What one steering adds to a probe's log odds, at the place that the probe reads, per alpha. */
interface Push {
  /** Index of the steering. */
  property: number;
  tail: Tail;
  nSteps: number;
  /** `[nSteps + 1]`, the last for the mean of all. */
  perAlpha: Float64Array;
}

/** What was added for one steering at the step that was read. */
interface Added {
  alpha: number;
}

/** Probes of one site: one capture of all their layers. */
interface Watch {
  into: CaptureHandle;
  layers: number[];
}

/**
 * Probes that watch one generation: what each says of the state that chose a token, the output row's. Activations are
 * read before anything is added at their own place; what is added there counts too, as it is a part of the state.
 */
export class Monitor {
  private readonly watches = new Map<HookSite, Watch>();
  /** Per probe. */
  private readonly pushes: Push[][];
  private nSteerings = 0;

  /** `steer` may grow. Throws E_SHAPE, E_NO_SITE, E_BAD_ARGUMENT. */
  constructor(private readonly model: Engine, private readonly probes: readonly Probe[], private readonly steer: readonly WatchedSteering[]) {
    for (const site of new Set(probes.map((probe) => probe.site))) {
      const layers = [...new Set(probes.filter((probe) => probe.site === site).map(({ layer }) => layer))].sort((a, b) => a - b);
      const into = model.createCapture(site, layers, 1);
      const width = model.takeCapture(into).sums.length / layers.length;
      const wrong = probes.find((probe) => probe.site === site && probe.weights.length !== width);
      if (wrong) throw new SteeringError("E_SHAPE", `the probe "${wrong.provenance.property}" has width ${wrong.weights.length}; ${site} of this model has ${width}`);
      this.watches.set(site, { into, layers });
    }
    this.pushes = probes.map(() => []);
    this.takeNew();
  }

  /** What the steerings that were added since add to each probe's log odds. */
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

  /** Have the state of a row read in the decode that computes it. Throws E_BAD_ARGUMENT for a steering that was added. */
  watch(batch: Batch, row: number): void {
    this.takeNew();
    for (const { into } of this.watches.values()) batch.capture(row, { into, step: 0, weight: 1 });
  }

  /** Probability per probe, of the row that was watched at this token step. Throws E_NOT_FINITE. */
  read(step: number, readings: readonly Added[]): number[] {
    const states = new Map(Array.from(this.watches, ([site, { into, layers }]) => [site, { layers, ...this.model.takeCapture(into) }]));
    return this.probes.map((probe, index) => {
      const { layers, sums, weights } = states.get(probe.site)!;
      if (weights[0] !== 1) throw new Error(`${weights[0]} rows were captured for one token`);
      const width = sums.length / layers.length;
      const start = layers.indexOf(probe.layer) * width;
      const unpushed = probeLogit(probe, sums.subarray(start, start + width));
      return sigmoid(this.pushes[index]!.reduce((logit, push) => logit + pushAt(push, step, readings), unpushed));
    });
  }
}

function pushOf(probe: Probe, { site, layers, nSteps, width, data }: Pick<VectorData, "site" | "layers" | "nSteps" | "width" | "data">, property: number, tail: Tail): Push[] {
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

function pushAt({ property, tail, nSteps, perAlpha }: Push, step: number, readings: readonly Added[]): number {
  const index = directionIndex(nSteps, step, tail);
  return index === undefined ? 0 : (readings[property]?.alpha ?? 0) * perAlpha[index]!; // none yet: it was added while this step was under way
}

/** The graph path alone, which is for tests and diagnosis, adds at other nodes than are read: a part of the state would be missing, or there twice. */
function checkPath({ steeringPath }: Engine, { site, layer, provenance }: Probe, vector: Pick<VectorData, "site" | "layers">): void {
  if (steeringPath !== "graph") return;
  const isApart = !vector.layers.includes(layer) || !(vector.site === site || (vector.site === "head_out" && site === "attn_out"));
  if (!isApart) throw new SteeringError("E_BAD_ARGUMENT", `the probe "${provenance.property}" reads ${site} of layer ${layer} where a vector is added; with steeringPath "graph" it cannot: use "auto"`);
}
