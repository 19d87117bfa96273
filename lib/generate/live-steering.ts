import type { Engine, Term } from "../engine/index.js";
import { SteeringError } from "../errors.js";
import type { VectorHandle } from "../native/index.js";
import {
  parseSchedule, parseTail, steeringSpecSchema, type Schedule, type ScheduleInput, type SteeringSpec, type Tail,
} from "../steering/index.js";
import { assertMadeFor, directionIndex, type Selection, type VectorData } from "../vector/index.js";

/** A vector and how strongly to add it. */
export interface Steering extends Selection {
  vector: VectorData;
  /** Missing settings take their defaults, e.g. `{ kind: "dynamic" }`; or alpha as a function of the token step. */
  schedule: ScheduleInput;
  tail?: Tail;
}

const NOTHING: Schedule = { kind: "fixed", alpha: 0 };

/**
 * A steering of a running generation: what you change here applies from the next token on.
 *
 * @hideconstructor
 */
export class LiveSteering implements Steering {
  readonly vector: VectorData;
  readonly layers: readonly number[] | "all";
  readonly heads: readonly number[] | "all";
  readonly tail: Tail;
  private current: Schedule;
  private dropped = false;
  /** A step has used it. */
  private isUsed = false;
  private changed = false;
  /** The selected parts on the native side, from `load` on. */
  private handle: VectorHandle | undefined;

  /** Throws E_BAD_SPEC. */
  constructor({ vector, schedule, tail, layers = "all", heads = "all" }: Steering) {
    this.vector = checkedVector(vector);
    this.layers = layers;
    this.heads = heads;
    this.tail = parseTail(tail);
    this.current = parseSchedule(schedule);
  }

  get schedule(): Schedule {
    return this.current;
  }

  /** Throws E_BAD_SPEC. Ends an earlier `drop()`. */
  set schedule(schedule: ScheduleInput) {
    this.current = parseSchedule(schedule);
    this.dropped = false;
    this.changed ||= this.isUsed;
  }

  /** True after `drop()`. */
  get isDropped(): boolean {
    return this.dropped;
  }

  /** True when an earlier step was steered differently from what `schedule` says now. */
  get isChanged(): boolean {
    return this.changed;
  }

  /** Add nothing from the next token on. Its readings stay, with an alpha of 0. */
  drop(): void {
    this.dropped = true;
    this.changed ||= this.isUsed;
  }

  /** Copy the vector to the native side. Throws E_MODEL_MISMATCH, E_SHAPE, E_NOT_FINITE, E_NO_SITE. @internal */
  async load(model: Engine, allowMismatch = false): Promise<void> {
    assertMadeFor(this.vector, await model.fingerprint(), allowMismatch);
    this.handle = model.vectorHandle(this.vector, this);
  }

  /** The schedule that the next step uses. @internal */
  takeSchedule(): Schedule {
    this.isUsed = true;
    return this.dropped ? NOTHING : this.current;
  }

  /** What is added at a token step with this alpha; nothing past the vector's end. @internal */
  termsAt(step: number, alpha: number): Term[] {
    const index = directionIndex(this.vector.nSteps, step, this.tail);
    return index === undefined ? [] : [{ vector: this.handle!, step: index, alpha }];
  }
}

/**
 * The steering in canonical form, with all defaults filled in; a vector without a file is named by its property. `alphas`, if
 * given, replace the schedule.
 */
export function canonicalSpec({ vector, layers, heads, schedule, tail }: Steering, alphas: readonly number[] | undefined): SteeringSpec {
  const { path } = vector as { path?: string };
  return steeringSpecSchema.parse({
    vector: path ?? (vector.provenance.property || "unnamed"),
    ...(layers && { layers }), ...(heads && { heads }), ...(tail && { tail }),
    schedule: alphas ? { kind: "recorded", alphas: [...alphas] } : parseSchedule(schedule),
  });
}

/** Throws E_BAD_SPEC for anything but a vector, e.g. the path of one. */
function checkedVector(vector: VectorData): VectorData {
  const given = vector as Partial<VectorData> | undefined;
  if (given?.data instanceof Float32Array && Array.isArray(given.layers) && given.provenance) return vector;
  const found = typeof vector === "string" ? `not a text; SteeringVector.load("${String(vector)}") reads a file`
    : vector === undefined ? "not nothing" : "not another thing";
  throw new SteeringError("E_BAD_SPEC", `steer: a vector was expected, ${found}`);
}

/** What `steer` takes: steerings, or bare vectors, which use their calibrated schedule. */
export type SteerInput = Steering | VectorData | ReadonlyArray<Steering | VectorData>;

/** Steerings as a list; a bare vector gets its calibrated schedule. Throws E_BAD_SPEC for one that is not calibrated. */
export function steerings(input: SteerInput | undefined): Steering[] {
  if (input === undefined) return [];
  const all = Array.isArray(input) ? input as ReadonlyArray<Steering | VectorData> : [input as Steering | VectorData];
  return all.map((given) => {
    if (typeof given === "object" && given !== null && "vector" in given) return given;
    const { calibration, property } = (given as VectorData | undefined)?.provenance ?? {};
    if (calibration) return { vector: given as VectorData, schedule: calibration.schedule };
    throw new SteeringError("E_BAD_SPEC", `steer: ${property === undefined ? "a vector and its schedule were expected"
      : `how strongly to add ${property}? Give a schedule, { vector, schedule }, or calibrate the vector`}`);
  });
}

/**
 * Several properties at once: one list for `steer` out of steerings, calibrated vectors and compositions, each with all
 * defaults filled in. The order makes no difference to what is added. Throws E_BAD_SPEC, E_MODEL_MISMATCH for vectors of
 * different models.
 */
export function compose(...parts: readonly SteerInput[]): Steering[] {
  const all = parts.flatMap((part) => steerings(part)).map(({ vector, schedule, tail, layers = "all", heads = "all" }): Steering =>
    ({ vector: checkedVector(vector), layers, heads, schedule: parseSchedule(schedule), tail: parseTail(tail) }));
  for (const { vector } of all) assertMadeFor(vector, all[0]!.vector.provenance.model);
  return all;
}
