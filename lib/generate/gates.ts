import type { GateReading, GateRequest, StepResult, Term } from "../engine/index.js";
import type { LiveSteering } from "./live-steering.js";
import { notFinite, type Reading } from "./reading.js";

/** A gate that is read in the current decode, and the reading of its steering that it completes. */
interface Asked {
  steering: LiveSteering;
  request: GateRequest;
  reading: Reading;
}

/** What an open gate makes of alpha, to the bit what the native side adds. */
export function gatedAlpha(alpha: number, value: number): number {
  if (value === 0) return 0;
  if (value === 1) return alpha;
  return Math.fround(Math.fround(alpha) * Math.fround(value));
}

/** Terms whose gates have been read: what was added. */
export function settledTerms(terms: readonly Term[], gates: StepResult["gates"]): readonly Term[] {
  if (terms.every(({ gate }) => gate === undefined)) return terms;
  return terms.map(({ gate, ...term }) => (gate ? { ...term, alpha: gatedAlpha(term.alpha, gates.get(gate)!.value) } : term))
    .filter(({ alpha }) => alpha !== 0);
}

/**
 * The gates of one generation. Each is read at the row that its vector is added to, in the decode that steers it. What it read last is its
 * state: a gate per prompt keeps it for the whole answer, and one with `until` depends on whether it was open.
 */
export class Gates {
  private readonly last = new Map<LiveSteering, GateReading>();
  private asked: Asked[] = [];

  /** Begins a step: what was asked before and never taken is forgotten. */
  begin(): void {
    this.asked = [];
  }

  /**
   * Applies a steering's gate to its terms of a step. A gate is read if something is to be added; one per prompt at the first step
   * that it sees, whatever is added there.
   */
  apply(steering: LiveSteering, terms: readonly Term[], reading: Reading): readonly Term[] {
    const { gate, gateHandle } = steering;
    if (!gate) return terms;
    const last = this.last.get(steering);
    if (gate.per === "prompt" && last) {
      Object.assign(reading, { alpha: gatedAlpha(reading.alpha, last.value), gate: { ...last } });
      return terms.map((term) => ({ ...term, alpha: gatedAlpha(term.alpha, last.value) })).filter(({ alpha }) => alpha !== 0);
    }
    if (gate.per === "token" && terms.every(({ alpha }) => alpha === 0)) return terms;
    const request = { gate: gateHandle!, wasOpen: last !== undefined && last.value !== 0 };
    this.asked.push({ steering, request, reading });
    return terms.map((term) => ({ ...term, gate: request }));
  }

  /** True if a steering's gate is shut for the rest of the answer. */
  isShut(steering: LiveSteering): boolean {
    return steering.gate?.per === "prompt" && this.last.get(steering)?.value === 0;
  }

  /** The gates to read at the output row. */
  get requests(): readonly GateRequest[] {
    return this.asked.map(({ request }) => request);
  }

  /** True if a step depends on what a gate reads in the step before. */
  isSequence(steer: Iterable<LiveSteering>): boolean {
    return [...steer].some((steering) => steering.gate
      && (steering.gate.until !== undefined || (steering.gate.per === "prompt" && !this.last.has(steering))));
  }

  /** Takes what the gates have read, and completes the step's readings. Throws E_NOT_FINITE. */
  take(gates: StepResult["gates"]): void {
    for (const { steering, request, reading } of this.asked) {
      const read = gates.get(request)!;
      if (Number.isNaN(read.probability)) throw notFinite();
      this.last.set(steering, read);
      Object.assign(reading, { alpha: gatedAlpha(reading.alpha, read.value), gate: { ...read } });
    }
    this.asked = [];
  }
}
