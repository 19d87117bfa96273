import type { Batch, GateReading, GateRequest, StepResult, Term } from "../engine/index.js";
import type { LiveSteering } from "./live-steering.js";
import { notFinite, type Reading } from "./readings.js";

/** The terms of one row, and the gates that are read at it. */
export interface RowTerms {
  terms: readonly Term[];
  gates: Map<LiveSteering, GateRequest>;
}

/**
 * Adds an output row with these terms, unless an existing one has them, and reads the gates at it: one per prompt is read even if no
 * term names it. Returns the row.
 */
export function addRow(
  batch: Batch, { token, position, sequence }: { token: number; position: number; sequence: number }, { terms, gates }: RowTerms,
  existing?: number,
): number {
  const row = existing ?? batch.add(token, position, sequence, { output: true, terms });
  for (const request of gates.values()) batch.readGate(row, request);
  return row;
}

/** True if a steering's gate was read at this row, and was shut. */
export function isShutAt({ gates: requests }: RowTerms, steering: LiveSteering, gates: StepResult["gates"]): boolean {
  const request = requests.get(steering);
  return request !== undefined && gates.get(request)!.value === 0;
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

  /**
   * Applies a steering's gate to its terms of a row. A gate is read if something is to be added; one per prompt at the first step
   * that it sees, whatever is added there.
   */
  apply(steering: LiveSteering, terms: readonly Term[], row: RowTerms["gates"]): readonly Term[] {
    const { gate, gateHandle } = steering;
    if (!gate) return terms;
    const kept = this.kept(steering);
    if (kept) return terms.map((term) => ({ ...term, alpha: gatedAlpha(term.alpha, kept.value) })).filter(({ alpha }) => alpha !== 0);
    if (gate.per === "token" && terms.every(({ alpha }) => alpha === 0)) return terms;
    const request = { gate: gateHandle!, wasOpen: (this.last.get(steering)?.value ?? 0) !== 0 };
    row.set(steering, request);
    return terms.map((term) => ({ ...term, gate: request }));
  }

  /** True if a steering's gate is shut for the rest of the answer. */
  isShut(steering: LiveSteering): boolean {
    return this.kept(steering)?.value === 0;
  }

  /** True if a step depends on what a gate reads in the step before. */
  isSequence(steer: readonly LiveSteering[]): boolean {
    return steer.some((steering) => steering.gate
      && (steering.gate.until !== undefined || (steering.gate.per === "prompt" && !this.last.has(steering))));
  }

  /** Takes what the gates of the output row have read; returns the readings with what was added. Throws E_NOT_FINITE. */
  take(
    steer: readonly LiveSteering[], row: RowTerms["gates"], gates: StepResult["gates"], readings: readonly Reading[],
  ): Reading[] {
    return readings.map((reading, index) => {
      const steering = steer[index]!;
      const request = row.get(steering);
      const read = request ? gates.get(request)! : this.kept(steering);
      if (!read) return reading;
      if (Number.isNaN(read.probability)) throw notFinite();
      this.last.set(steering, read);
      return { ...reading, alpha: gatedAlpha(reading.alpha, read.value), gate: { ...read } };
    });
  }

  /** What a gate per prompt read at the first step. */
  private kept(steering: LiveSteering): GateReading | undefined {
    return steering.gate?.per === "prompt" ? this.last.get(steering) : undefined;
  }
}
