import type { Engine, Term } from "../engine/index.js";
import { SteeringError } from "../errors.js";
import type { GateHandle, VectorHandle } from "../native/index.js";
import {
  checkConditions, checkOperator, checkPhases, isSelected, parseGateRule, parseOnly, parseOperation, parsePhases, parseSchedule, parseTail,
  steeringSpecSchema, writtenOperation, type GateSpec, type Only, type Operator, type Schedule, type ScheduleInput, type SteeredPhase,
  type SteeringSpec, type Tail,
} from "../steering/index.js";
import {
  assertMadeFor, assertReadsBefore, directionIndex, parseGate, type FullGate, type Gate, type HowToAdd, type VectorData,
} from "../vector/index.js";
import type { Moment } from "./phase-clock.js";

/** A vector and how strongly to add it. */
export interface Steering extends HowToAdd {
  vector: VectorData;
  /** A schedule, whose missing settings take their defaults (e.g. `{ kind: "dynamic" }`), or a function from token step to alpha. */
  schedule: ScheduleInput;
}

const NOTHING: Schedule = { kind: "fixed", alpha: 0 };

/**
 * A steering of a running generation. Changes take effect at the next token.
 *
 * @hideconstructor
 */
export class LiveSteering implements Steering {
  readonly vector: VectorData;
  readonly layers: readonly number[] | "all";
  readonly heads: readonly number[] | "all";
  readonly tail: Tail;
  readonly phases: readonly SteeredPhase[];
  readonly only: Only | undefined;
  readonly gate: FullGate | undefined;
  readonly operator: Operator;
  readonly keepNorm: boolean;
  // Not `private`: a copy such as { ...steering, schedule } is a steering as well, and must not hold these.
  #current: Schedule;
  #dropped = false;
  /** True once a step has used this steering. */
  #isUsed = false;
  #changed = false;
  /** The selected parts on the native side; set by `load`. */
  #handle: VectorHandle | undefined;
  #ofGate: GateHandle | undefined;

  /** Throws E_BAD_SPEC. */
  constructor({ vector, schedule, tail, phases, only, gate, layers = "all", heads = "all", ...operation }: Steering) {
    this.vector = checkedVector(vector);
    this.layers = layers;
    this.heads = heads;
    this.tail = parseTail(tail);
    this.phases = parsePhases(phases);
    this.only = parseOnly(only);
    this.gate = parseGate(gate);
    ({ operator: this.operator, keepNorm: this.keepNorm } = parseOperation(operation));
    checkConditions(this);
    this.#current = this.parsed(schedule);
  }

  get schedule(): Schedule {
    return this.#current;
  }

  /** Throws E_BAD_SPEC. Ends an earlier `drop()`. */
  set schedule(schedule: ScheduleInput) {
    this.#current = this.parsed(schedule);
    this.#dropped = false;
    this.#changed ||= this.#isUsed;
  }

  /** Throws the E_BAD_SPEC that setting this schedule would throw. @internal */
  checkSchedule(schedule: ScheduleInput): void {
    this.parsed(schedule);
  }

  /** True after `drop()`. */
  get isDropped(): boolean {
    return this.#dropped;
  }

  /** True if the schedule was changed, or the vector dropped, after a step had used it. */
  get isChanged(): boolean {
    return this.#changed;
  }

  /** Stops adding the vector from the next token on. Its readings continue, with alpha 0. */
  drop(): void {
    this.#dropped = true;
    this.#changed ||= this.#isUsed;
  }

  /**
   * Copies the vector and the gate's probe to the native side. Throws E_MODEL_MISMATCH, E_SHAPE, E_NOT_FINITE, E_NO_SITE, and E_BAD_SPEC
   * for a gate that reads too late.
   * @internal
   */
  async load(model: Engine, allowMismatch = false): Promise<void> {
    const fingerprint = await model.fingerprint();
    assertMadeFor(this.vector, fingerprint, allowMismatch);
    this.#handle = model.vectorHandle(this.vector, this);
    if (!this.gate) return;
    assertMadeFor(this.gate.probe, fingerprint, allowMismatch, "probe");
    this.#ofGate = model.createGate(this.gate);
    assertReadsBefore(model, this.gate.probe, this.vector, this);
  }

  /** The gate on the native side; undefined without a gate. @internal */
  get gateHandle(): GateHandle | undefined {
    return this.#ofGate;
  }

  /** The schedule that the next step uses. @internal */
  takeSchedule(): Schedule {
    this.#isUsed = true;
    return this.#dropped ? NOTHING : this.#current;
  }

  /**
   * The token step among those of the vector's phases; undefined outside them, and where the selectors exclude it. The generation's first
   * step computes the prompt's last row.
   * @internal
   */
  stepAt({ phase, before, soFar }: Moment, step: number): number | undefined {
    const isSteered = this.phases.includes(phase) || (step === 0 && this.phases.includes("prompt"));
    if (!isSteered) return undefined;
    const own = this.phases.reduce((sum, each) => sum + (each === "prompt" ? 0 : before[each]), 0);
    return !this.only || isSelected(this.only, own, soFar) ? own : undefined;
  }

