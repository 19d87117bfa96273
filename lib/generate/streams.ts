import { Batch, type Context, type Term } from "../runtime/index.js";
import { alphaAt, directionIndex, type DynamicSchedule, type Schedule, type SetSchedule, type SteeringVector, type Tail } from "../steering/index.js";

/** One property of a generation: a vector on the native side and its schedule. */
export interface Property {
  id: number;
  vector: SteeringVector;
  schedule: Schedule;
  tail: Tail;
}

/** What one step did with one property. */
export interface Reading {
  alpha: number;
  /** KL(P || S) in nats; null for schedules that do not measure. */
  kl: number | null;
}

export interface Step {
  /** Row of the last decode whose logits give the next token. */
  outputRow: number;
  readings: Reading[];
}

/**
 * The sequences of one generation: the unsteered stream P (sequence 0), one strongly steered stream S per dynamic
 * property, and the output stream. All share the KV cells of the prompt; positions keep the alpha that they had.
 */
export class Streams {
  private readonly strong: Array<{ property: Property & { schedule: DynamicSchedule }; sequence: number }>;
  private readonly output: number;

  constructor(private readonly context: Context, private readonly properties: readonly Property[]) {
    this.strong = properties.filter(isDynamic).map((property, index) => ({ property, sequence: index + 1 }));
    this.output = this.strong.length === 0 ? 0 : this.strong.length + 1;
  }

  /** Sequences that `properties` need. */
  static count(schedules: readonly Schedule[]): number {
    const nDynamic = schedules.filter((schedule) => schedule.kind === "dynamic").length;
    return nDynamic === 0 ? 1 : nDynamic + 2;
  }

  /** Decode the prompt except its last token, once for all streams. */
  async feed(prompt: readonly number[], signal?: AbortSignal): Promise<void> {
    const before = prompt.length - 1;
    for (let start = 0; start < before; start += this.context.options.nBatch) {
      const batch = new Batch();
      for (let position = start; position < Math.min(before, start + this.context.options.nBatch); position++) {
        batch.add(prompt[position]!, position, 0);
      }
      await this.context.decode(batch, signal);
    }
    for (let sequence = 1; sequence <= this.output; sequence++) this.context.kvCopy(0, sequence, 0, before);
  }

  /** One token step (REFERENCE §4 and §5): probe rows, KL and alpha per dynamic property, then the output row. */
  async step(token: number, position: number, step: number, signal?: AbortSignal): Promise<Step> {
    const measured = await this.probe(token, position, step, signal);
    const readings = this.properties.map((property): Reading => {
      const reading = measured.get(property) ?? { alpha: alphaAt(property.schedule as SetSchedule, step, property.vector.nSteps), kl: null };
      return term(property, step, reading.alpha).length === 0 ? { ...reading, alpha: 0 } : reading; // past its end, nothing is added
    });
    const batch = new Batch();
    const terms = this.properties.flatMap((property, index) => term(property, step, readings[index]!.alpha));
    const outputRow = batch.add(token, position, this.output, { output: true, terms });
    await this.context.decode(batch, signal);
    return { outputRow, readings };
  }

  private async probe(token: number, position: number, step: number, signal?: AbortSignal): Promise<Map<Property, Reading>> {
    if (this.strong.length === 0) return new Map();
    const batch = new Batch();
    const baseline = batch.add(token, position, 0, { output: true });
    const requests = this.strong.map(({ property, sequence }) => {
      const { topP, alphaMax, strongAlpha, klReduction } = property.schedule;
      const strong = batch.add(token, position, sequence, { output: true, terms: term(property, step, strongAlpha) });
      return { baseline, strong, topP, alphaMax, klReduction };
    });
    await this.context.decode(batch, signal);
    const measured = await this.context.composeAlpha(requests);
    return new Map(this.strong.map(({ property }, index) => [property, measured[index]!]));
  }
}

function isDynamic(property: Property): property is Property & { schedule: DynamicSchedule } {
  return property.schedule.kind === "dynamic";
}

function term({ id, vector, tail }: Property, step: number, alpha: number): Term[] {
  const index = directionIndex(vector.nSteps, step, tail);
  return index === undefined ? [] : [{ vector: id, step: index, alpha }];
}
