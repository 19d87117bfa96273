import { SteeringError } from "../errors.js";
import type { Batch, MeasuredAlpha, Place, Term } from "../engine/index.js";
import { alphaAt, type DynamicSchedule, type Schedule, type SetSchedule, type Tail } from "../steering/index.js";
import { directionIndex } from "../vector/index.js";

/** One property of a generation: a vector on the native side and its schedule, which may change between steps. */
export interface Property {
  readonly handle: Term["vector"];
  /** Token steps of the vector. */
  readonly nSteps: number;
  readonly schedule: Schedule;
  readonly tail: Tail;
}

/** What one step did with one property. */
export interface Reading {
  alpha: number;
  /** KL(P || S) in nats; null for schedules that do not measure. */
  kl: number | null;
}

/** What was added in a step that has been decided, which is never rewritten. */
interface PastStep {
  token: number;
  /** To the output row, and to the strongly steered row of each property that was measured. */
  terms: Term[];
  strong: Map<Property, Term[]>;
}

/** A property as it is in the step under way. */
interface Active {
  property: Property;
  schedule: Schedule;
  /** Where its KL is among the decode's. */
  request: number | undefined;
}

/**
 * The streams of one generation (docs/method.md §4 and §5): the unsteered stream P, one strongly steered stream S per dynamic
 * property, and the output stream. Positions already decoded keep the alpha that they had.
 *
 * `properties` may change: `plan` takes them as they are for the step that comes. A property that becomes dynamic needs a stream S, and
 * maybe P, which have no history yet (`isShort`): `restart` makes room for them, and the steps so far are computed again
 * as they were. What was not measured then is unsteered in S.
 */
export class Streams {
  /** Properties that have a stream S, in the order of their sequences. */
  private measured: Property[] = [];
  private readonly past: PastStep[] = [];
  private active: Active[] = [];
  private strong = new Map<Property, Term[]>();
  private terms: Term[] = [];

  constructor(private readonly properties: readonly Property[]) {
    this.plan();
    this.restart();
  }

  /** Take the schedules as they are now, for the next step. */
  plan(): void {
    this.active = this.properties.map((property) => ({ property, schedule: property.schedule, request: undefined }));
  }

  /** Sequences: P and the output stream are one where nothing is measured. */
  get nSequences(): number {
    return this.measured.length === 0 ? 1 : this.measured.length + 2;
  }

  /** True when a property is to be measured that has no stream. */
  get isShort(): boolean {
    return this.active.some(({ property, schedule }) => isDynamic(schedule) && !this.measured.includes(property));
  }

  /** Begin again with streams for all properties that are dynamic in the next step. */
  restart(): void {
    this.measured = this.active.filter(({ schedule }) => isDynamic(schedule)).map(({ property }) => property);
  }

  /** The token that a step has decided already: its rows are those it had. */
  decided(step: number): number | undefined {
    return this.past[step]?.token;
  }

  /** Rows of P and S, and the KLs between them. */
  probe(batch: Batch, { token, position, step, sequences }: Place): void {
    const past = this.past[step];
    for (const each of this.active) each.request = undefined;
    this.strong = new Map();
    if (this.measured.length === 0) return;
    const baseline = batch.add(token, position, sequences[0]!, { output: true });
    for (const [index, property] of this.measured.entries()) {
      const active = this.active.find((each) => each.property === property)!;
      const { schedule } = active;
      // One that is no longer measured leaves its stream behind.
      const terms = past ? past.strong.get(property) ?? [] : isDynamic(schedule) ? term(property, step, schedule.strongAlpha) : [];
      const strong = batch.add(token, position, sequences[index + 1]!, { output: true, terms });
      if (past || !isDynamic(schedule)) continue;
      const { topP, alphaMax, klReduction } = schedule;
      active.request = batch.measure({ baseline, strong, topP, alphaMax, klReduction });
      this.strong.set(property, terms);
    }
  }

  /** The output row, steered by every property's alpha. */
  output(batch: Batch, { token, position, step, sequences }: Place, measured: readonly MeasuredAlpha[]): { row: number; readings: Reading[] } {
    const add = (terms: Term[]): number => batch.add(token, position, sequences.at(-1)!, { output: true, terms });
    const past = this.past[step];
    if (past) return { row: add(past.terms), readings: [] };
    const readings = this.active.map(({ property, schedule, request }): Reading => {
      if (request !== undefined && Number.isNaN(measured[request]!.kl)) throw notFinite();
      const reading = request !== undefined ? measured[request]! : { alpha: alphaAt(schedule as SetSchedule, step, property.nSteps), kl: null };
      return term(property, step, reading.alpha).length === 0 ? { ...reading, alpha: 0 } : reading; // past its end, nothing is added
    });
    const terms = this.active.flatMap(({ property }, index) => term(property, step, readings[index]!.alpha));
    this.terms = terms;
    return { row: add(terms), readings };
  }

  /** Keep what the step under way added, with the token that it decided. */
  decide(token: number): void {
    this.past.push({ token, terms: this.terms, strong: this.strong });
  }
}

/** What logits that are no distribution come from. */
export function notFinite(): SteeringError {
  return new SteeringError("E_NOT_FINITE", "the model's logits are not finite, or no token is allowed: the steering is too strong, the weights are broken, or the logit bias forbids all");
}

function isDynamic(schedule: Schedule): schedule is DynamicSchedule {
  return schedule.kind === "dynamic";
}

function term({ handle, nSteps, tail }: Property, step: number, alpha: number): Term[] {
  const index = directionIndex(nSteps, step, tail);
  return index === undefined ? [] : [{ vector: handle, step: index, alpha }];
}
