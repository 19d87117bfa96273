import { SteeringError } from "../errors.js";
import type { Batch, MeasuredAlpha, Place, Term } from "../runtime/index.js";
import { alphaAt, directionIndex, type DynamicSchedule, type Schedule, type SetSchedule, type Tail } from "../steering/index.js";

/** One property of a generation: a vector on the native side and its schedule. */
export interface Property {
  handle: Term["vector"];
  /** Token steps of the vector. */
  nSteps: number;
  schedule: Schedule;
  tail: Tail;
}

/** What one step did with one property. */
export interface Reading {
  alpha: number;
  /** KL(P || S) in nats; null for schedules that do not measure. */
  kl: number | null;
}

type DynamicProperty = Property & { schedule: DynamicSchedule };

/**
 * The streams of one generation (REFERENCE §4 and §5): the unsteered stream P, one strongly steered stream S per dynamic
 * property, and the output stream. Positions already decoded keep the alpha that they had.
 */
export class Streams {
  private readonly dynamic: readonly DynamicProperty[];
  /** Of the step under way: where each dynamic property's KL is among the decode's. */
  private requests = new Map<Property, number>();

  constructor(private readonly properties: readonly Property[]) {
    this.dynamic = properties.filter(isDynamic);
  }

  /** Sequences: P and the output stream are one where nothing is measured. */
  get nSequences(): number {
    return this.dynamic.length === 0 ? 1 : this.dynamic.length + 2;
  }

  /** Rows of P and S, and the KLs between them. */
  probe(batch: Batch, { token, position, step, sequences }: Place): void {
    this.requests.clear();
    if (this.dynamic.length === 0) return;
    const baseline = batch.add(token, position, sequences[0]!, { output: true });
    for (const [index, property] of this.dynamic.entries()) {
      const { topP, alphaMax, strongAlpha, klReduction } = property.schedule;
      const strong = batch.add(token, position, sequences[index + 1]!, { output: true, terms: term(property, step, strongAlpha) });
      this.requests.set(property, batch.measure({ baseline, strong, topP, alphaMax, klReduction }));
    }
  }

  /** The output row, steered by every property's alpha. */
  output(batch: Batch, { token, position, step, sequences }: Place, measured: readonly MeasuredAlpha[]): { row: number; readings: Reading[] } {
    const readings = this.properties.map((property): Reading => {
      const request = this.requests.get(property);
      if (request !== undefined && Number.isNaN(measured[request]!.kl)) throw notFinite();
      const reading = request === undefined ? { alpha: alphaAt(property.schedule as SetSchedule, step, property.nSteps), kl: null } : measured[request]!;
      return term(property, step, reading.alpha).length === 0 ? { ...reading, alpha: 0 } : reading; // past its end, nothing is added
    });
    const terms = this.properties.flatMap((property, index) => term(property, step, readings[index]!.alpha));
    return { row: batch.add(token, position, sequences.at(-1)!, { output: true, terms }), readings };
  }
}

/** What logits that are no distribution come from. */
export function notFinite(): SteeringError {
  return new SteeringError("E_NOT_FINITE", "the model's logits are not finite, or no token is allowed: the steering is too strong, the weights are broken, or the logit bias forbids all");
}

function isDynamic(property: Property): property is DynamicProperty {
  return property.schedule.kind === "dynamic";
}

function term({ handle, nSteps, tail }: Property, step: number, alpha: number): Term[] {
  const index = directionIndex(nSteps, step, tail);
  return index === undefined ? [] : [{ vector: handle, step: index, alpha }];
}
