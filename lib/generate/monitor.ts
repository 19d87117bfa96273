import { SteeringError } from "../errors.js";
import { sigmoid } from "../maths/logistic.js";
import type { Batch, CaptureHandle, Model } from "../runtime/index.js";
import { directionIndex, parseTail, probeLogit, select, type HookSite, type Probe, type Selection, type VectorData, type Tail } from "../steering/index.js";
import type { Reading } from "./streams.js";

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
  private readonly pushes: Push[][];

  /** Throws E_SHAPE, E_NO_SITE, E_BAD_ARGUMENT. */
  constructor(private readonly model: Model, private readonly probes: readonly Probe[], steer: readonly WatchedSteering[]) {
    for (const site of new Set(probes.map((probe) => probe.site))) {
      const layers = [...new Set(probes.filter((probe) => probe.site === site).map(({ layer }) => layer))].sort((a, b) => a - b);
      const into = model.createCapture(site, layers, 1);
      const width = model.takeCapture(into).sums.length / layers.length;
      const wrong = probes.find((probe) => probe.site === site && probe.weights.length !== width);
      if (wrong) throw new SteeringError("E_SHAPE", `the probe "${wrong.provenance.property}" has width ${wrong.weights.length}; ${site} of this model has ${width}`);
      this.watches.set(site, { into, layers });
    }
    const selected = steer.map((steering) => select(steering.vector, steering, model.info.nHead));
    for (const probe of probes) checkPath(model, probe, selected);
    this.pushes = probes.map((probe) => selected.flatMap((vector, property) => pushOf(probe, vector, property, parseTail(steer[property]!.tail))));
  }

  /** Have the state of a row read in the decode that computes it. */
  watch(batch: Batch, row: number): void {
    for (const { into } of this.watches.values()) batch.capture(row, { into, step: 0, weight: 1 });
  }

  /** Probability per probe, of the row that was watched at this token step. Throws E_NOT_FINITE. */
  read(step: number, readings: readonly Reading[]): number[] {
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

function pushAt({ property, tail, nSteps, perAlpha }: Push, step: number, readings: readonly Reading[]): number {
  const index = directionIndex(nSteps, step, tail);
  return index === undefined ? 0 : readings[property]!.alpha * perAlpha[index]!;
}

/** The graph path alone, which is for tests and diagnosis, adds at other nodes than are read: a part of the state would be missing, or there twice. */
function checkPath({ steeringPath }: Model, { site, layer, provenance }: Probe, steered: readonly Pick<VectorData, "site" | "layers">[]): void {
  if (steeringPath !== "graph") return;
  const isApart = steered.every((vector) => !vector.layers.includes(layer) || !(vector.site === site || (vector.site === "head_out" && site === "attn_out")));
  if (!isApart) throw new SteeringError("E_BAD_ARGUMENT", `the probe "${provenance.property}" reads ${site} of layer ${layer} where a vector is added; with steeringPath "graph" it cannot: use "auto"`);
}
