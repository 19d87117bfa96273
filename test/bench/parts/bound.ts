import type { Work } from "./rounds.js";

/** Seconds of a decode of so many rows. */
export type DecodeSeconds = (rows: number) => number;

/** The time of a decode of any number of rows, by those that were measured: between them, a straight line. */
export function interpolated(measured: ReadonlyArray<readonly [rows: number, seconds: number]>): DecodeSeconds {
  const points = measured.toSorted(([a], [b]) => a - b);
  return (rows) => {
    const next = points.findIndex(([at]) => at >= rows);
    if (next === -1) throw new Error(`decodes of ${rows} rows were not measured`);
    const [at, seconds] = points[next]!;
    if (at === rows || next === 0) return seconds;
    const [before, fewer] = points[next - 1]!;
    return fewer + ((rows - before) / (at - before)) * (seconds - fewer);
  };
}

/**
 * Seconds per token that Dyn could not go below: its decodes in a plain loop that does nothing else. With t(r) the time of a decode of
 * r rows and n properties, a token takes t(n + 2) + (1 − a) · t(n + 1) in a pipeline with a share a of right guesses, and
 * t(n + 1) + t(1) in the plain order (docs/architecture.md, "Dyn in a pipeline"). Like the rates, it counts from the first token to the
 * last. Several generations share their decodes: k times the rows, by the mean of rows per decode.
 */
export function dynSeconds(work: Work, nProperties: number, t: DecodeSeconds): number {
  const { atOnce, tokens, decodes, rows, guesses, hits } = work;
  if (guesses === 0) return (t(atOnce * (nProperties + 1)) + t(atOnce)) / atOnce;
  if (atOnce > 1) return (t(Math.max(atOnce, (atOnce * rows) / decodes)) * decodes) / (tokens * atOnce);
  const steps = tokens - 1;
  const guessed = Math.max(0, guesses - 1); // the first is made beside the first token
  return (guessed * t(nProperties + 2) + (steps - guessed) * t(1) + (steps - hits) * t(nProperties + 1)) / steps;
}
