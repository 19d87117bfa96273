import { SteeringError } from "../errors.js";
import type { Batch, MeasuredAlpha, Place, Term } from "../engine/index.js";
import { alphaAt, type DynamicSchedule, type Schedule } from "../steering/index.js";
import type { LiveSteering } from "./live-steering.js";

/** What one step did with one steering. */
export interface Reading {
  alpha: number;
  /** KL(P || S) in nats; null for schedules that do not measure. */
  kl: number | null;
}

/** What was added in a step that has been decided. It is never rewritten. */
interface PastStep {
  token: number;
  /** To the output row, and to the row S of each steering that was measured. */
  terms: Term[];
  strong: Map<LiveSteering, Term[]>;
}

/**
 * The streams of one generation (docs/method.md §4 and §5): the unsteered stream P, one strongly steered stream S per
 * dynamic steering, and the output stream. Positions already decoded keep the alpha that they had.
 *
 * `steer` may grow, and its schedules may change: `takeSchedules` reads them for the next step. A steering that becomes
 * dynamic needs a stream S, and maybe P, which have no history yet (`isShort`): `restart` makes room for them, and the
 * steps so far are computed again as they were. What was not measured then is unsteered in S.
 */
export class Streams {
  /** Steerings that have a stream S, in the order of their sequences. */
  private measured: LiveSteering[] = [];
  private readonly past: PastStep[] = [];
  // Of the step under way: schedules, where each KL is among the decode's, and what is added to the rows S and the output row.
  private schedules = new Map<LiveSteering, Schedule>();
  private requests = new Map<LiveSteering, number>();
  private strong = new Map<LiveSteering, Term[]>();
  private terms: Term[] = [];

  constructor(private readonly steer: readonly LiveSteering[]) {
    this.takeSchedules();
    this.restart();
  }

  /** Take the schedules as they are now, for the next step. */
  takeSchedules(): void {
    this.schedules = new Map(this.steer.map((steering) => [steering, steering.takeSchedule()]));
  }

  /** Sequences: P and the output stream are one where nothing is measured. */
  get nSequences(): number {
    return this.measured.length === 0 ? 1 : this.measured.length + 2;
  }

  /** True when a steering without a stream S is to be measured. */
  get isShort(): boolean {
    return this.dynamic().some((steering) => !this.measured.includes(steering));
  }

  /** Start again with streams for all steerings that are dynamic in the next step. */
  restart(): void {
    this.measured = this.dynamic();
  }

  /** The token that a step has decided already: its rows are those it had. */
  decided(step: number): number | undefined {
    return this.past[step]?.token;
  }

  /** Add the rows of P and S, and ask for the KLs between them. */
  measure(batch: Batch, { token, position, step, sequences }: Place): void {
    const past = this.past[step];
    this.requests = new Map();
    this.strong = new Map();
    if (this.measured.length === 0) return;
    const baseline = batch.add(token, position, sequences[0]!, { output: true });
    for (const [index, steering] of this.measured.entries()) {
      const schedule = this.schedules.get(steering)!;
      // The stream of a steering that is no longer measured continues unsteered.
      const terms = past ? past.strong.get(steering) ?? [] : isDynamic(schedule) ? steering.termsAt(step, schedule.strongAlpha) : [];
      const strong = batch.add(token, position, sequences[index + 1]!, { output: true, terms });
      if (past || !isDynamic(schedule)) continue;
      const { topP, alphaMax, klReduction } = schedule;
      this.requests.set(steering, batch.measure({ baseline, strong, topP, alphaMax, klReduction }));
      this.strong.set(steering, terms);
    }
  }

  /** Add the output row, steered with the alpha of every steering. */
  output(
    batch: Batch, { token, position, step, sequences }: Place, measured: readonly MeasuredAlpha[],
  ): { row: number; readings: Reading[] } {
    const readings: Reading[] = [];
    this.terms = this.past[step]?.terms ?? [...this.schedules].flatMap(([steering, schedule]) => {
      const reading = this.read(steering, schedule, step, measured);
      const terms = steering.termsAt(step, reading.alpha);
      readings.push(terms.length === 0 ? { ...reading, alpha: 0 } : reading); // nothing is added past the vector's end
      return terms;
    });
    return { row: batch.add(token, position, sequences.at(-1)!, { output: true, terms: this.terms }), readings };
  }

  /** Keep what the step under way added, with the token that it decided. */
  decide(token: number): void {
    this.past.push({ token, terms: this.terms, strong: this.strong });
  }

  private read(steering: LiveSteering, schedule: Schedule, step: number, measured: readonly MeasuredAlpha[]): Reading {
    if (!isDynamic(schedule)) return { alpha: alphaAt(schedule, step, steering.vector.nSteps), kl: null };
    const reading = measured[this.requests.get(steering)!]!;
    if (Number.isNaN(reading.kl)) throw notFinite();
    return reading;
  }

  private dynamic(): LiveSteering[] {
    return [...this.schedules.keys()].filter((steering) => isDynamic(this.schedules.get(steering)!));
  }
}

/** What explains logits that are not a distribution. */
export function notFinite(): SteeringError {
  return new SteeringError("E_NOT_FINITE", "the model's logits are not finite, or no token is allowed: the steering is too strong, "
    + "the weights are broken, or the logit bias forbids all tokens");
}

function isDynamic(schedule: Schedule): schedule is DynamicSchedule {
  return schedule.kind === "dynamic";
}
