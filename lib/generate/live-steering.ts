import { SteeringError } from "../errors.js";
import type { VectorHandle } from "../native/index.js";
import { parseSchedule, parseTail, steeringSpecSchema, type Schedule, type ScheduleInput, type SteeringSpec, type Tail } from "../steering/index.js";
import { assertMadeFor, type Selection, type VectorData } from "../vector/index.js";
import type { Property } from "./streams.js";

/** A vector and how strongly to add it. */
export interface Steering extends Selection {
  vector: VectorData;
  /** Missing settings take their defaults, e.g. `{ kind: "dynamic" }`; or alpha as a function of the token step. */
  schedule: ScheduleInput;
  tail?: Tail;
}

const NOTHING: Schedule = { kind: "fixed", alpha: 0 };

/**
 * One vector of a generation under way: what is changed here counts from the next token on.
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

  /** True when a step was steered otherwise than `schedule` says now. */
  get isChanged(): boolean {
    return this.changed;
  }

  /** Add nothing from the next token on. Its readings stay, with an alpha of 0. */
  drop(): void {
    this.dropped = true;
    this.changed ||= this.isUsed;
  }

  /** As the streams read it, at every step. @internal */
  toProperty(handle: VectorHandle): Property {
    const scheduleNow = (): Schedule => {
      this.isUsed = true;
      return this.dropped ? NOTHING : this.current;
    };
    return { handle, nSteps: this.vector.nSteps, tail: this.tail, get schedule() { return scheduleNow(); } };
  }
}

/** The steering in its canonical form, all defaults filled in; a vector that no file holds goes by its property. With `alphas`, these take the place of the schedule. */
export function canonicalSpec({ vector, layers, heads, schedule, tail }: Steering, alphas: readonly number[] | undefined): SteeringSpec {
  const { path } = vector as { path?: string };
  return steeringSpecSchema.parse({
    vector: path ?? (vector.provenance.property || "unnamed"),
    ...(layers && { layers }), ...(heads && { heads }), ...(tail && { tail }),
    schedule: alphas ? { kind: "recorded", alphas: [...alphas] } : parseSchedule(schedule),
  });
}

/** Throws E_BAD_SPEC for what is no vector, e.g. the path of one. */
function checkedVector(vector: VectorData): VectorData {
  const given = vector as Partial<VectorData> | undefined;
  if (given?.data instanceof Float32Array && Array.isArray(given.layers) && given.provenance) return vector;
  throw new SteeringError("E_BAD_SPEC", `steer: a vector was expected, ${typeof vector === "string" ? `not a text; SteeringVector.load("${String(vector)}") reads a file` : `not ${vector === undefined ? "nothing" : "another thing"}`}`);
}

/** What `steer` takes: steerings, or bare vectors, which are added with their calibrated schedule. */
export type SteerInput = Steering | VectorData | ReadonlyArray<Steering | VectorData>;

/** Steerings in a list; a bare vector with its calibrated schedule. Throws E_BAD_SPEC for a vector that has none. */
export function steerings(input: SteerInput | undefined): Steering[] {
  if (input === undefined) return [];
  return (Array.isArray(input) ? (input as ReadonlyArray<Steering | VectorData>) : [input as Steering | VectorData]).map((each) => {
    if (typeof each === "object" && each !== null && "vector" in each) return each;
    const { calibration, property } = (each as VectorData | undefined)?.provenance ?? {};
    if (calibration) return { vector: each as VectorData, schedule: calibration.schedule };
    throw new SteeringError("E_BAD_SPEC", `steer: ${property === undefined ? "a vector and its schedule were expected" : `how strongly to add ${property}? Give a schedule, { vector, schedule }, or calibrate the vector`}`);
  });
}

/**
 * Several properties at once: one list for `steer` out of steerings, calibrated vectors and compositions, each with all
 * defaults filled in. The order makes no difference to what is added. Throws E_BAD_SPEC, E_MODEL_MISMATCH for vectors of
 * different models.
 */
export function compose(...parts: readonly SteerInput[]): Steering[] {
  const composed = parts.flatMap((part) => steerings(part)).map(({ vector, schedule, tail, layers = "all", heads = "all" }): Steering =>
    ({ vector: checkedVector(vector), layers, heads, schedule: parseSchedule(schedule), tail: parseTail(tail) }));
  const [first] = composed;
  for (const { vector } of composed) assertMadeFor(vector, first!.vector.provenance.model);
  return composed;
}