  private parsed(input: ScheduleInput): Schedule {
    const schedule = parseSchedule(input);
    checkPhases(this.phases, schedule);
    checkOperator(this, schedule);
    return schedule;
  }

  /** The terms to add at a token step with this alpha; none past the vector's end. @internal */
  termsAt(step: number, alpha: number): Term[] {
    const index = directionIndex(this.vector.nSteps, step, this.tail);
    return index === undefined ? [] : [{ vector: this.#handle!, step: index, alpha, ...writtenOperation(this) }];
  }

  /** True unless a token step is past the vector's end. @internal */
  actsAt(step: number): boolean {
    return directionIndex(this.vector.nSteps, step, this.tail) !== undefined;
  }
}

/**
 * Returns the steering in canonical form, with all defaults filled in; a vector or probe without a file is named after its property.
 * `alphas`, if given, replace the schedule, and selectors and gate, which had their effect on them.
 */
export function canonicalSpec(
  { vector, layers, heads, schedule, tail, phases, only, gate, ...operation }: Steering, alphas: readonly number[] | undefined,
): SteeringSpec {
  const { path } = vector as { path?: string };
  return steeringSpecSchema.parse({
    vector: path ?? (vector.provenance.property || "unnamed"),
    ...(layers && { layers }), ...(heads && { heads }), ...(tail && { tail }), ...(phases && { phases }),
    schedule: alphas ? { kind: "recorded", alphas: [...alphas] } : parseSchedule(schedule), ...writtenOperation(operation),
    ...(only && !alphas && { only }), ...(gate && !alphas && { gate: gateSpec(gate) }),
  });
}

function gateSpec({ probe, path, ...rule }: Gate): GateSpec {
  return { probe: path ?? (probe.provenance.property || "unnamed"), ...parseGateRule(rule) };
}

/** Throws E_BAD_SPEC unless the value is a vector; a path, for example, is not. */
function checkedVector(vector: VectorData): VectorData {
  const given = vector as Partial<VectorData> | undefined;
  if (given?.data instanceof Float32Array && Array.isArray(given.layers) && given.provenance) return vector;
  const found = typeof vector === "string" ? `not a string; to read a file, use SteeringVector.load("${String(vector)}")`
    : `not ${vector === undefined ? "undefined" : "another value"}`;
  throw new SteeringError("E_BAD_SPEC", `steer: expected a vector, ${found}`);
}

/** The argument `steer`: steerings, or bare vectors, which use their calibrated schedules; a list may hold results of `loadSteering`. */
export type SteerInput = Steering | VectorData | ReadonlyArray<Steering | VectorData | readonly Steering[]>;

/** Returns `steer` as a list; a bare vector gets its calibrated schedule. Throws E_BAD_SPEC if it is not calibrated. */
export function steerings(input: SteerInput | undefined): Steering[] {
  if (input === undefined) return [];
  const all = ([input] as ReadonlyArray<Steering | VectorData>).flat(2);
  return all.map((given: Steering | VectorData) => {
    if (typeof given === "object" && given !== null && "vector" in given) return given;
    const { calibration, property } = (given as VectorData | undefined)?.provenance ?? {};
    if (calibration) return { vector: given as VectorData, schedule: calibration.schedule };
    throw new SteeringError("E_BAD_SPEC", `steer: ${property === undefined ? "expected a vector and its schedule"
      : `the vector for ${property} has no schedule. Pass one, as { vector, schedule }, or calibrate the vector`}`);
  });
}

/**
 * Combines steerings, calibrated vectors and other compositions into one list for `steer`, with all defaults filled in, to steer toward
 * several properties at once. The order of additions does not matter; ablations, projections and clamps at one place act in this order,
 * and budgets choose in it (docs/method.md §4). Throws E_BAD_SPEC, and E_MODEL_MISMATCH for vectors of different models.
 */
export function compose(...parts: readonly SteerInput[]): Steering[] {
  const all = parts.flatMap((part) => steerings(part)).map(({ vector, layers = "all", heads = "all", ...how }): Steering => ({
    vector: checkedVector(vector), layers, heads, ...writtenOperation(how),
    schedule: parseSchedule(how.schedule), tail: parseTail(how.tail), phases: parsePhases(how.phases),
    ...(how.only !== undefined && { only: parseOnly(how.only) }), ...(how.gate !== undefined && { gate: parseGate(how.gate) }),
  }));
  for (const { vector, gate } of all) {
    assertMadeFor(vector, all[0]!.vector.provenance.model);
    if (gate) assertMadeFor(gate.probe, vector.provenance.model, false, "probe");
  }
  return all;
}
