import { setTimeout } from "node:timers/promises";

/** ggml's threads spin for about a tenth of a second after their work: what is measured next would share a processor with them. */
const SETTLE_MS = 300;

/** What a row takes per unit of its work, and what it did. */
export interface Measured {
  /** Seconds per token, prompt or call. */
  seconds: number;
  /** Generations with Dyn: how they took their tokens. */
  work?: Work;
}

/** The work of one or several generations, per generation. */
export interface Work {
  /** Generations at once. */
  atOnce: number;
  tokens: number;
  decodes: number;
  rows: number;
  guesses: number;
  hits: number;
}

export interface Spread {
  median: number;
  min: number;
  max: number;
}

/** Measures every row of a list, given the number of the round. */
export type Measure<Name extends string> = Record<Name, (round: number) => Promise<Measured>>;

/**
 * Rounds of all rows, after a warm-up. A round takes the rows in turn and then in reverse, so that a machine that slows down steadily
 * hits them alike; each row's result is the mean of its two. Returns the rounds of each row; without rounds, the warm-up.
 */
export async function measureRounds(measure: Measure<string>, rounds: number): Promise<Record<string, Measured[]>> {
  const names = Object.keys(measure);
  const results: Record<string, Measured[]> = Object.fromEntries(names.map((name) => [name, []]));
  for (const name of names) {
    const warmUp = await measure[name]!(0);
    if (rounds === 0) results[name]!.push(warmUp);
  }
  for (let round = 1; round <= rounds; round++) {
    const settled = async (name: string): Promise<Measured> => {
      await setTimeout(SETTLE_MS);
      return measure[name]!(round);
    };
    const once: Record<string, Measured> = {};
    for (const name of names) once[name] = await settled(name);
    for (const name of names.toReversed()) results[name]!.push(mean(once[name]!, await settled(name)));
  }
  return results;
}

function mean(a: Measured, b: Measured): Measured {
  const seconds = (a.seconds + b.seconds) / 2;
  if (!a.work || !b.work) return { seconds };
  const work = Object.fromEntries(
    (Object.keys(a.work) as Array<keyof Work>).map((key) => [key, (a.work![key] + b.work![key]) / 2]),
  ) as unknown as Work;
  return { seconds, work };
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
}

/** Round by round, how many times as fast as the yardstick a row is. */
export function ratios(own: readonly Measured[], yardstick: readonly Measured[]): number[] {
  return own.map(({ seconds }, round) => yardstick[round]!.seconds / seconds);
}
